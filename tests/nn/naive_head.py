"""Criteria on class logits and boxes once more, in plain loops; see `naive`.

Signals with cells are lists as well, `[image][channel][position]`, or `[image][position]` for whole numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import fmean, stdev
from typing import Any

from tests.nn.naive import Maps, Mask, divergence, groups, mean_over_positions, sigmoid, softmax, vectors

Labels = list[list[int]]
Box = Sequence[float]


def logit_std(student: Maps, teacher: Maps, mask: Mask, temperature: float = 2.0) -> float:
    def standardised(values: Sequence[float]) -> list[float]:
        width = temperature * (stdev(values) + 1e-7)
        return [(v - fmean(values)) / width for v in values]

    def distance(s: Sequence[float], t: Sequence[float]) -> float:
        return temperature**2 * divergence(standardised(s), standardised(t))

    return mean_over_positions(student, teacher, mask, distance)


def pearson(a: Sequence[float], b: Sequence[float], weights: Sequence[float]) -> float:
    def centred(values: Sequence[float]) -> list[float]:
        middle = math.fsum(w * v for w, v in zip(weights, values, strict=True)) / math.fsum(weights)
        return [v - middle for v in values]

    a, b = centred(a), centred(b)
    products = [[w * x * y for w, x, y in zip(weights, *p, strict=True)] for p in ((a, b), (a, a), (b, b))]
    both, one, other = map(math.fsum, products)
    return both / (math.sqrt(one * other) + 1e-8)


def dist(
    student: Maps, teacher: Maps, mask: Mask, temperature: float = 1.0, inter: float = 1.0, intra: float = 1.0
) -> float:
    flat = [w for image in mask for w in image]
    ours, theirs = (
        [softmax([v / temperature for v in x]) for x in vectors(maps)] for maps in (student, teacher)
    )
    alike = [1.0] * len(ours[0])
    cells = [w * (1 - pearson(s, t, alike)) for w, s, t in zip(flat, ours, theirs, strict=True)]
    columns = zip(zip(*ours, strict=True), zip(*theirs, strict=True), strict=True)
    classes = fmean(1 - pearson(s, t, flat) for s, t in columns)
    return temperature**2 * (inter * sum(cells) / sum(flat) + intra * classes)


def over_labelled(
    student: Maps, teacher: Maps, mask: Mask, label: Labels, distance: Callable[..., float]
) -> float:
    """Weighted mean of `distance(s, t, y)` over the cells that have a class."""
    total = count = 0.0
    flat = [(w, y) for image, own in zip(mask, label, strict=True) for w, y in zip(image, own, strict=True)]
    for (weight, y), s, t in zip(flat, vectors(student), vectors(teacher), strict=True):
        if y >= 0:
            total += weight * distance(s, t, y)
            count += weight
    return total / count if count else 0.0


def without(values: Sequence[float], index: int) -> list[float]:
    return [v for i, v in enumerate(values) if i != index]


def dkd(
    student: Maps,
    teacher: Maps,
    mask: Mask,
    temperature: float = 1.0,
    alpha: float = 1.0,
    beta: float = 8.0,
    *,
    label: Labels,
) -> float:
    def distance(s: list[float], t: list[float], y: int) -> float:
        s, t = ([v / temperature for v in x] for x in (s, t))
        ours, theirs = softmax(s)[y], softmax(t)[y]
        target = theirs * math.log(theirs / ours) + (1 - theirs) * math.log((1 - theirs) / (1 - ours))
        return temperature**2 * (alpha * target + beta * divergence(without(s, y), without(t, y)))

    return over_labelled(student, teacher, mask, label, distance)


def nkd(
    student: Maps, teacher: Maps, mask: Mask, temperature: float = 1.0, gamma: float = 1.5, *, label: Labels
) -> float:
    def distance(s: list[float], t: list[float], y: int) -> float:
        rest = [softmax(without([v / temperature for v in x], y)) for x in (s, t)]
        others = sum(b * math.log(a) for a, b in zip(*rest, strict=True))
        return -softmax(t)[y] * math.log(softmax(s)[y]) - gamma * temperature**2 * others

    return over_labelled(student, teacher, mask, label, distance)


def rank(
    student: Maps,
    teacher: Maps,
    mask: Mask,
    temperature: float = 1.0,
    *,
    objects: list[list[Any]],
    target: Labels,
    label: Labels,
) -> float:
    costs = []
    for number, kind in enumerate(objects[1]):
        cells = [
            (image, cell)
            for image, owners in enumerate(target)
            for cell, owner in enumerate(owners)
            if owner == number and mask[image][cell] > 0
        ]
        assert all(label[image][cell] == kind[0] for image, cell in cells)
        scores = [[x[i][int(kind[0])][c] / temperature for i, c in cells] for x in (student, teacher)]
        costs += [divergence(*scores)] if cells else []
    return fmean(costs) if costs else 0.0


def ld(
    student: Maps,
    teacher: Maps,
    mask: Mask,
    temperature: float = 10.0,
    reduction: str = "mean",
    *,
    bins: int,
) -> float:
    def distance(s: Sequence[float], t: Sequence[float]) -> float:
        return fmean(sides(s, t, temperature, bins)) / (bins if reduction == "mean" else 1)

    return mean_over_positions(student, teacher, mask, distance)


def sides(s: Sequence[float], t: Sequence[float], temperature: float, bins: int) -> list[float]:
    """The divergence of each side."""
    soft = zip(*(groups([v / temperature for v in x], bins) for x in (s, t)), strict=True)
    return [temperature**2 * divergence(a, b) for a, b in soft]


def reach(values: Sequence[float], bins: int | None) -> Box:
    if bins is None:
        return values
    return [sum(i * p for i, p in enumerate(softmax(side))) for side in groups(values, bins)]


def areas(a: Box, b: Box) -> tuple[float, float, float]:
    """Of the intersection, of the union, and of the box around both, all around one anchor."""

    def area(box: Sequence[float]) -> float:
        return max(0.0, box[0] + box[2]) * max(0.0, box[1] + box[3])

    overlap = area([min(p) for p in zip(a, b, strict=True)])
    return overlap, area(a) + area(b) - overlap, area([max(p) for p in zip(a, b, strict=True)])


def ddf(
    student: Maps,
    teacher: Maps,
    mask: Mask,
    temperature: float = 5.0,
    *,
    bins: int,
    teacher_cls: Maps,
    target: Labels,
    target_box: Maps,
) -> float:
    total, count = {True: 0.0, False: 0.0}, {True: 0.0, False: 0.0}
    flat = [(w, n) for image, own in zip(mask, target, strict=True) for w, n in zip(image, own, strict=True)]
    beside = zip(vectors(teacher_cls), vectors(target_box), strict=True)
    for (weight, owner), s, t, (logits, box) in zip(
        flat, vectors(student), vectors(teacher), beside, strict=True
    ):
        overlap, union, _ = areas(reach(s, bins), box)
        sure = overlap / union if owner >= 0 else max(map(sigmoid, logits))
        total[owner >= 0] += weight * sure * fmean(sides(s, t, temperature, bins))
        count[owner >= 0] += weight
    means = {k: total[k] / count[k] if count[k] else 0.0 for k in total}
    roots = {k: math.sqrt(v) for k, v in count.items()}
    return sum(roots[k] * means[k] for k in roots) / sum(roots.values())


def iou(
    student: Maps,
    teacher: Maps,
    mask: Mask,
    *,
    bins: int | None = None,
    student_cls: Maps,
    teacher_cls: Maps,
) -> float:
    total = positives = 0.0
    flat = [w for image in mask for w in image]
    scores = zip(vectors(student_cls), vectors(teacher_cls), strict=True)
    for weight, s, t, (ours, theirs) in zip(flat, vectors(student), vectors(teacher), scores, strict=True):
        overlap, union, hull = areas(reach(s, bins), reach(t, bins))
        union, hull = max(union, 1e-6), max(hull, 1e-6)
        gap = max(abs(sigmoid(a) - sigmoid(b)) for a, b in zip(ours, theirs, strict=True))
        total += weight * gap * (1 - overlap / union + (hull - union) / hull)
        positives += weight * max(map(sigmoid, theirs))
    return total / max(1.0, positives)


CRITERIA: dict[str, Callable[..., float]] = {
    "logit_std": logit_std,
    "dist": dist,
    "dkd": dkd,
    "nkd": nkd,
    "rank": rank,
    "ld": ld,
    "ddf": ddf,
    "iou": iou,
}
