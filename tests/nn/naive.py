"""The criteria once more, from their formulas, in plain loops over numbers: slow and hard to get wrong.

Each takes student and teacher as nested lists `[image][channel][position]`, and `mask` as
`[image][position]`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from statistics import fmean, stdev
from typing import Any

from tests.nn.naive_gi import gi

Maps = list[list[list[float]]]
Mask = list[list[float]]
Distance = Callable[[Sequence[float], Sequence[float]], float]


def softmax(values: Sequence[float]) -> list[float]:
    powers = [math.exp(v - max(values)) for v in values]
    return [p / sum(powers) for p in powers]


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def entropy(probability: float, target: float) -> float:
    return -target * math.log(probability) - (1 - target) * math.log(1 - probability)


def divergence(student: Sequence[float], teacher: Sequence[float]) -> float:
    """KL(teacher || student) of two lists of logits."""
    pairs = zip(softmax(student), softmax(teacher), strict=True)
    return sum(t * math.log(t / s) for s, t in pairs)


def vectors(maps: Maps) -> Iterator[list[float]]:
    """The channel vector of each position, image after image."""
    for image in maps:
        for position in range(len(image[0])):
            yield [channel[position] for channel in image]


def mean_over_positions(student: Maps, teacher: Maps, mask: Mask, distance: Distance) -> float:
    total = 0.0
    flat = [w for image in mask for w in image]
    for weight, s, t in zip(flat, vectors(student), vectors(teacher), strict=True):
        total += weight * distance(s, t)
    return total / sum(flat)


def mimic(student: Maps, teacher: Maps, mask: Mask) -> float:
    def distance(s: Sequence[float], t: Sequence[float]) -> float:
        return fmean((a - b) ** 2 for a, b in zip(s, t, strict=True))

    return mean_over_positions(student, teacher, mask, distance)


def cosine(student: Maps, teacher: Maps, mask: Mask) -> float:
    def distance(s: Sequence[float], t: Sequence[float]) -> float:
        product = sum(a * b for a, b in zip(s, t, strict=True))
        return 1 - product / math.hypot(*s) / math.hypot(*t)

    return mean_over_positions(student, teacher, mask, distance)


def cwd(student: Maps, teacher: Maps, mask: Mask, tau: float = 1.0, norm: str = "none") -> float:
    if norm == "batch":
        student, teacher = (
            standardise(x, lambda v: math.sqrt(variance(v) + 1e-5)) for x in (student, teacher)
        )
    pairs = [
        ([v / tau for v in s], [v / tau for v in t])
        for one, other in zip(student, teacher, strict=True)
        for s, t in zip(one, other, strict=True)
    ]
    return tau**2 * fmean(divergence(s, t) for s, t in pairs)


def variance(values: Sequence[float]) -> float:
    return fmean((v - fmean(values)) ** 2 for v in values)


def standardise(maps: Maps, deviation: Callable[[list[float]], float]) -> Maps:
    """Each channel with mean 0, over its deviation; both over all images."""
    result: Maps = [[] for _ in maps]
    for channel in range(len(maps[0])):
        values = [v for image in maps for v in image[channel]]
        middle, width = fmean(values), deviation(values)
        for image, out in zip(maps, result, strict=True):
            out.append([(v - middle) / width for v in image[channel]])
    return result


def pkd(student: Maps, teacher: Maps, mask: Mask) -> float:
    student, teacher = (standardise(x, lambda v: stdev(v) + 1e-6) for x in (student, teacher))
    return mimic(student, teacher, mask) / 2


def bce(student: Maps, teacher: Maps, mask: Mask, temperature: float = 1.0) -> float:
    def distance(s: Sequence[float], t: Sequence[float]) -> float:
        return fmean(entropy(sigmoid(a), sigmoid(b / temperature)) for a, b in zip(s, t, strict=True))

    return mean_over_positions(student, teacher, mask, distance)


def kl(student: Maps, teacher: Maps, mask: Mask, temperature: float = 1.0, bins: int | None = None) -> float:
    def distance(s: Sequence[float], t: Sequence[float]) -> float:
        soft = zip(*(groups([v / temperature for v in x], bins or len(x)) for x in (s, t)), strict=True)
        return temperature**2 * fmean(divergence(a, b) for a, b in soft)

    return mean_over_positions(student, teacher, mask, distance)


def groups(values: Sequence[float], size: int) -> list[Sequence[float]]:
    return [values[i : i + size] for i in range(0, len(values), size)]


def qfl(student: Maps, teacher: Maps, mask: Mask, beta: float = 1.0) -> float:
    total = positives = 0.0
    flat = [w for image in mask for w in image]
    for weight, s, t in zip(flat, vectors(student), vectors(teacher), strict=True):
        scores = [(sigmoid(a), sigmoid(b)) for a, b in zip(s, t, strict=True)]
        total += weight * sum(abs(b - a) ** beta * entropy(a, b) for a, b in scores)
        positives += weight * max(b for _, b in scores)
    return total / max(1.0, positives)


def box_l2(student: Maps, teacher: Maps, mask: Mask, scale: float = 16.0, bins: int | None = None) -> float:
    def reach(values: Sequence[float]) -> list[float]:
        if bins is None:
            return list(values)
        return [sum(i * p for i, p in enumerate(softmax(side))) for side in groups(values, bins)]

    def distance(s: Sequence[float], t: Sequence[float]) -> float:
        return fmean(((a - b) / scale) ** 2 for a, b in zip(reach(s), reach(t), strict=True))

    return mean_over_positions(student, teacher, mask, distance)


CRITERIA: dict[str, Callable[..., Any]] = {
    "mimic": mimic,
    "cosine": cosine,
    "cwd": cwd,
    "pkd": pkd,
    "sl2": mimic,  # the same formula; its weights come as the mask
    "gi": gi,
    "bce": bce,
    "kl": kl,
    "qfl": qfl,
    "box_l2": box_l2,
}
