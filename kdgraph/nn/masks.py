"""Weights of positions, `[B, 1, H, W]` beside a map or `[B, A]` beside all anchors.

The foreground mask is the assignment in `kdgraph.nn.assign`.
"""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor, nn


class All(nn.Module):
    """Every position counts the same: ones in the shape of a mask for `x` `[B, C, H, W]` or `[B, C, A]`."""

    def forward(self, x: Tensor) -> Tensor:
        return _as_mask(torch.ones_like(x.detach()[:, 0]))


class TeacherScore(nn.Module):
    """How sure the teacher is that something is here: w = (max over classes of sigma(z))^power.

    `forward(z, ...)` takes the teacher's class logits `[B, nc, H, W]` or `[B, nc, A]`, of one branch or of
    several (one-to-many and one-to-one of an end-to-end head), whose logits, not probabilities, are
    averaged first. Float32 at least, no gradient. Source: Ultralytics 8.4 `nn/distill_model.py` (`power`
    1); CrossKD weights its box loss alike.
    """

    def __init__(self, power: float = 1.0) -> None:
        super().__init__()
        self.power = power

    @torch.no_grad()
    def forward(self, *branches: Tensor) -> Tensor:
        """`[B, 1, H, W]` or `[B, A]` in 0 .. 1.

        Raises:
            ValueError: no branch is given, or their shapes differ.
        """
        if not branches:
            raise ValueError("teacher_score needs the class logits of at least one branch")
        if any(b.shape != branches[0].shape for b in branches):
            raise ValueError(f"teacher_score: branches are {[list(b.shape) for b in branches]}")
        dtype = reduce(torch.promote_types, (b.dtype for b in branches), torch.float32)
        logits = torch.stack([b.to(dtype) for b in branches]).mean(0)
        return _as_mask(logits.amax(1).sigmoid() ** self.power)  # sigma is monotone: one sigma, not nc

    def extra_repr(self) -> str:
        return f"power={self.power}"


def _as_mask(values: Tensor) -> Tensor:
    """`[B, H, W]` to `[B, 1, H, W]`; `[B, A]` as it is."""
    return values.unsqueeze(1) if values.ndim == 3 else values
