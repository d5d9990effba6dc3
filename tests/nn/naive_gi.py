"""General instances in plain loops: boxes read from maps point by point, and the distances between them."""

from __future__ import annotations

import math
from statistics import fmean

Channel = list[list[float]]
Box = list[float]


def gi(
    student: list[list[list[float]]],
    teacher: list[list[list[float]]],
    mask: object,
    *,
    size: tuple[int, int],
    instances: list[list[Box]],
    cells: int = 10,
    relation: float = 1.0,
) -> float:
    """Maps come as `[image][channel][position]`, row after row of `size`; boxes of zeros are none."""
    apart: list[float] = []
    gaps: list[float] = []
    for s, t, row in zip(student, teacher, instances, strict=True):
        images = [[rows(channel, size[1]) for channel in side] for side in (s, t)]
        seen = [[features(image, box, cells) for box in row if any(box)] for image in images]
        apart += [fmean((a - b) ** 2 for a, b in zip(*both, strict=True)) for both in zip(*seen, strict=True)]
        pairs = [(i, j) for i in range(len(seen[0])) for j in range(len(seen[0])) if i != j]
        between = [[math.dist(side[i], side[j]) for i, j in pairs] for side in seen]
        if pairs:
            ours, theirs = ([d / (fmean(side) or 1.0) for d in side] for side in between)
            gaps += [abs(a - b) for a, b in zip(ours, theirs, strict=True)]
    smooth = [gap**2 / 2 if gap < 1 else gap - 0.5 for gap in gaps]
    return (fmean(apart) if apart else 0.0) + relation * (fmean(smooth) if smooth else 0.0)


def rows(channel: list[float], width: int) -> Channel:
    return [channel[i : i + width] for i in range(0, len(channel), width)]


def features(image: list[Channel], box: Box, cells: int) -> list[float]:
    steps = [(i + 0.5) / cells for i in range(cells)]
    points = [(box[0] + u * (box[2] - box[0]), box[1] + v * (box[3] - box[1])) for v in steps for u in steps]
    return [at(channel, *point) for channel in image for point in points]


def at(channel: Channel, x: float, y: float) -> float:
    """Between the centres of cells linearly, beyond them as the nearest; x and y are fractions."""
    height, width = len(channel), len(channel[0])
    across, down = (min(max(v * n - 0.5, 0), n - 1) for v, n in ((x, width), (y, height)))
    left, top = (min(int(v), max(n - 2, 0)) for v, n in ((across, width), (down, height)))
    right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
    u, v = across - left, down - top
    above = (1 - u) * channel[top][left] + u * channel[top][right]
    below = (1 - u) * channel[bottom][left] + u * channel[bottom][right]
    return (1 - v) * above + v * below
