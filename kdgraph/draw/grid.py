"""Where the boxes of a picture stand: columns of lanes, rows of levels.

Graphviz lays out what is inside a box. Around it, its ranks would break what a reader compares by: that the
same level of both models stands at the same height. So the boxes stand in a table, and their wires run
between its columns (`kdgraph.draw.routes`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["Band", "Column", "Grid", "Rect", "stack"]

PADDING = 18
"""Above the first box and below the last box of a row."""


@dataclass(frozen=True)
class Rect:
    """A box: its centre and its size."""

    x: float
    y: float
    w: float
    h: float

    @property
    def left(self) -> float:
        return self.x - self.w / 2

    @property
    def right(self) -> float:
        return self.x + self.w / 2

    @property
    def top(self) -> float:
        return self.y - self.h / 2

    @property
    def bottom(self) -> float:
        return self.y + self.h / 2


@dataclass(frozen=True)
class Column:
    """A lane: its boxes from above in each row, by the row's number, and the space between two of them."""

    title: str
    role: str
    cells: Mapping[int, Sequence[str]] = field(repr=False)
    gap: float = 22

    @property
    def keys(self) -> list[str]:
        return [key for row in sorted(self.cells) for key in self.cells[row]]


@dataclass(frozen=True)
class Band:
    """A row: all that is of one level, from `y` downwards."""

    row: int
    y: float
    h: float


@dataclass(frozen=True)
class Grid:
    """The rows of a picture, and the height at which each box stands."""

    bands: tuple[Band, ...]
    heights: Mapping[str, float] = field(repr=False)  # of the centres
    height: float


def stack(columns: Sequence[Column], sizes: Mapping[str, tuple[float, float]], top: float) -> Grid:
    """Rows as high as their highest stack; lower ones stand in the middle. `sizes`: (width, height)."""
    bands: list[Band] = []
    heights: dict[str, float] = {}
    y = top
    for row in sorted({row for column in columns for row in column.cells if column.cells[row]}):
        stacks = [(column, column.cells.get(row, ())) for column in columns]
        high = max(_height(column, keys, sizes) for column, keys in stacks) + 2 * PADDING
        bands.append(Band(row, y, high))
        for column, keys in stacks:
            at = y + (high - _height(column, keys, sizes)) / 2
            for key in keys:
                heights[key] = at + sizes[key][1] / 2
                at += sizes[key][1] + column.gap
        y += high
    return Grid(tuple(bands), heights, y)


def _height(column: Column, keys: Sequence[str], sizes: Mapping[str, tuple[float, float]]) -> float:
    return sum(sizes[key][1] for key in keys) + column.gap * max(0, len(keys) - 1)
