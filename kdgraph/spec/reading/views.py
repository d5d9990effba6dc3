"""What a teacher sees of the images, what its classes are called and which numbers it computes in."""

from __future__ import annotations

from typing import get_args

from kdgraph.spec.nodes import Items, Node, Text
from kdgraph.spec.reading.faults import Faults
from kdgraph.spec.reading.values import as_map, expected, fail, number, scalar
from kdgraph.spec.schema import SMALLEST_IMAGE, Precision

_IMGSZ = "write the size that it was trained for, such as 640"
_CHANNELS = "write the numbers of the channels that it sees, such as [0, 1, 2]"
_CLASSES = "write {teacher_name: student_name}, such as {automobile: car}"
_CLASS = "the name of a class"


def read_image_size(node: Node) -> int:
    return _whole(node, "a whole number of pixels", _IMGSZ, SMALLEST_IMAGE)


def read_channels(node: Node) -> tuple[int, ...]:
    """Numbers of channels; one may come twice, as where grey images go to a teacher of colour."""
    if not isinstance(node, Items):
        raise expected(node, "a list of channels", _CHANNELS)
    if not node.items:
        raise fail("KD103", node, "has no channel", _CHANNELS)
    faults = Faults()
    found: list[int] = []
    for item in node.items:
        with faults.gathered():
            found.append(_whole(item, "the number of a channel", _CHANNELS, 0))
    faults.check()
    return tuple(found)


def read_classes(node: Node) -> dict[str, str]:
    mapping = as_map(node, "a map from the teacher's classes to the student's", _CLASSES)
    if not mapping.entries:
        raise fail("KD103", node, "has no class", _CLASSES)
    faults = Faults()
    classes: dict[str, str] = {}
    for name, entry in mapping.entries.items():
        with faults.gathered():
            _check_named(entry.key)
        with faults.gathered():
            classes[name] = _class_name(entry.value)
    faults.check()
    return classes


def read_precision(node: Node) -> str:
    known = get_args(Precision)
    if not isinstance(node, Text) or node.value not in known:
        raise expected(node, " or ".join(known), "delete it for the numbers of the student's step")
    return node.value


def _class_name(node: Node) -> str:
    """A name as it was written: `1` and `yes` may be classes."""
    if not isinstance(node, Text) or scalar(node) is None:
        raise expected(node, _CLASS, _CLASSES)
    _check_named(node)
    return node.value


def _check_named(node: Text) -> None:
    if not node.value.strip():
        raise fail("KD103", node, f"must be {_CLASS}; got an empty text", _CLASSES)


def _whole(node: Node, what: str, hint: str, minimum: int) -> int:
    value = number(node, what, hint, minimum)
    if value != int(value):
        raise expected(node, what, hint)
    return int(value)
