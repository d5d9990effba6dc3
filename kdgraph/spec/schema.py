"""What a spec says, as frozen objects that know where each of their values was written.

Field descriptions here are the documentation of the language: the JSON Schema takes them over.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from kdgraph.errors import Span

Finite = Annotated[float, Field(allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Output = Literal["taps", "teacher"]
Precision = Literal["bfloat16", "float16"]

VERSION = 1
"""The version of the language this package reads."""


class Located(BaseModel):
    """A frozen part of a spec. Two parts are equal when they say the same, wherever they were written."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    _spans: Mapping[str, Span] = PrivateAttr(default_factory=dict)

    def span(self, key: str = "") -> Span | None:
        """Where the value of `key` was written, or without a key the part itself.

        None when it was not written at all: a default, or a part made in Python.
        """
        return self._spans.get(key)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__


Part = TypeVar("Part", bound=Located)


def located(part: Part, spans: Mapping[str, Span]) -> Part:
    """`part`, remembering `spans` (key -> span of its value, and "" -> span of the part)."""
    part._spans = dict(spans)
    return part


class ModelSpec(Located):
    """A model: an Ultralytics model yaml or a checkpoint."""

    model: str = Field(description="an Ultralytics model yaml (yolo11n.yaml) or a checkpoint (yolo11n.pt)")
    trust: bool = Field(
        False,
        description="load the checkpoint without restrictions; it can then run any code, so know its origin",
    )


STUDENT = "student"
"""The role of the model that learns; as a teacher it is the student itself."""

STUDENT_EMA = "student.ema"
"""As a teacher: the exponential moving average of the student."""


SMALLEST_IMAGE = 32
"""The side of the smallest image in pixels: one cell of a head's coarsest usual level."""


class TeacherSpec(ModelSpec):
    """A model that teaches, which may have to be trained first.

    `model` is also `student.ema`, or what `python` names.
    """

    train: dict[str, Any] | None = Field(
        None, description="Ultralytics train arguments; the teacher is first trained with them on `data`"
    )
    python: str | None = Field(
        None,
        description="`module:function` in place of `model`: a function of a module listed in `plugins` that "
        "returns the teacher, a torch.nn.Module that torch.fx can trace",
    )
    imgsz: int | None = Field(
        None,
        ge=SMALLEST_IMAGE,
        description="the image size in pixels that the teacher sees, where it is not the student's",
    )
    channels: tuple[Annotated[int, Field(ge=0)], ...] | None = Field(
        None, min_length=1, description="which channels of the images the teacher sees, numbered from 0"
    )
    classes: dict[str, str] | None = Field(
        None,
        min_length=1,
        description="which class of the student each class of the teacher is, {teacher_name: student_name}, "
        "by name or number; the others by equal names",
    )
    precision: Precision | None = Field(
        None,
        description="the numbers that the teacher computes in, bfloat16 or float16: faster where the device "
        "has them, and coarser; by default those of the student's step",
    )


class TapSpec(Located):
    """The nodes an edge reads on either side: semantic names, module paths, or globs of both."""

    student: tuple[str, ...] = Field(description="nodes of the student")
    teacher: tuple[str, ...] = Field(description="nodes of the teacher")


class Component(Located):
    """A criterion, mask, adapter or balancer by name, its options validated and complete."""

    name: str
    options: dict[str, Any] = Field(default_factory=dict)


class SpliceSpec(Located):
    """Where the student's features enter the frozen teacher (CrossKD, Wang et al., CVPR 2024)."""

    at: TapSpec = Field(
        description="the teacher's tensors whose place the student's take: a tap, a list of taps, "
        "{student: …, teacher: …}, or an entry of `taps`"
    )
    standardise: bool = Field(
        True,
        description="bring the student's features to the teacher's mean and standard deviation per channel",
    )


class ConstantWeight(Located):
    """One weight for all levels and all of the run."""

    value: NotNegative


class LevelWeight(Located):
    """A weight for each level: by name, or in the order of the levels. Exactly one of the two is set."""

    by_level: dict[str, NotNegative] | None = None
    values: tuple[NotNegative, ...] | None = None


class ScheduleWeight(Located):
    """A weight that goes from one value to another while the run goes on."""

    kind: Literal["linear", "cosine"]
    from_: NotNegative = Field(alias="from", description="the weight at the first of `epochs` and before")
    to: NotNegative = Field(description="the weight at the second of `epochs` and after")
    epochs: tuple[Finite, Finite] | None = Field(
        None,
        description="the epochs between which the weight changes, by default the whole run; "
        "negative ones count from the end of the run",
    )


Weight = ConstantWeight | LevelWeight | ScheduleWeight


class EdgeSpec(Located):
    """One term of the loss: a criterion between taps of student and teacher."""

    name: str
    teacher: tuple[str, ...] = Field(
        ("teacher",),
        min_length=1,
        description="which of the `teachers`; of a list of them the average; `student` is the student itself",
    )
    taps: TapSpec = Field(
        description="what is compared: a name such as neck.*, a list of names, {student: …, teacher: …}, "
        "or an entry of `taps`"
    )
    criterion: Component = Field(description="how it is compared")
    mask: tuple[Component, ...] = Field(
        min_length=1, description="which cells count, and how much; of a list of masks the product"
    )
    adapter: Component = Field(description="what brings the student's tensor to the teacher's shape")
    weight: Weight = Field(
        ConstantWeight(value=1.0),
        description="a number, a list or map of numbers by level, or a schedule {cosine: {from: 1, to: 0.1}}",
    )
    from_: Finite = Field(
        0.0,
        alias="from",
        description="the epoch the edge begins at; a negative one counts from the end of the run",
    )
    until: Finite | None = Field(
        None, description="the epoch the edge ends at; a negative one counts from the end of the run"
    )
    warmup: NotNegative = Field(
        0.0, description="epochs over which the weight grows from zero after the edge has begun"
    )
    level: tuple[str, ...] | None = Field(
        None, description="the levels to keep of those the taps have: p3, p4, …"
    )
    splice: SpliceSpec | None = Field(
        None,
        description="where the student's features enter the frozen teacher: a tap such as head.cls.*.0, or "
        "{at: …, standardise: false}; `taps` then names what is compared: the teacher's own output there "
        "with what the teacher makes of them",
    )


class PhaseSpec(Located):
    """A part of the run, and the edges that count in it. It begins where the phase before it ends."""

    name: str = Field(description="what reports call the phase")
    until: Finite | None = Field(
        None,
        description="the epoch the phase ends at; a negative one counts from the end of the run; the last "
        "phase may leave it out and goes on to the end",
    )
    edges: tuple[str, ...] = Field(min_length=1, description="the edges that count: a list of names, or all")


class Spec(Located):
    """One experiment."""

    kdgraph: int = Field(VERSION, description="the version of the spec language")
    student: ModelSpec = Field(description="the model that learns")
    teachers: dict[str, TeacherSpec] = Field(
        description="the models that teach, by the names that edges call them; they are never changed. One "
        "alone is written as `teacher`, and called that"
    )
    data: str | None = Field(
        None, description="an Ultralytics dataset yaml, or one of builtin:glyphs, -seg, -pose, -obb"
    )
    plugins: tuple[str, ...] = Field(
        (),
        description="Python modules with components of your own, files beside the spec or installed ones; "
        "they are run when the spec is read",
    )
    taps: dict[str, TapSpec] = Field(default_factory=dict, description="names for taps, to be used in edges")
    edges: dict[str, EdgeSpec] = Field(description="the terms of the loss by name, or the name of a recipe")
    balance: Component | None = Field(
        None, description="how the edges are weighed against each other beyond their weights"
    )
    phases: tuple[PhaseSpec, ...] = Field(
        (),
        description="parts of the run, in order: an edge counts only in phases that name it, and within its "
        "own from and until",
    )
    train: dict[str, Any] = Field(default_factory=dict, description="Ultralytics train arguments")
    outputs: tuple[Output, ...] = Field(
        (), description="what one forward also returns: taps (the tapped tensors), teacher (its predictions)"
    )
    recipe: str | None = None
    """The recipe that the edges come from: it is fitted to the models that are compared."""
    path: Path | None = None
    """The file the spec was read from."""

    @model_validator(mode="before")
    @classmethod
    def _one_teacher(cls, values: Any) -> Any:
        """`teacher=…` is a single one; without any the student is its own."""
        if isinstance(values, Mapping) and "teacher" in values and "teachers" not in values:
            one = values["teacher"]
            rest = {key: value for key, value in values.items() if key != "teacher"}
            model = one.get("model") if isinstance(one, Mapping) else getattr(one, "model", one)
            return {**rest, "teachers": {} if model == STUDENT else {"teacher": one}}
        return values

    @model_validator(mode="after")
    def _known_teachers(self) -> Spec:
        """Edges written in Python name teachers that are there."""
        known = (*self.teachers, STUDENT)
        for name, edge in self.edges.items():
            strange = [role for role in edge.teacher if role not in known]
            if strange:
                raise ValueError(
                    f"edge '{name}': no teacher is named {strange[0]}; there is {', '.join(known)}"
                )
        return self

    @property
    def teacher(self) -> TeacherSpec:
        """The only teacher, or the first of several. Raises LookupError when the student is its own."""
        if not self.teachers:
            raise LookupError("the student teaches itself")
        return next(iter(self.teachers.values()))


def follows_student(spec: Spec, role: str) -> bool:
    """Whether a teacher is the moving average of the student."""
    return role in spec.teachers and spec.teachers[role].model == STUDENT_EMA
