"""Weights of cells by the models' scores, `[B, 1, H, W]` beside a map or `[B, A]` beside all anchors.

Masks take what they read by keyword (`kdgraph.spec.components.base.Signal`); what they give has no gradient.
Those of the labels are in `object_masks` and `valuable_region`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor, nn


class All(nn.Module):
    """Every cell counts the same: ones in the shape of a mask for `x` `[B, C, H, W]` or `[B, C, A]`.

    It reads no signal: a graph leaves it out, as no mask means the same.
    """

    def forward(self, x: Tensor) -> Tensor:
        return _as_mask(torch.ones_like(x.detach()[:, 0]))


class TeacherScore(nn.Module):
    """How sure the teacher is that something is here: w = (max over classes of sigma(z))^power.

    z are the teacher's class logits, of one branch or of several (one-to-many and one-to-one of an end-to-end
    head), whose logits, not probabilities, are averaged first. Float32 at least. Source: Ultralytics 8.4
    `nn/distill_model.py` (`power` 1); CrossKD weights its box loss alike.
    """

    def __init__(self, power: float = 1.0) -> None:
        super().__init__()
        self.power = power

    @torch.no_grad()
    def forward(self, *, teacher_branches: Sequence[Tensor]) -> Tensor:
        """`[B, 1, H, W]` or `[B, A]` in 0 .. 1 from logits `[B, nc, H, W]` or `[B, nc, A]`.

        Raises:
            ValueError: no branch is given, or their shapes differ.
        """
        branches = teacher_branches
        if not branches:
            raise ValueError("teacher_score needs the class logits of at least one branch")
        if any(b.shape != branches[0].shape for b in branches):
            raise ValueError(f"teacher_score: branches are {[list(b.shape) for b in branches]}")
        dtype = reduce(torch.promote_types, (b.dtype for b in branches), torch.float32)
        logits = torch.stack([b.to(dtype) for b in branches]).mean(0)
        return _as_mask(logits.amax(1).sigmoid() ** self.power)  # sigma is monotone: one sigma, not nc

    def extra_repr(self) -> str:
        return f"power={self.power}"


class ScoreGap(nn.Module):
    """How far the models' scores are apart: w = (max over classes of |sigma(z_t) - sigma(z_s)|)^power.

    Float32 at least. Source: Yang et al., *Bridging Cross-task Protocol Inconsistency for Distillation in
    Dense Object Detection*, ICCV 2023, the weight of its box loss (`power` 1).
    """

    def __init__(self, power: float = 1.0) -> None:
        super().__init__()
        self.power = power

    @torch.no_grad()
    def forward(self, *, student_cls: Tensor, teacher_cls: Tensor) -> Tensor:
        """`[B, 1, H, W]` or `[B, A]` in 0 .. 1 from class logits `[B, nc, H, W]` or `[B, nc, A]`."""
        return _as_mask(score_gap(student_cls, teacher_cls) ** self.power)

    def extra_repr(self) -> str:
        return f"power={self.power}"


class TopK(nn.Module):
    """The `k` cells of each image with the teacher's highest class scores; all where there are fewer.

    Of equal scores the first in the order of cells come first, so the choice is the same on every device.
    """

    def __init__(self, k: int = 100) -> None:
        super().__init__()
        self.k = k

    @torch.no_grad()
    def forward(self, *, teacher_cls: Tensor) -> Tensor:
        """`[B, 1, H, W]` or `[B, A]`, bool, from class logits `[B, nc, H, W]` or `[B, nc, A]`."""
        highest = teacher_cls.amax(1)  # of logits: their sigma may be 1 for several
        best = highest.flatten(1).argsort(dim=1, descending=True, stable=True)[:, : self.k]
        chosen = torch.zeros_like(highest.flatten(1), dtype=torch.bool).scatter(1, best, True)
        return _as_mask(chosen.reshape(highest.shape))

    def extra_repr(self) -> str:
        return f"k={self.k}"


def score_gap(student_cls: Tensor, teacher_cls: Tensor) -> Tensor:
    """`[B, *]`: max over classes of |sigma(z_t) - sigma(z_s)| of logits `[B, nc, *]`, in float32 at least."""
    dtype = reduce(torch.promote_types, (student_cls.dtype, teacher_cls.dtype), torch.float32)
    return (teacher_cls.to(dtype).sigmoid() - student_cls.to(dtype).sigmoid()).abs().amax(1)


def _as_mask(values: Tensor) -> Tensor:
    """`[B, H, W]` to `[B, 1, H, W]`; `[B, A]` as it is."""
    return values.unsqueeze(1) if values.ndim == 3 else values
