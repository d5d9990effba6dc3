"""What teacher and student see of an image, as pictures: maps [H,W] of the tensors that an edge compares."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import log

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from kdgraph.nn.dfl import sides
from kdgraph.nn.signals import at_level
from kdgraph.spec.components import Layout
from kdgraph.train.compared import Values

__all__ = ["MapPair", "Measure", "maps_of", "measures_of"]


@dataclass(frozen=True)
class Measure:
    """A way to make one number per cell, [B,H,W], of a tensor [B,C,H,W].

    `signed` numbers may be negative; colours begin at 0 where the distance to it says something, `from_zero`,
    else at the smallest number. Along anchors each level is measured alone; the levels then come
    together in the cells of the finest, by their `largest` number or their mean.
    """

    name: str
    of: Callable[[Tensor], Tensor]
    signed: bool = False
    from_zero: bool = False
    largest: bool = True


@dataclass(frozen=True)
class MapPair:
    """The maps [H,W] of student and teacher by one measure, each in its own cells.

    `shapes` are those of the tensors they are made of, without the batch.
    """

    measure: Measure
    student: Tensor
    teacher: Tensor
    shapes: tuple[tuple[int, ...], tuple[int, ...]]


def activation(features: Tensor) -> Tensor:
    """The mean over channels, with its sign."""
    return features.mean(1)


def attention(features: Tensor) -> Tensor:
    """The sum over channels of the squares.

    Source: Zagoruyko & Komodakis, *Paying More Attention to Attention*, ICLR 2017, section 3.1, F_sum^2.
    """
    return features.square().sum(1)


def confidence(logits: Tensor) -> Tensor:
    """The probability of the likeliest class."""
    return logits.amax(1).sigmoid()


def spread(logits: Tensor) -> Tensor:
    """The entropy of the box distributions [B,4*bins,H,W], the mean of the four sides; 1 where all are flat.

    High where a model does not know how far the sides of a box are.
    """
    bins = logits.shape[1] // 4
    distribution = sides(logits, bins).softmax(2)
    entropy: Tensor = torch.special.entr(distribution)
    return entropy.sum(2).mean(1) / log(bins)


_MEASURES: Mapping[Layout, tuple[Measure, ...]] = {
    "features": (Measure("mean of channels", activation, signed=True), Measure("attention", attention)),
    "cls": (Measure("highest class probability", confidence, from_zero=True),),
    "dfl": (Measure("entropy of the box sides", spread, largest=False),),
}


def measures_of(layout: Layout) -> tuple[Measure, ...]:
    """How tensors of a layout are shown; none for what has no picture."""
    return _MEASURES.get(layout, ())


def maps_of(values: Values, size: tuple[int, int]) -> list[MapPair]:
    """The maps of one image of `size` (height, width in pixels); none where a side is no map."""
    levels = [_levels(tensor, values.strides, size) for tensor in values.tensors]
    if not all(levels):
        return []
    shapes = tuple(values.tensors[0].shape[1:]), tuple(values.tensors[1].shape[1:])
    ours, theirs = levels
    return [
        MapPair(measure, _joined(measure, ours), _joined(measure, theirs), shapes)
        for measure in measures_of(values.sides[0].layout)
    ]


def _levels(tensor: Tensor, strides: Sequence[int], size: tuple[int, int]) -> list[Tensor]:
    """The tensor as maps [1,C,H,W]: itself, or its pieces along the anchors of the levels."""
    if tensor.ndim == 4:
        return [tensor.float()]
    cells = [tensor.new_empty(1, 1, *(-(-side // stride) for side in size)) for stride in strides]
    if tensor.ndim != 3 or tensor.shape[2] != sum(level[0, 0].numel() for level in cells):
        return []  # tokens, or one vector per image
    return [at_level(tensor.float(), cells, number) for number in range(len(cells))]


def _joined(measure: Measure, levels: Sequence[Tensor]) -> Tensor:
    """One map [H,W] of all levels, in the cells of the finest."""
    measured = [measure.of(level).unsqueeze(1) for level in levels]
    finest = measured[0].shape[2:]
    stack = torch.cat([measured[0], *(interpolate(level, finest) for level in measured[1:])], 1)
    return (stack.amax(1) if measure.largest else stack.mean(1))[0].cpu()
