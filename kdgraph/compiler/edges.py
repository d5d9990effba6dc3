"""The loss of one edge: its criterion at each level, weighted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["EdgeLoss"]


class EdgeLoss(nn.Module):
    """Sum over levels of weight * criterion(student=…, teacher=…, mask=…, and the signals it reads).

    The weights are a buffer [levels], so a schedule that moves them never recompiles the graph.
    """

    weights: Tensor

    def __init__(self, criteria: Sequence[nn.Module], levels: Sequence[str]) -> None:
        super().__init__()
        self.levels = tuple(levels)
        self.criteria = nn.ModuleList(criteria)
        self.register_buffer("weights", torch.ones(len(criteria)), persistent=False)
        self._said: tuple[float, ...] = (1.0,) * len(criteria)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> EdgeLoss:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._said = ()  # they may have been rounded
        return self

    def weigh(self, weights: Sequence[float]) -> None:
        """Move the weights; those that stand where they should cost nothing."""
        if tuple(weights) != self._said:
            self._said = tuple(weights)
            for place, weight in zip(self.weights, weights, strict=True):
                place.fill_(weight)  # without a copy that waits for the device

    def forward(self, levels: Sequence[Mapping[str, Any]]) -> tuple[Tensor, Tensor]:
        """(unweighted, weighted) scalars; `levels` are the arguments of each criterion by name."""
        terms = torch.stack([c(**inputs) for c, inputs in zip(self.criteria, levels, strict=True)])
        return terms.sum(), (terms * self.weights.to(terms.dtype)).sum()
