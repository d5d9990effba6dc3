"""Courses: at which heights a wire leaves its box, crosses the columns between, and enters the other box.

They are found before it is known how wide the gaps between the columns must be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kdgraph.draw.grid import Column, Grid

__all__ = ["CLEAR", "Course", "Table", "Wire", "course_of", "ports_of"]

CLEAR = 5
"""Between a wire that crosses a column and the boxes of the column, or another such wire."""


@dataclass(frozen=True)
class Wire:
    """From one box to another. Wires of one `net` carry one value."""

    source: str
    target: str
    net: str


@dataclass(frozen=True)
class Course:
    """How a wire goes: out at height `out`, along gap `first` to height `across`, along gap `last`, in."""

    first: int
    last: int
    out: float
    across: float
    into: float


class Table:
    """The columns with their boxes at their heights, and the level pieces of wires that have their place."""

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


def ports_of(table: Table, wires: Sequence[Wire]) -> dict[tuple[str, int, str], float]:
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


def _port(table: Table, box: str, gap: int, net: str, wanted: float) -> float:
    """The height nearest to the one wanted at which a net can have the gap before a box to itself."""
    room = table.sizes[box][1] / 2 - CLEAR
    steps = (sign * step * (CLEAR + 0.5) for step in range(8) for sign in (1, -1))
    heights = (wanted + step for step in steps)
    fitting = (y for y in heights if abs(y - table.heights[box]) <= room and table.alone(gap, y, net))
    return next(fitting, wanted)


def course_of(table: Table, wire: Wire, ports: Mapping[tuple[str, int, str], float]) -> Course:
    first, last = table.side(wire)
    out, into = ports[wire.source, first, wire.net], ports[wire.target, last, wire.net]
    across = table.gap_between(wire, out, into)
    return Course(first, last, out, into if across is None else across, into)
