"""Box distributions over other bins."""

from __future__ import annotations

import torch
from torch import Tensor

from kdgraph.nn.cells import FLOOR
from kdgraph.nn.dfl import sides

__all__ = ["rebinned"]


def rebinned(values: Tensor, source: int, target: int, scale: float = 1.0) -> Tensor:
    """Log-probabilities `[B, 4*target, *]` of the distances that DFL logits `[B, 4*source, *]` stand for.

    Bin k, the distance k, goes to k * scale: its mass to the two bins beside, in the ratio that keeps the
    distance, and to the last where it lies beyond. What that takes from the expectation is given back by
    mixing with the last bin, so E' = min(scale * E, target - 1) exactly. Bins without mass get 1e-12.

    In float32 at least; no matrix product, which autocast would take in half precision, and no tensor of
    source times target bins.

    Raises:
        ValueError: the channels are not four times `source`, or a side has one bin, which is no distribution.
    """
    if min(source, target) < 2:
        raise ValueError(f"distributions over {source} and {target} bins, but each needs 2")
    logits = sides(values.to(torch.promote_types(values.dtype, torch.float32)), source)
    if source == target and scale == 1:
        return logits.log_softmax(2).flatten(1, 2)
    mass = logits.softmax(2)
    spread = _shared(mass, source, target, scale)
    if scale * (source - 1) > target - 1:
        spread = _up_to(spread, scale * _expectation(mass))
    return spread.clamp(min=FLOOR).log().flatten(1, 2)


def _shared(mass: Tensor, source: int, target: int, scale: float) -> Tensor:
    """`[B, 4, target, *]`: the mass of each bin with the neighbours of where it goes."""
    places = [min(scale * number, target - 1) for number in range(source)]
    bins = []
    for number in range(target):
        shares = [(k, 1 - abs(place - number)) for k, place in enumerate(places) if abs(place - number) < 1]
        parts = [mass[:, :, k] if share == 1 else mass[:, :, k] * share for k, share in shares]
        bins.append(torch.stack(parts).sum(0) if parts else torch.zeros_like(mass[:, :, 0]))
    return torch.stack(bins, 2)


def _up_to(mass: Tensor, wanted: Tensor) -> Tensor:
    """The distributions mixed with the last bin, so that the expected distance is that `wanted`, `[B, 4, *]`.

    Where that lies beyond the last bin, all of the mass goes there.
    """
    last = mass.shape[2] - 1
    reached = _expectation(mass)
    part = ((wanted - reached) / (last - reached).clamp(min=FLOOR)).clamp(0, 1).unsqueeze(2)
    rest = mass * (1 - part)
    return torch.cat((rest[:, :, :-1], rest[:, :, -1:] + part), 2)


def _expectation(mass: Tensor) -> Tensor:
    """The expected distance, `[B, 4, *]`, of `[B, 4, bins, *]`."""
    places = torch.arange(mass.shape[2], dtype=mass.dtype, device=mass.device)
    return (mass * places.view(-1, *[1] * (mass.ndim - 3))).sum(2)
