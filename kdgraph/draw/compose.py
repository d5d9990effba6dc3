"""From models and terms to a scene: teachers on the left, the student on the right, terms between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from kdgraph.draw.boxes import Box
from kdgraph.draw.grid import Column, stack
from kdgraph.draw.lanes import place_of_level
from kdgraph.draw.routes import Wire, routed
from kdgraph.draw.scene import DETAILS, MIDDLE, Detail, Kind, Link, Pair, Scene, Subject, View
from kdgraph.draw.stages import Model, model_of
from kdgraph.draw.terms import Mark
from kdgraph.draw.words import lines

__all__ = ["label_of", "scene_of"]

BOX = (172.0, 68.0)
IMAGES = (172.0, 44.0)
LABEL = 232.0
"""The width of what stands between the models for a term or a pair."""
AROUND = (28.0, 52.0)
"""What the box of an open layer has beyond its inside, in width and height."""
TOP = 64.0
"""Room above the rows for the headings of models and lanes."""
LEFT = 64.0
"""Room beside them for the names of the levels."""

Sizes = Mapping[str, tuple[float, float]]


def scene_of(
    kind: Kind,
    title: str,
    subjects: Sequence[Subject],
    marks: Sequence[Mark] = (),
    pairs: Sequence[Pair] = (),
    notes: Sequence[str] = (),
    subtitle: str = "",
) -> Scene:
    """All that a picture of these models shows. The student is the last of `subjects`."""
    tapped = {tap.node for mark in marks for tap in mark.taps}
    models = [model_of(subject, tapped) for subject in subjects]
    boxes = {key: box for model in models for key, box in model.boxes.items()}
    insides = {key: inside for model in models for key, inside in model.insides.items()}
    rings = _rings(models, marks)
    sizes = {key: IMAGES if box.kind == "input" else BOX for key, box in boxes.items()}
    sizes.update((label_of(mark), (LABEL, max(50.0, 30.0 + 15 * len(lines(mark))))) for mark in marks)
    sizes.update((label_of(pair), (LABEL, 54.0)) for pair in pairs)
    opened = {
        key: (max(BOX[0], inside.width + AROUND[0]), inside.height + AROUND[1])
        for key, inside in insides.items()
    }
    views: dict[Detail, View] = {}
    for detail in DETAILS:
        level: Detail = "stages" if detail == "stages" else "layers"
        wanted = {**sizes, **opened} if detail == "nodes" else sizes
        views[detail] = _view(models, level, wanted, marks, pairs)
    pruned = frozenset(key for model in models for key in model.pruned)
    return Scene(
        kind, title, tuple(subjects), boxes, rings, pruned, views, insides,
        tuple(marks), tuple(pairs), tuple(notes), subtitle,
    )  # fmt: skip


def _rings(models: Sequence[Model], marks: Sequence[Mark]) -> dict[str, tuple[str, ...]]:
    """The terms that tap each box, or something in it."""
    found: dict[str, list[str]] = {}
    by_role = {model.subject.role: model for model in models}
    for mark in marks:
        for tap in mark.taps:
            for key in by_role[tap.role].holders[tap.node]:
                found.setdefault(key, []).append(mark.name)
    return {key: tuple(dict.fromkeys(names)) for key, names in found.items()}


def label_of(mark: Mark | Pair) -> str:
    """The key of the box that stands between the models for a term or a pair."""
    return f"mark:{mark.name}"


def _view(
    models: Sequence[Model], level: Detail, sizes: Sizes, marks: Sequence[Mark], pairs: Sequence[Pair]
) -> View:
    columns = _columns(models, level, [*marks, *pairs])
    grid = stack(columns, sizes, TOP)
    wires = [wire for model in models for wire in model.wires[level]]
    links = [*_links(models, level, marks), *_pair_links(models, level, pairs)]
    plane = routed(columns, sizes, grid, [*wires, *(wire for wire, _ in links)], LEFT)
    drawn = tuple(Link(wire.source, wire.target, role, plane.wires[wire]) for wire, role in links)
    kept = {wire: plane.wires[wire] for wire in wires}
    return View(grid.bands, tuple(columns), replace(plane, wires=kept), grid.height, drawn)


def _columns(models: Sequence[Model], level: Detail, labels: Sequence[Mark | Pair]) -> list[Column]:
    """Teachers' lanes from left to right, the labels, the student's lanes from right to left: heads meet."""
    *teachers, student = models
    columns = [column for model in teachers for column in model.columns[level]]
    ours = list(student.columns[level])
    cells: dict[int, list[str]] = {}
    for label in labels:
        cells.setdefault(place_of_level(label.level), []).append(label_of(label))
    middle = [Column("", MIDDLE, cells, 12)] if labels else []
    if not teachers:
        return [*ours, *middle]
    return [*columns, *middle, *reversed(ours)]


def _links(models: Sequence[Model], level: Detail, marks: Sequence[Mark]) -> Iterator[tuple[Wire, str]]:
    """From each tapped box to the label of its term."""
    place = -1 if level == "stages" else -2
    by_role = {model.subject.role: model for model in models}
    for mark in marks:
        ends = dict.fromkeys((by_role[tap.role].holders[tap.node][place], tap.role) for tap in mark.taps)
        for box, role in ends:
            yield Wire(box, label_of(mark), f"{label_of(mark)}:{box}"), role


def _pair_links(models: Sequence[Model], level: Detail, pairs: Sequence[Pair]) -> Iterator[tuple[Wire, str]]:
    boxes: dict[str, Box] = {key: box for model in models for key, box in model.boxes.items()}
    for pair in pairs:
        for key in pair.boxes:
            box = boxes[key]
            end = (box.parent or key) if level == "stages" else key
            yield Wire(end, label_of(pair), f"{label_of(pair)}:{end}"), box.role
