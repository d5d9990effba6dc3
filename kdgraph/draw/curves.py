"""Lines as Graphviz takes them: Bézier curves of 1 + 3n points."""

from __future__ import annotations

from collections.abc import Sequence
from math import hypot

from kdgraph.draw.routes import Point

__all__ = ["rounded", "with_tip"]

_CORNER = 7.0
_ARROW = 7.0


def rounded(points: Sequence[Point]) -> list[Point]:
    """A line with corners as a curve that takes them round."""
    curve: list[Point] = [points[0]]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        start, end = _towards(corner, before, _CORNER), _towards(corner, after, _CORNER)
        curve += [curve[-1], start, start, corner, corner, end]
    return [*curve, curve[-1], points[-1], points[-1]]


def with_tip(curve: Sequence[Point]) -> list[Point]:
    """A curve that ends where its arrow begins."""
    end = curve[-1]
    before = next((point for point in reversed(curve) if point != end), end)
    base = _towards(end, before, _ARROW)
    return [*curve[:-2], base, base]


def _towards(corner: Point, other: Point, far: float) -> Point:
    """The point `far` from a corner on the way to another, but not beyond the middle."""
    (x, y), (u, v) = corner, other
    length = hypot(u - x, v - y)
    part = min(far, length / 2) / length if length else 0.0
    return x + (u - x) * part, y + (v - y) * part
