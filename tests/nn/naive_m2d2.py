"""M2D2 once more: regions by flood fill, edges in dictionaries from position to probability."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence

from tests.nn.naive import Maps, Mask, groups, sigmoid, softmax

Cell = tuple[int, int]
SIGNS = (-1, -1, 1, 1)
"""Which way the bins of left, top, right and bottom count."""


def flood(owners: Sequence[int], size: tuple[int, int]) -> list[list[Cell]]:
    """The 8-connected regions of one owner, as rows and columns; owners below 0 have none."""
    height, width = size
    owner = {(y, x): owners[y * width + x] for y in range(height) for x in range(width)}
    left = {cell for cell, value in owner.items() if value >= 0}
    found = []
    while left:
        first = min(left)
        region, edge = [], [first]
        left.remove(first)
        while edge:
            y, x = edge.pop()
            region.append((y, x))
            around = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            near = {cell for cell in around if owner[cell] == owner[first]}
            left -= near
            edge += near
        found.append(sorted(region))
    return found


def mixture(
    region: Sequence[Cell], soft: dict[Cell, list[float]], weights: dict[Cell, float], side: int
) -> dict[Cell, list[float]]:
    """The target of each cell for one side; `soft` the cells' own distributions of it."""
    axis, sign = (1, 0)[side % 2], SIGNS[side]
    edges: dict[int, float] = defaultdict(float)
    for cell in region:
        for step, p in enumerate(soft[cell]):
            edges[cell[axis] + sign * step] += weights[cell] * p
    goal = {}
    for cell in region:
        own = [edges[cell[axis] + sign * step] for step in range(len(soft[cell]))]
        goal[cell] = [p / sum(own) for p in own]
    return goal


def m2d2(
    student: Maps,
    teacher: Maps,
    mask: Mask,
    temperature: float = 1.0,
    variant: str = "mixture",
    pooling: str = "uniform",
    *,
    bins: int,
    size: tuple[int, int],
    teacher_cls: Maps,
    target: list[list[int]],
) -> float:
    total = count = 0.0
    for image, owners in enumerate(target):

        def logits(maps: Maps, cell: Cell, side: int, image: int = image) -> list[float]:
            position = cell[0] * size[1] + cell[1]
            return [v / temperature for v in groups([c[position] for c in maps[image]], bins)[side]]

        for region in flood(owners, size):
            weights = {
                cell: max(sigmoid(c[cell[0] * size[1] + cell[1]]) for c in teacher_cls[image])
                if pooling == "score"
                else 1.0
                for cell in region
            }
            for side in range(4):
                theirs = {cell: logits(teacher, cell, side) for cell in region}
                if variant == "mixture":
                    soft = {cell: softmax(values) for cell, values in theirs.items()}
                    goal = mixture(region, soft, weights, side)
                else:
                    mean = [
                        sum(weights[c] * theirs[c][step] for c in region) / sum(weights.values())
                        for step in range(bins)
                    ]
                    goal = dict.fromkeys(region, softmax(mean))
                for cell in region:
                    ours = softmax(logits(student, cell, side))
                    costs = [g * math.log(g / p) for g, p in zip(goal[cell], ours, strict=True) if g > 0]
                    weight = mask[image][cell[0] * size[1] + cell[1]]
                    total += weight * temperature**2 * sum(costs) / 4
                    count += weight / 4
    return total / count if count else 0.0


CRITERIA: dict[str, Callable[..., float]] = {"m2d2": m2d2}
