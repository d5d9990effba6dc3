"""Label lines of the built-in datasets: where a glyph is, as each task writes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from kdgraph.train.scenes import SIZE, Array, Glyph, Point

KEYPOINTS: Mapping[str, Any] = {"kpt_shape": [5, 3], "flip_idx": [1, 0, 3, 2, 4]}
"""What a dataset of poses says of its keypoints: a glyph's four corners and its centre."""


def box_line(glyph: Glyph) -> str:
    """Class, then centre, width and height of what can be seen."""
    return _line(glyph.label, _box(glyph))


def outline_line(glyph: Glyph) -> str:
    """Class, then the corners of the whole glyph within the picture: what others cover is part of it.

    A hole is cut by going there, round it and back on the same way.
    """
    outer, *holes = glyph.contours
    corners = [*outer, *(point for hole in holes for point in (outer[0], *hole, hole[0]))]
    corners += [outer[0]] * bool(holes)
    return _line(glyph.label, _within(np.array(corners)).ravel() / SIZE)


def pose_line(glyph: Glyph) -> str:
    """Class, box, then x, y and visibility of the frame's corners and centre; 0 0 0 beyond the picture."""
    points = [*glyph.frame, _centre(glyph.frame)]
    inside = [0 <= x <= SIZE and 0 <= y <= SIZE for x, y in points]
    keypoints = [
        (x / SIZE, y / SIZE, 2) if seen else (0, 0, 0) for (x, y), seen in zip(points, inside, strict=True)
    ]
    return _line(glyph.label, [*_box(glyph), *(value for keypoint in keypoints for value in keypoint)])


def rotated_line(glyph: Glyph) -> str:
    """Class, then the corners of the turned box around what lies within the picture."""
    upper_left, upper_right, _, lower_left = np.array(glyph.frame)
    axes = np.array([upper_right - upper_left, lower_left - upper_left])
    along = (_within(np.array(glyph.contours[0])) - upper_left) @ np.linalg.inv(axes)
    (left, top), (right, bottom) = along.min(0), along.max(0)
    corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)]) @ axes + upper_left
    return _line(glyph.label, corners.ravel().clip(0, SIZE) / SIZE)  # beyond it Ultralytics refuses them


LINES: Mapping[str, Callable[[Glyph], str]] = {
    "glyphs": box_line,
    "glyphs-seg": outline_line,
    "glyphs-pose": pose_line,
    "glyphs-obb": rotated_line,
}
"""How each dataset writes a glyph."""


def _line(label: int, fractions: Iterable[float]) -> str:
    return f"{label} " + " ".join(f"{value:.6f}" for value in fractions) + "\n"


def _box(glyph: Glyph) -> list[float]:
    """Centre, width and height in fractions of the picture."""
    centre = (glyph.left + glyph.right) / 2, (glyph.top + glyph.bottom) / 2
    return [value / SIZE for value in (*centre, glyph.right - glyph.left, glyph.bottom - glyph.top)]


def _centre(points: Iterable[Point]) -> Point:
    x, y = np.mean(list(points), axis=0)
    return float(x), float(y)


def _within(polygon: Array) -> Array:
    """The part of a polygon [N, 2] that lies in the picture (Sutherland and Hodgman, 1974)."""
    for axis in (0, 1):
        for edge, side in ((0.0, 1.0), (float(SIZE), -1.0)):
            polygon = _cut(polygon, axis, edge, side)
    return polygon


def _cut(polygon: Array, axis: int, edge: float, side: float) -> Array:
    """What of a polygon lies on the inner side of one edge of the picture."""
    kept: list[Array] = []
    for start, end in zip(polygon, np.roll(polygon, -1, 0), strict=True):
        before, after = (side * (point[axis] - edge) for point in (start, end))
        if before >= 0:
            kept.append(start)
        if (before >= 0) != (after >= 0):
            kept.append(start + (end - start) * before / (before - after))
    return np.array(kept)
