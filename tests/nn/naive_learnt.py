"""The criteria with parameters of their own once more, in plain loops: as in `naive`, the same arguments.

Parameters come as `state`, nested lists by name; `size` is the maps' height and width.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from statistics import fmean
from typing import Any

from tests.nn.naive import Maps, Mask, mimic, softmax
from tests.nn.naive_features import Rows, squares

State = dict[str, Any]


def convolved(image: Rows, weight: list[Any], bias: list[float], size: tuple[int, int]) -> Rows:
    """A 3x3 convolution with zeros around the map."""
    height, width = size
    result = []
    for kernels, offset in zip(weight, bias, strict=True):
        values = []
        for y, x in cells(size):
            value = offset
            for channel, kernel in zip(image, kernels, strict=True):
                for dy, dx in cells((3, 3)):
                    row, column = y + dy - 1, x + dx - 1
                    if 0 <= row < height and 0 <= column < width:
                        value += kernel[dy][dx] * channel[row * width + column]
            values.append(value)
        result.append(values)
    return result


def cells(size: tuple[int, int]) -> Iterator[tuple[int, int]]:
    return ((y, x) for y in range(size[0]) for x in range(size[1]))


def mgd(
    student: Maps,
    teacher: Maps,
    mask: Mask,
    size: tuple[int, int],
    state: State,
    drop: float = 0.0,
    kept: Mask | None = None,
) -> float:
    """With the cells `kept`, all of them without."""
    generated = []
    for image, weights in zip(student, kept or mask, strict=True):
        left = [[v * w for v, w in zip(channel, weights, strict=True)] for channel in image]
        hidden = convolved(left, state["first.weight"], state["first.bias"], size)
        positive = [[max(0.0, v) for v in channel] for channel in hidden]
        generated.append(convolved(positive, state["second.weight"], state["second.bias"], size))
    return mimic(generated, teacher, mask)


def fgd(
    student: Maps,
    teacher: Maps,
    mask: Mask,
    size: tuple[int, int],
    state: State,
    objects: list[Any],
    temperature: float = 0.5,
    foreground: float = 1e-3,
    background: float = 5e-4,
    attention: float = 1e-3,
    relation: float = 5e-6,
) -> float:
    total = 0.0
    for index, (s, t) in enumerate(zip(student, teacher, strict=True)):
        boxes = [box for image, box in zip(objects[0], objects[2], strict=True) if image == index]
        (where_s, which_s), (where_t, which_t) = (attentions(x, temperature) for x in (s, t))
        inside = shares(boxes, size)
        outside = [float(w == 0) for w in inside]
        empty = max(1.0, sum(outside))
        for c, (one, other) in enumerate(zip(s, t, strict=True)):
            for i, (a, b) in enumerate(zip(one, other, strict=True)):
                weight = foreground * inside[i] + background * outside[i] / empty
                total += weight * where_t[i] * which_t[c] * (a - b) ** 2
        total += attention * sum(abs(a - b) for a, b in zip(where_s, where_t, strict=True))
        total += attention * sum(abs(a - b) for a, b in zip(which_s, which_t, strict=True))
        contexts = (in_context(x, state, side) for x, side in ((s, "student"), (t, "teacher")))
        total += relation * len(s) * size[0] * size[1] * squares(*contexts)
    return total / len(student)


def attentions(image: Rows, temperature: float) -> tuple[list[float], list[float]]:
    """Of positions and of channels, each 1 on average."""
    magnitude = [[abs(v) for v in channel] for channel in image]
    by_position = [fmean(values) / temperature for values in zip(*magnitude, strict=True)]
    by_channel = [fmean(channel) / temperature for channel in magnitude]
    where, which = ([len(x) * p for p in softmax(x)] for x in (by_position, by_channel))
    return where, which


def shares(boxes: Rows, size: tuple[int, int]) -> list[float]:
    """At each cell 1 / the cells of the smallest box there."""
    height, width = size
    found = [0.0] * (height * width)
    for x, y, w, h in boxes:
        left, right = math.floor((x - w / 2) * width), math.ceil((x + w / 2) * width)
        top, bottom = math.floor((y - h / 2) * height), math.ceil((y + h / 2) * height)
        count = (right + 1 - left) * (bottom + 1 - top)
        for row, column in cells(size):
            if top <= row <= bottom and left <= column <= right:
                found[row * width + column] = max(found[row * width + column], 1 / count)
    return found


def in_context(image: Rows, state: State, side: str) -> Rows:
    """The features with their context added to every cell."""

    def linear(name: str, values: Sequence[float]) -> list[float]:
        weight, bias = (state[f"{side}_context.{name}.{key}"] for key in ("weight", "bias"))
        rows = [[kernel[0][0] for kernel in row] for row in weight]
        return [
            sum(w * v for w, v in zip(row, values, strict=True)) + b
            for row, b in zip(rows, bias, strict=True)
        ]

    share = softmax([linear("where", vector)[0] for vector in zip(*image, strict=True)])
    pooled = [sum(p * v for p, v in zip(share, channel, strict=True)) for channel in image]
    hidden = linear("squeeze", pooled)
    middle = fmean(hidden)
    width = math.sqrt(fmean((v - middle) ** 2 for v in hidden) + 1e-5)
    gain, offset = (state[f"{side}_context.norm.{key}"] for key in ("weight", "bias"))
    normed = [(v - middle) / width * g + o for v, g, o in zip(hidden, gain, offset, strict=True)]
    context = linear("expand", [max(0.0, v) for v in normed])
    return [[v + c for v in channel] for channel, c in zip(image, context, strict=True)]


CRITERIA: dict[str, Callable[..., float]] = {"mgd": mgd, "fgd": fgd}
