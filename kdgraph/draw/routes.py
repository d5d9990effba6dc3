"""Wires between the boxes of a table: along the gaps between its columns, across a column between two boxes.

A wire has horizontal and vertical pieces only, and none of them touches a box. What carries one value (a net)
runs together until it parts; other nets run on tracks of their own beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kdgraph.draw.courses import CLEAR, Course, Table, Wire, course_of, ports_of
from kdgraph.draw.grid import Column, Grid, Rect

__all__ = ["Plane", "Wire", "routed"]

TRACK = 9
"""Between two tracks, in points."""
MARGIN = 16
"""Between a column and the first track beside it."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Plane:
    """A picture: the rectangle of each box, the points of each wire, the two sides of each column."""

    boxes: Mapping[str, Rect] = field(repr=False)
    wires: Mapping[Wire, tuple[Point, ...]] = field(repr=False)
    columns: tuple[tuple[float, float], ...]
    width: float


def routed(
    columns: Sequence[Column],
    sizes: Mapping[str, tuple[float, float]],
    grid: Grid,
    wires: Sequence[Wire],
    left: float,
) -> Plane:
    """Give every column its place from `left` on, every box its rectangle, and every wire its course."""
    table = Table(columns, sizes, grid)
    sideways = [
        w for w in wires if table.of[w.source] != table.of[w.target] or not table.below(w.source, w.target)
    ]
    ports = ports_of(table, sideways)
    courses = {wire: course_of(table, wire, ports) for wire in sideways}
    tracks = _tracks(courses, len(columns) + 1)
    places = _places(columns, sizes, tracks, left)
    boxes = {
        key: Rect((places[i][0] + places[i][1]) / 2, grid.heights[key], *sizes[key])
        for key, i in table.of.items()
    }
    lines = {
        wire: _line(wire, courses[wire], boxes, places, tracks)
        if wire in courses
        else _upright(boxes[wire.source], boxes[wire.target])
        for wire in wires
    }
    return Plane(boxes, lines, tuple(places), places[-1][1] + _width(tracks[-1]))


def _tracks(courses: Mapping[Wire, Course], gaps: int) -> list[dict[str, int]]:
    """The track of each net in each gap: nets whose vertical pieces overlap have different ones."""
    spans: list[dict[str, tuple[float, float]]] = [{} for _ in range(gaps)]
    for wire, course in courses.items():
        pieces = [(course.first, course.out, course.across), (course.last, course.across, course.into)]
        for gap, start, end in pieces:
            low, high = spans[gap].get(wire.net, (start, end))
            spans[gap][wire.net] = (min(low, start, end), max(high, start, end))
    return [_coloured(each) for each in spans]


def _coloured(spans: Mapping[str, tuple[float, float]]) -> dict[str, int]:
    tracks: dict[str, int] = {}
    for net, (low, high) in sorted(spans.items(), key=lambda item: (item[1][1] - item[1][0], item[0])):
        if high - low < 1:
            continue  # it goes straight across
        taken = {
            tracks[other]
            for other in tracks
            if spans[other][0] - CLEAR < high and low < spans[other][1] + CLEAR
        }
        tracks[net] = next(track for track in range(len(spans) + 1) if track not in taken)
    return tracks


def _width(tracks: Mapping[str, int]) -> float:
    return 2 * MARGIN + TRACK * max(tracks.values(), default=0)


def _places(
    columns: Sequence[Column],
    sizes: Mapping[str, tuple[float, float]],
    tracks: Sequence[Mapping[str, int]],
    left: float,
) -> list[tuple[float, float]]:
    """Where each column begins and ends."""
    places = []
    x = left
    for index, column in enumerate(columns):
        x += _width(tracks[index])
        wide = max((sizes[key][0] for key in column.keys), default=0.0)
        places.append((x, x + wide))
        x += wide
    return places


def _line(
    wire: Wire,
    course: Course,
    boxes: Mapping[str, Rect],
    places: Sequence[tuple[float, float]],
    tracks: Sequence[Mapping[str, int]],
) -> tuple[Point, ...]:
    first, last = (_track(gap, wire.net, places, tracks) for gap in (course.first, course.last))
    source, target = boxes[wire.source], boxes[wire.target]
    start = source.right if first > source.x else source.left
    end = target.right if last > target.x else target.left
    points = [
        (start, course.out),
        (first, course.out),
        (first, course.across),
        (last, course.across),
        (last, course.into),
        (end, course.into),
    ]
    return _without_stops(points)


def _track(
    gap: int, net: str, places: Sequence[tuple[float, float]], tracks: Sequence[Mapping[str, int]]
) -> float:
    """Where a net runs in a gap: tracks are counted from the column before it."""
    start = places[gap - 1][1] if gap else places[0][0] - _width(tracks[0])
    return start + MARGIN + TRACK * tracks[gap].get(net, 0)


def _upright(source: Rect, target: Rect) -> tuple[Point, ...]:
    down = source.y < target.y
    return (
        (source.x, source.bottom if down else source.top),
        (source.x, target.top if down else target.bottom),
    )


def _without_stops(points: Sequence[Point]) -> tuple[Point, ...]:
    """The corners of a line only."""
    corners: list[Point] = []
    for point in points:
        if corners and abs(corners[-1][0] - point[0]) < 0.01 and abs(corners[-1][1] - point[1]) < 0.01:
            continue
        if len(corners) > 1 and _in_line(corners[-2], corners[-1], point):
            corners.pop()
        corners.append(point)
    return tuple(corners)


def _in_line(a: Point, b: Point, c: Point) -> bool:
    return (abs(a[0] - b[0]) < 0.01 and abs(b[0] - c[0]) < 0.01) or (
        abs(a[1] - b[1]) < 0.01 and abs(b[1] - c[1]) < 0.01
    )
