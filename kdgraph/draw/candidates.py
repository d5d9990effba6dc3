"""Taps of two models that fit each other: the same meaning, level and stride."""

from __future__ import annotations

from collections.abc import Iterator

from kdgraph.draw.boxes import Box, box_of_part, branch_order
from kdgraph.draw.lanes import place_of_level
from kdgraph.draw.scene import Pair, Subject
from kdgraph.graph.yolo import TracedModel

__all__ = ["candidates"]


def candidates(student: Subject, teacher: Subject) -> list[Pair]:
    """Pairs of boxes from which the taps of an edge can be read off, in the order in which they are computed.

    By name where both models have it; else the backbone and neck of the student by level, against the last
    box that the teacher has there.
    """
    ours, theirs = _boxes(student), _boxes(teacher)
    means = _common(student.anatomy.model, teacher.anatomy.model)
    pairs = [pair for box in ours if box.layout in means for pair in _named(box, theirs)]
    if pairs:
        return pairs
    return [pair for box in ours if box.kind in ("backbone", "neck") for pair in _by_level(box, theirs)]


def _common(ours: TracedModel, theirs: TracedModel) -> set[str]:
    """The layouts that mean the same in both: classes of common names, boxes that are both turned or not."""
    means = {"features", "mask"}
    if not ours.class_names or not theirs.class_names or set(ours.class_names) & set(theirs.class_names):
        means |= {"cls"} if (ours.task == "classify") == (theirs.task == "classify") else set()
    if (ours.task == "obb") == (theirs.task == "obb"):
        means |= {"dfl", "box", "angle"}
    keypoints = [model.head.keypoints if model.head else None for model in (ours, theirs)]
    return means | ({"kpt"} if keypoints[0] == keypoints[1] else set())


def _boxes(subject: Subject) -> list[Box]:
    """The boxes that can be tapped: as they are computed, those of the head by branch."""
    boxes = [box_of_part(subject.anatomy, subject.role, part) for part in subject.anatomy.parts]
    found = [box for box in boxes if box.names and box.shape and box.kind != "input"]
    return sorted(found, key=_order)


def _order(box: Box) -> tuple[bool, bool, int, int]:
    if box.kind != "head":
        return False, False, 0, 0
    return True, *branch_order(box), place_of_level(box.level)


def _named(box: Box, others: list[Box]) -> Iterator[Pair]:
    for name in box.names:
        if name.split(".")[0] not in ("backbone", "neck", "head"):
            continue
        other = next((each for each in others if name in each.names), None)
        if other is not None and other.level == box.level and other.layout == box.layout:
            yield _pair(name, box, name, other)


def _by_level(box: Box, others: list[Box]) -> Iterator[Pair]:
    name = box.names[0]
    there = [each for each in others if each.level == box.level and each.layout == "features"]
    if there and not name.startswith("model."):
        yield _pair(name, box, there[-1].names[0], there[-1])


def _pair(name: str, box: Box, other_name: str, other: Box) -> Pair:
    channels = ((box.shape or (0,))[0], (other.shape or (0,))[0])
    return Pair(name, (box.key, other.key), (name, other_name), box.level, box.stride, channels)
