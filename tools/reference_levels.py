"""What published vectors of several feature levels, and of masked means, have in common."""

from __future__ import annotations

import torch
from reference_vectors import Vector
from torch import Tensor

from kdgraph.nn.criteria.base import EPS


def total(losses: list[Tensor]) -> Tensor:
    return torch.stack(losses).sum()


def mean(losses: list[Tensor]) -> Tensor:
    return torch.stack(losses).mean()


def level_weight(vector: Vector, level: int) -> float:
    weights = vector.config.get("level_weights")
    return 1.0 if weights is None else float(weights[level])


def normaliser(vector: Vector, level: int, channels: int, per_channel: int) -> float:
    """Theirs over ours: a masked mean there adds 1e-6 to the normaliser, here EPS.

    Ours is (mask sum * channels + EPS). Theirs is that with 1e-6 where the sum runs over channels
    (`per_channel` 1); where they first average the channels of a position it is channels * (mask sum +
    1e-6) (`per_channel` = channels).
    """
    mask = vector.get("mask", level)
    if mask is None:
        return 1.0
    cells = float(mask.sum()) * channels
    return (cells + EPS) / (cells + per_channel * vector.number("eps"))
