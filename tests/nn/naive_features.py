"""The feature criteria once more, from their formulas, in plain loops: as in `naive`, the same arguments."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import fmean

from tests.nn.naive import Maps, Mask, mean_over_positions, mimic, sigmoid, softmax, vectors

Rows = list[list[float]]


def rms(values: Sequence[float]) -> float:
    return math.sqrt(fmean(v * v for v in values))


def scaled(maps: Maps) -> Maps:
    """Each image with a root mean square of 1."""
    sizes = [rms([v for channel in image for v in channel]) for image in maps]
    return [[[v / n for v in c] for c in image] for image, n in zip(maps, sizes, strict=True)]


def mimic_of(student: Maps, teacher: Maps, mask: Mask, norm: str = "none") -> float:
    if norm == "image":
        student, teacher = scaled(student), scaled(teacher)
    return mimic(student, teacher, mask)


def pfi(student: Maps, teacher: Maps, mask: Mask, student_cls: Maps, teacher_cls: Maps) -> float:
    total = positives = 0.0
    cells = (vectors(x) for x in (student, teacher, student_cls, teacher_cls))
    for weight, s, t, zs, zt in zip((w for image in mask for w in image), *cells, strict=True):
        apart = sum((sigmoid(a) - sigmoid(b)) ** 2 for a, b in zip(zs, zt, strict=True))
        total += weight * apart * fmean((a - b) ** 2 for a, b in zip(s, t, strict=True))
        positives += weight * max(sigmoid(z) for z in zt)
    return total / max(1.0, positives)


def magnitudes(maps: Maps, power: float) -> Maps:
    """`[image][0][position]`, the sum over channels of |x|^power."""
    return [[[sum(abs(c[i]) ** power for c in image) for i in range(len(image[0]))]] for image in maps]


def attention(student: Maps, teacher: Maps, mask: Mask, power: float = 2.0, distance: str = "l2") -> float:
    s, t = (scaled(magnitudes(x, power)) for x in (student, teacher))
    if distance == "l2":
        return mimic(s, t, mask)
    return fmean(
        fmean(weights) * (1 - fmean(a * b for a, b in zip(one[0], other[0], strict=True)))
        for one, other, weights in zip(s, t, mask, strict=True)
    )


def spatial_softmax(student: Maps, teacher: Maps, mask: Mask, temperature: float = 1.0) -> float:
    s, t = (
        [[softmax([v / temperature for v in image[0]])] for image in magnitudes(x, 1)]
        for x in (student, teacher)
    )
    return mean_over_positions(s, t, mask, lambda a, b: (a[0] - b[0]) ** 2) * len(mask[0])


def means(maps: Maps) -> Rows:
    """`[image][channel]`"""
    return [[fmean(channel) for channel in image] for image in maps]


def gap_mse(student: Maps, teacher: Maps, mask: Mask) -> float:
    return squares(means(student), means(teacher))


def squares(one: Rows, other: Rows) -> float:
    return fmean((a - b) ** 2 for x, y in zip(one, other, strict=True) for a, b in zip(x, y, strict=True))


def channel_softmax(student: Maps, teacher: Maps, mask: Mask, temperature: float = 1.0) -> float:
    s, t = ([softmax([v / temperature for v in image]) for image in means(x)] for x in (student, teacher))
    return squares(s, t) * len(student[0]) ** 2


def gram_mse(student: Maps, teacher: Maps, mask: Mask) -> float:
    return fmean(
        (angle(one[i], one[j]) - angle(other[i], other[j])) ** 2
        for one, other in zip(student, teacher, strict=True)
        for i in range(len(one))
        for j in range(len(one))
    )


def angle(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)


def mmd(student: Maps, teacher: Maps, mask: Mask, sigma: float = 1.0) -> float:
    def likeness(ours: Rows, theirs: Rows) -> float:
        pairs = [(a, b) for a in ours for b in theirs]
        return fmean(math.exp(-squares([a], [b]) / (2 * sigma**2)) for a, b in pairs)

    s, t = means(student), means(teacher)
    return likeness(s, s) + likeness(t, t) - 2 * likeness(s, t)


CRITERIA: dict[str, Callable[..., float]] = {
    "mimic": mimic_of,
    "pfi": pfi,
    "attention": attention,
    "spatial_softmax": spatial_softmax,
    "channel_softmax": channel_softmax,
    "gap_mse": gap_mse,
    "gram_mse": gram_mse,
    "mmd": mmd,
}
