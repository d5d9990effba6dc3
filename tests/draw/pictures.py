"""Scenes of real models and specs for the tests of pictures, and what must hold of every one of them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import pairwise

from kdgraph.compiler.api import plan
from kdgraph.draw.api import scene_of_diff, scene_of_model, scene_of_plan
from kdgraph.draw.grid import Rect
from kdgraph.draw.routes import Point
from kdgraph.draw.scene import Scene, View
from kdgraph.graph.models import build_model
from kdgraph.graph.yolo import TracedModel, trace_model
from kdgraph.spec.parse import parse
from kdgraph.spec.schema import TeacherSpec

NECK = "student: yolo11n.yaml\nteacher: yolo11s.yaml\nedges:\n  neck: {taps: neck.*, criterion: cwd}\n"
"""A spec that needs nothing of the teacher's head."""


@cache
def traced(name: str) -> TracedModel:
    model = build_model(TeacherSpec(model=name), nc=None, weights=False, meta=True)
    return trace_model(model, name, frozen=True)


@cache
def model_scene(name: str) -> Scene:
    return scene_of_model(name, traced(name), (224, 224) if "cls" in name else (640, 640))


@cache
def spec_scene(text: str) -> Scene:
    return scene_of_plan(plan(parse(text), weights=False))


@cache
def diff_scene(student: str, teacher: str) -> Scene:
    return scene_of_diff((student, traced(student)), (teacher, traced(teacher)), (640, 640))


def lines_of(view: View) -> Iterator[tuple[str, str, str, tuple[Point, ...]]]:
    """(start, end, net, points) of each line of a view: wires, and links to what is between the models."""
    for wire, points in view.plane.wires.items():
        yield wire.source, wire.target, wire.net, points
    for link in view.links:
        yield link.box, link.mark, f"{link.mark} {link.box}", link.points


def faults(view: View) -> Iterator[str]:
    """Boxes that overlap, lines that cross a box or end beside theirs, nets that lie upon each other."""
    boxes = list(view.plane.boxes.items())
    for i, (key, rect) in enumerate(boxes):
        yield from (f"{key} and {other} overlap" for other, there in boxes[i + 1 :] if _overlap(rect, there))
    lines = list(lines_of(view))
    for start, end, _, points in lines:
        yield from (f"{start} → {end} crosses {key}" for key, rect in boxes if _crosses(points, rect))
        for key, point in ((start, points[0]), (end, points[-1])):
            if not _on_border(point, view.plane.boxes[key]):
                yield f"{start} → {end} does not touch {key}"
        if any(a[0] != b[0] and a[1] != b[1] for a, b in pairwise(points)):
            yield f"{start} → {end} has a slanting piece"
    pieces = [(net, (a, b)) for *_, net, points in lines for a, b in pairwise(points)]
    for i, (net, piece) in enumerate(pieces):
        yield from (f"{net} lies on {n}" for n, other in pieces[i + 1 :] if n != net and _upon(piece, other))


def _overlap(a: Rect, b: Rect) -> bool:
    return a.left < b.right and b.left < a.right and a.top < b.bottom and b.top < a.bottom


def _crosses(points: tuple[Point, ...], rect: Rect) -> bool:
    return any(
        max(x, u) > rect.left + 0.5
        and min(x, u) < rect.right - 0.5
        and max(y, v) > rect.top + 0.5
        and min(y, v) < rect.bottom - 0.5
        for (x, y), (u, v) in pairwise(points)
    )


def _on_border(point: Point, rect: Rect) -> bool:
    x, y = point
    beside = min(abs(x - rect.left), abs(x - rect.right)) < 0.2 and rect.top <= y <= rect.bottom
    above = min(abs(y - rect.top), abs(y - rect.bottom)) < 0.2 and rect.left <= x <= rect.right
    return beside or above


def _upon(one: tuple[Point, Point], other: tuple[Point, Point]) -> bool:
    """Whether two pieces lie on one line for more than a few points."""
    (a, b), (c, d) = one, other
    for k in (0, 1):
        if a[k] == b[k] and c[k] == d[k] and abs(a[k] - c[k]) < 2:
            low = max(min(a[1 - k], b[1 - k]), min(c[1 - k], d[1 - k]))
            high = min(max(a[1 - k], b[1 - k]), max(c[1 - k], d[1 - k]))
            return high - low > 3
    return False
