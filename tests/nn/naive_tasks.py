"""Criteria between masks, keypoints and angles once more, in plain loops; see `naive`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from statistics import fmean
from typing import Any

from tests.nn.naive import Maps, Mask, entropy, mean_over_positions, sigmoid

Cell = tuple[int, int, int, int]
"""Row and column of a cell, rows and columns of its map."""


def divergence(ours: float, theirs: float, temperature: float = 1.0) -> float:
    """Between two outcomes with these logits."""
    s, t = sigmoid(ours / temperature), sigmoid(theirs / temperature)
    return temperature**2 * (entropy(s, t) - entropy(t, t))


def masks(
    student: Maps,
    teacher: Maps,
    mask: Mask,
    student_proto: list[list[list[list[float]]]],
    teacher_proto: list[list[list[list[float]]]],
    teacher_box: Maps,
    maps: list[list[list[list[list[float]]]]],
    temperature: float = 1.0,
) -> float:
    """At all cells, with prototypes of one size."""
    total = 0.0
    places = [place for part in maps for place in cells(len(part[0][0]), len(part[0][0][0]))]
    images = zip(student, teacher, mask, student_proto, teacher_proto, teacher_box, strict=True)
    for ours, theirs, weights, our_proto, their_proto, boxes in images:
        for cell, place in enumerate(places):
            costs = []
            for y, x, rows, columns in cells(len(our_proto[0]), len(our_proto[0][0])):
                point = (x + 0.5) / columns, (y + 0.5) / rows
                if inside(point, place, [side[cell] for side in boxes]):
                    s, t = logit(ours, our_proto, cell, y, x), logit(theirs, their_proto, cell, y, x)
                    costs.append(divergence(s, t, temperature))
            total += weights[cell] * (fmean(costs) if costs else 0.0)
    return total / sum(w for image in mask for w in image)


def cells(rows: int, columns: int) -> Iterator[Cell]:
    return ((y, x, rows, columns) for y in range(rows) for x in range(columns))


def logit(image: Sequence[Sequence[float]], proto: Any, cell: int, y: int, x: int) -> float:
    return sum(channel[cell] * values[y][x] for channel, values in zip(image, proto, strict=True))


def inside(point: tuple[float, float], cell: Cell, box: Sequence[float]) -> bool:
    """Whether a point, in fractions of the image, is in the box by its distances from the cell, in cells."""
    y, x, rows, columns = cell
    left, top, right, bottom = box
    across, down = point[0] * columns - x - 0.5, point[1] * rows - y - 0.5
    return -left < across < right and -top < down < bottom


def keypoints(
    student: Maps, teacher: Maps, mask: Mask, keypoints: tuple[int, int], delta: float = 1.0
) -> float:
    count, numbers = keypoints

    def smooth(gap: float) -> float:
        return gap**2 / (2 * delta) if gap < delta else gap - delta / 2

    def of_point(s: Sequence[float], t: Sequence[float]) -> float:
        cost = smooth(abs(s[0] - t[0])) + smooth(abs(s[1] - t[1]))
        return cost * sigmoid(t[2]) + divergence(s[2], t[2]) if numbers == 3 else cost

    def distance(s: Sequence[float], t: Sequence[float]) -> float:
        firsts = range(0, count * numbers, numbers)
        return fmean(of_point(s[first : first + numbers], t[first : first + numbers]) for first in firsts)

    return mean_over_positions(student, teacher, mask, distance)


def angle(student: Maps, teacher: Maps, mask: Mask) -> float:
    """sin^2 d is (1 - cos 2d) / 2."""

    def distance(s: Sequence[float], t: Sequence[float]) -> float:
        return (1 - math.cos(2 * (s[0] - t[0]))) / 2

    return mean_over_positions(student, teacher, mask, distance)


CRITERIA: dict[str, Callable[..., float]] = {"masks": masks, "keypoints": keypoints, "angle": angle}
