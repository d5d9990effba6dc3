"""What a label line must hold, for each task: Ultralytics' rules, in the words of a user."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Rows"]

_MEND = "coordinates from 0 to 1; mend it or take it out"
_HINTS: Mapping[str, str] = {
    "detect": "each line is `class x y width height`, centre and size from 0 to 1; mend it or take it out",
    "segment": f"each line is `class x1 y1 x2 y2 x3 y3 …`, {_MEND}; boxes need a student that detects",
    "obb": f"each line is `class x1 y1 x2 y2 x3 y3 x4 y4`, {_MEND}; boxes need a student that detects",
    "pose": f"each line is `class x y width height` and {{points}} times `{{each}}`, {_MEND}; "
    "boxes need a student that detects",
}


@dataclass(frozen=True)
class Rows:
    """Judges the lines of a task: detect, segment, pose or obb.

    kpt_shape: keypoints of an object and numbers for each (x, y, perhaps visibility), if the data has some.
    """

    task: str = "detect"
    kpt_shape: tuple[int, int] | None = None

    @property
    def pose_columns(self) -> int:
        """Numbers in a line with keypoints; 0 where the data has none."""
        return 5 + self.kpt_shape[0] * self.kpt_shape[1] if self.kpt_shape else 0

    @property
    def hint(self) -> str:
        """How the lines are to be written."""
        points, ndim = self.kpt_shape or (0, 0)
        return _HINTS[self.task].format(points=points, each="x y visibility" if ndim == 3 else "x y")

    def fault(self, fields: Sequence[str]) -> str:
        """Why Ultralytics could not use a line for the task; empty when it can."""
        try:
            numbers = [float(each) for each in fields]
        except ValueError:
            return "not all numbers"
        wrong = _COUNTS[self.task](self, len(numbers))
        if wrong:
            return f"{len(numbers)} numbers where {wrong}"
        if numbers[0] % 1 or numbers[0] < 0:
            return f"{fields[0]} is no class number"
        if not all(-0.01 <= value <= 1.01 for value in self._coordinates(numbers)):
            return "coordinates outside 0 to 1: they are fractions of the image, not pixels"
        return ""

    def is_polygon(self, count: int) -> bool:
        """Whether a line of so many numbers is a class and the corners of a polygon."""
        return count > 6 and count % 2 == 1 and count != self.pose_columns

    def _coordinates(self, numbers: list[float]) -> list[float]:
        """The numbers of a line that are fractions of the image: not the class, not the visibilities."""
        if len(numbers) != self.pose_columns:
            return numbers[1:]
        if self.task != "pose" or self.kpt_shape is None:
            return numbers[1:5]  # the keypoints are dropped
        ndim = self.kpt_shape[1]
        return numbers[1:5] + [value for index, value in enumerate(numbers[5:]) if index % ndim < 2]


def _detect(rows: Rows, count: int) -> str:
    """A polygon and a pose have a box too."""
    fits = count in (5, rows.pose_columns) or rows.is_polygon(count)
    return "" if fits else "a box has 5"


def _segment(rows: Rows, count: int) -> str:
    return "" if rows.is_polygon(count) else "a polygon has 7, 9 or more"


def _pose(rows: Rows, count: int) -> str:
    points = rows.kpt_shape[0] if rows.kpt_shape else 0
    return "" if count == rows.pose_columns else f"a pose of {points} keypoints has {rows.pose_columns}"


def _obb(rows: Rows, count: int) -> str:
    """Of any polygon Ultralytics takes the smallest rectangle around it."""
    return "" if rows.is_polygon(count) else "a rotated box has 9"


_COUNTS: Mapping[str, Callable[[Rows, int], str]] = {
    "detect": _detect,
    "segment": _segment,
    "pose": _pose,
    "obb": _obb,
}
"""What a line of so many numbers should be; empty when it is that."""
