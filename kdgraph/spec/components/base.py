"""What is said of a component: its options, what it reads, what it must be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

Kind = Literal["criterion", "mask", "adapter", "balance"]
Layout = Literal["features", "cls", "dfl", "box", "mask", "kpt", "angle"]
"""What a tap yields: maps of features, class logits, logits of the DFL bins, box distances in strides, mask
coefficients, keypoints in strides from the anchor, the box's angle in radians."""

Signal = Literal[
    "student_cls",
    "teacher_cls",
    "teacher_branches",
    "student_box",
    "teacher_box",
    "objects",
    "target",
    "label",
    "target_box",
    "instances",
    "student_proto",
    "teacher_proto",
    "maps",
]
"""What a criterion or a mask may read besides the two taps, at the cells of these (`*` is H,W or A):

| signal | what it is |
|---|---|
| `student_cls`, `teacher_cls` | class logits `[B,nc,*]` |
| `teacher_branches` | class logits of each branch of the teacher's head, a list: two where it is end-to-end |
| `student_box`, `teacher_box` | distances to the four sides in strides `[B,4,*]` |
| `objects` | the labels, a list: image `[N]`, class `[N,1]`, centre x, y, width, height in 0..1 `[N,4]` |
| `target` | the object that the task-aligned assignment gives a cell: its index among N, -1 for none |
| `label` | the class of that object, -1 for none |
| `target_box` | distances from the cell to its object's four sides in strides `[B,4,*]`, 0 for none |
| `instances` | boxes `[B,K,4]` (corners in 0..1) where student and teacher disagree most, 0 for none |
| `student_proto`, `teacher_proto` | mask prototypes `[B,nm,H,W]`, each in its own size |
| `maps` | maps whose heights and widths are those of the cells' levels, a list |

`target` and `label` are `[B,1,H,W]` or `[B,A]`, whole numbers.
"""

Wire = Literal["bins", "channels", "strides", "keypoints"]
"""What a component's constructor may be told: DFL bins per side (None: no distribution), the channels of both
taps behind the adapter, the strides of the head's levels, finest first, how many keypoints there are and
of how many numbers each."""

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]

TAP_PATTERN = r"[\w*?!\[\]-]+(\.[\w*?!\[\]-]+)*"
"""A dotted name of a tap, its parts possibly globs."""

TapName = Annotated[str, Field(pattern=f"^{TAP_PATTERN}$", json_schema_extra={"format": "tap"})]

FEATURES: frozenset[Layout] = frozenset({"features"})
CLASSES: frozenset[Layout] = frozenset({"cls"})
BINS: frozenset[Layout] = frozenset({"dfl"})
BOXES: frozenset[Layout] = frozenset({"dfl", "box"})
MASKS: frozenset[Layout] = frozenset({"mask"})
KEYPOINTS: frozenset[Layout] = frozenset({"kpt"})
ANGLES: frozenset[Layout] = frozenset({"angle"})
ANY_TAP: frozenset[Layout] = frozenset(get_args(Layout))


class Options(BaseModel):
    """Options of a component: frozen, strict about types, without unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class NoOptions(Options):
    """A component that has nothing to set."""


@dataclass(frozen=True)
class ComponentInfo:
    """What a spec may say of one component, and what the compiler must know of it."""

    name: str
    summary: str
    options: type[Options] = NoOptions
    source: str | None = None
    reads: tuple[Signal, ...] = ()
    """What its forward takes besides student and teacher (masks: at all), by keyword."""
    wires: tuple[Wire, ...] = ()
    """What its constructor must be told besides its options, by keyword."""
    plugin: str | None = None
    """The module that registered it; None for the package's own."""

    # Of criteria only
    takes: frozenset[Layout] = frozenset()
    """The layouts of taps it can compare."""
    masked: bool = False
    """Whether it takes a mask."""
    maps: bool = False
    """Whether it compares maps [B,C,H,W] only, not tensors along the anchor axis."""
    classes: int = 1
    """The fewest classes between which it can tell anything."""
    channels: bool = True
    """Whether both sides must have the same channels."""
    default_mask: str = "all"
    default_mask_options: Mapping[str, Any] = field(default_factory=dict)
    default_adapter: str = "auto"

    # Of masks only
    whole: bool = False
    """Whether it is computed over all anchors of the head at once, and then cut to the level of an edge."""

    def validate(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options with defaults filled in. Raises `pydantic.ValidationError`."""
        return self.options.model_validate(dict(options)).model_dump()


def table(*infos: ComponentInfo) -> dict[str, ComponentInfo]:
    """The infos by name."""
    return {info.name: info for info in infos}
