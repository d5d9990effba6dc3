"""What a spec may name to say how the student learns, in the words of `kdgraph methods` and of the README."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from kdgraph.spec.components import COMPONENTS, ComponentInfo, Kind, Layout, NoOptions
from kdgraph.spec.schema import ScheduleWeight, SpliceSpec

__all__ = ["ENTRIES", "Method", "documentation"]

Group = Literal["criterion", "mask", "adapter", "balance", "splice", "weight"]

_LAYOUTS: dict[Layout, str] = {
    "features": "features",
    "cls": "class logits",
    "dfl": "DFL logits",
    "box": "distances",
    "mask": "mask coefficients",
    "kpt": "keypoints",
    "angle": "angles",
}
_LABELS = frozenset({"objects", "target", "label", "target_box"})
_SCHEDULES = {
    "linear": "goes from one number to another in equal steps",
    "cosine": "goes from one number to another along half a cosine, slowly at both ends",
}


@dataclass(frozen=True)
class Method:
    """One name and what is told of it; of criteria also what they compare and whether they take a mask."""

    group: Group
    name: str
    summary: str
    options: type[BaseModel] = NoOptions
    source: str = ""
    takes: str = ""
    mask: str = ""
    """Whether it takes one: no, yes, or the name of the one it takes where an edge names none."""
    adapter: str = ""
    reads: str = ""

    @property
    def fields(self) -> dict[str, FieldInfo]:
        """The options by the names that a spec has for them; the kind of a schedule is its name."""
        fields = self.options.model_fields.items()
        return {field.alias or name: field for name, field in fields if name != "kind"}

    @property
    def defaults(self) -> dict[str, str]:
        """The options by name, each with its default as a spec has it; empty where there is none."""
        return {
            name: "" if field.is_required() else _plain(field.default) for name, field in self.fields.items()
        }


def _component(kind: Kind, info: ComponentInfo) -> Method:
    common = (kind, info.name, info.summary, info.options, info.source or "")
    if kind != "criterion":
        return Method(*common, reads=_reads(info))
    default = info.default_mask if info.default_mask != "all" else "yes"
    mask = default if info.masked else "no"
    return Method(*common, _takes(info), mask, info.default_adapter, _reads(info))


def _takes(info: ComponentInfo) -> str:
    layouts = [name for layout, name in _LAYOUTS.items() if layout in info.takes]
    return "anything" if len(layouts) == len(_LAYOUTS) else " or ".join(layouts)


def _reads(info: ComponentInfo) -> str:
    """What it needs of the batch and of the heads, in words."""
    reads = set(info.reads)
    if "instances" in reads:
        return "both heads' scores and boxes"
    prototypes = "both models' prototypes" if "student_proto" in reads else ""
    boxes = "the teacher's boxes" if "teacher_box" in reads else ""
    labels = "labels" if reads & _LABELS else ""
    scores = "both heads' scores" if "student_cls" in reads else ""
    if not scores and reads & {"teacher_cls", "teacher_branches"}:
        scores = "the teacher's scores"
    return ", ".join(filter(None, (prototypes, scores, boxes, labels)))


def _plain(value: object) -> str:
    """A default as it is written in a spec."""
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _entries() -> Iterator[Method]:
    for kind, infos in COMPONENTS.items():
        yield from (_component(kind, info) for info in infos.values())
    yield Method(
        "splice",
        "splice",
        "the student's features go through the rest of the teacher's head; both of its outputs are compared",
        SpliceSpec,
        "Wang et al., CrossKD, CVPR 2024",
    )
    for name, summary in _SCHEDULES.items():
        yield Method("weight", name, summary, ScheduleWeight)


ENTRIES = tuple(_entries())
"""All of them, kind by kind, in the order of the list of components."""


def documentation(method: Method) -> str:
    """The docstring of what is behind a name: formula, shapes, remarks. This imports torch."""
    from kdgraph.nn import adapters, registry, splice

    shape = (1, 8, 4, 4)
    strides = {"strides": (8.0, 16.0, 32.0)} if method.name in _WITH_STRIDES else {}
    if method.group == "criterion":
        return _cleaned(registry.CRITERIA[method.name])
    if method.group == "mask":
        return _cleaned(type(registry.mask(method.name, **strides)))
    if method.group == "adapter":
        built = registry.adapter(method.name, shape, shape)
        return _cleaned(adapters.auto_chain if method.name == "auto" else type(built))
    if method.group == "balance":
        return _cleaned(type(registry.balance(method.name, 1)))
    return _cleaned(splice.standardised if method.group == "splice" else ScheduleWeight)


_WITH_STRIDES = frozenset(name for name, info in COMPONENTS["mask"].items() if "strides" in info.wires)


def _cleaned(documented: Any) -> str:
    return inspect.cleandoc(documented.__doc__ or "")
