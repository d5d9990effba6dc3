"""Wires between the boxes of a table: along the gaps between its columns, across a column between two boxes.

A wire has horizontal and vertical pieces only, and none of them touches a box. What carries one value (a net)
runs together until it parts; other nets run on tracks of their own beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kdgraph.draw.grid import Column, Grid, Rect

__all__ = ["Plane", "Wire", "routed"]

TRACK = 9
"""Between two tracks, in points."""
MARGIN = 16
"""Between a column and the first track beside it."""
CLEAR = 5
"""Between a wire that crosses a column and the boxes of the column, or another such wire."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Wire:
    """From one box to another. Wires of one `net` carry one value."""

    source: str
    target: str
    net: str


@dataclass(frozen=True)
class Plane:
    """A picture: the rectangle of each box, the points of each wire, the two sides of each column."""

    boxes: Mapping[str, Rect] = field(repr=False)
    wires: Mapping[Wire, tuple[Point, ...]] = field(repr=False)
    columns: tuple[tuple[float, float], ...]
    width: float


@dataclass(frozen=True)
class _Course:
    """How a wire goes: out at height `out`, along gap `first` to height `across`, along gap `last`, in."""

    first: int
    last: int
    out: float
    across: float
    into: float


class _Table:
    """The columns with their boxes at their heights, before it is known how wide the gaps must be."""

    def __init__(
        self, columns: Sequence[Column], sizes: Mapping[str, tuple[float, float]], grid: Grid
    ) -> None:
        self.columns, self.sizes, self.heights = columns, sizes, grid.heights
        self.of = {key: index for index, column in enumerate(columns) for key in column.keys}
        self.lines: list[dict[float, str]] = [{} for _ in range(len(columns) + 1)]

    def alone(self, gap: int, y: float, net: str) -> bool:
        """Whether no other net has a level piece at about this height in a gap."""
        return all(other == net or abs(at - y) >= CLEAR for at, other in self.lines[gap].items())

    def free(self, column: int, y: float, net: str) -> bool:
        """Whether a wire may cross a column at a height."""
        boxes = all(
            abs(self.heights[key] - y) > self.sizes[key][1] / 2 + CLEAR for key in self.columns[column].keys
        )
        return boxes and self.alone(column, y, net) and self.alone(column + 1, y, net)

    def below(self, source: str, target: str) -> bool:
        """Whether two boxes of one column have no other between them."""
        keys = self.columns[self.of[source]].keys
        return abs(keys.index(source) - keys.index(target)) == 1

    def side(self, wire: Wire) -> tuple[int, int]:
        """The gaps at which a wire leaves and arrives; gap i is before column i."""
        source, target = self.of[wire.source], self.of[wire.target]
        if source == target:
            gap = source + 1 if source * 2 < len(self.columns) else source
            return gap, gap
        return (source + 1, target) if source < target else (source, target + 1)

    def gap_between(self, wire: Wire, out: float, into: float) -> float | None:
        """A height at which all columns between the two ends can be crossed; None if none are between."""
        first, last = self.side(wire)
        between = range(min(first, last), max(first, last))
        if not between:
            return None
        edges = {
            self.heights[key] + sign * (self.sizes[key][1] / 2 + CLEAR + 1 + step * CLEAR)
            for index in between
            for key in self.columns[index].keys
            for sign in (-1, 1)
            for step in range(12)
        }
        heights = sorted({out, into} | edges, key=lambda y: (abs(y - out) + abs(y - into), abs(y - into)))
        y = next(y for y in heights if all(self.free(index, y, wire.net) for index in between))
        for index in between:
            self.lines[index][y] = self.lines[index + 1][y] = wire.net
        return y


def routed(
    columns: Sequence[Column],
    sizes: Mapping[str, tuple[float, float]],
    grid: Grid,
    wires: Sequence[Wire],
    left: float,
) -> Plane:
    """Give every column its place from `left` on, every box its rectangle, and every wire its course."""
    table = _Table(columns, sizes, grid)
    sideways = [
        w for w in wires if table.of[w.source] != table.of[w.target] or not table.below(w.source, w.target)
    ]
    ports = _ports(table, sideways)
    courses = {wire: _course(table, wire, ports) for wire in sideways}
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


def _ports(table: _Table, wires: Sequence[Wire]) -> dict[tuple[str, int, str], float]:
    """The height at which each net leaves or enters a box at a gap: in the order of the other ends."""
    ends: dict[tuple[str, int], dict[str, list[float]]] = {}
    for wire in wires:
        out, into = table.side(wire)
        for box, gap, other in ((wire.source, out, wire.target), (wire.target, into, wire.source)):
            ends.setdefault((box, gap), {}).setdefault(wire.net, []).append(table.heights[other])
    ports: dict[tuple[str, int, str], float] = {}
    for (box, gap), nets in ends.items():
        order = sorted(nets, key=lambda net: sum(nets[net]) / len(nets[net]))
        room = table.sizes[box][1] * 0.7
        step = min(14.0, room / max(1, len(order)))
        for place, net in enumerate(order):
            wanted = table.heights[box] + (place - (len(order) - 1) / 2) * step
            ports[box, gap, net] = y = _port(table, box, gap, net, wanted)
            table.lines[gap][y] = net
    return ports


def _port(table: _Table, box: str, gap: int, net: str, wanted: float) -> float:
    """The height nearest to the one wanted at which a net can have the gap before a box to itself."""
    room = table.sizes[box][1] / 2 - CLEAR
    steps = (sign * step * (CLEAR + 0.5) for step in range(8) for sign in (1, -1))
    heights = (wanted + step for step in steps)
    fitting = (y for y in heights if abs(y - table.heights[box]) <= room and table.alone(gap, y, net))
    return next(fitting, wanted)


def _course(table: _Table, wire: Wire, ports: Mapping[tuple[str, int, str], float]) -> _Course:
    first, last = table.side(wire)
    out, into = ports[wire.source, first, wire.net], ports[wire.target, last, wire.net]
    across = table.gap_between(wire, out, into)
    return _Course(first, last, out, into if across is None else across, into)


def _tracks(courses: Mapping[Wire, _Course], gaps: int) -> list[dict[str, int]]:
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
    course: _Course,
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
