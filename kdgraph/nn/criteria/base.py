"""What every criterion shares: the checks, the precision it computes in, the mean over a mask."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

EPS = 1e-9  # the value Ultralytics adds to the normaliser of its own distillation loss
"""Added to the sum of a mask before dividing by it: an empty mask gives 0/EPS, exactly 0, with gradient 0."""


class Criterion(nn.Module, ABC):
    """A scalar distance between a student's tensor and a teacher's.

    `forward(student, teacher, mask=None)`:

    | tensor | shape |
    |---|---|
    | student, teacher | the same, `[B, C, H, W]` or, for outputs of a head, `[B, C, A]` over all anchors |
    | mask | `[B, 1, H, W]` or `[B, A]`, bool or non-negative weights; None: every position |
    | result | 0-d, in float32, or float64 when an input is |

    No gradient reaches the teacher. Half-precision inputs are computed in float32, also under autocast. An
    empty mask gives exactly 0, with gradients of 0. Values do not grow with the batch size or the image
    size.

    A subclass says its distance in `compare`; `masked` is False where a mask has no meaning.
    """

    masked: ClassVar[bool] = True
    __call__: Callable[..., Tensor]

    def forward(self, student: Tensor, teacher: Tensor, mask: Tensor | None = None) -> Tensor:
        """The distance, a 0-d tensor.

        Raises:
            ValueError: the shapes do not agree or are of another kind, or a mask is given to a criterion
                that takes none.
        """
        self._check(student, teacher, mask)
        dtype = torch.promote_types(torch.promote_types(student.dtype, teacher.dtype), torch.float32)
        weights = None if mask is None else _beside_channels(mask).to(dtype)
        return self.compare(student.to(dtype), teacher.detach().to(dtype), weights)

    @abstractmethod
    def compare(self, student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
        """The distance of two tensors of one shape and one dtype; mask `[B, 1, *]` in that dtype, or None."""

    def _check(self, student: Tensor, teacher: Tensor, mask: Tensor | None) -> None:
        name = type(self).__name__
        if student.shape != teacher.shape:
            raise ValueError(f"{name}: student is {list(student.shape)}, teacher {list(teacher.shape)}")
        if student.ndim not in (3, 4):
            raise ValueError(f"{name}: expected [B, C, H, W] or [B, C, A], got {list(student.shape)}")
        if mask is None:
            return
        if not self.masked:
            raise ValueError(f"{name} takes no mask")
        expected = (student.shape[0], *((1,) if student.ndim > 3 else ()), *student.shape[2:])
        if mask.shape != expected:
            raise ValueError(f"{name}: mask is {list(mask.shape)}, but must be {list(expected)} here")


def _beside_channels(mask: Tensor) -> Tensor:
    """`[B, A]` to `[B, 1, A]`; `[B, 1, H, W]` as it is."""
    return mask.unsqueeze(1) if mask.ndim == 2 else mask


def weighted_mean(values: Tensor, mask: Tensor | None) -> Tensor:
    """Mean of `values` `[B, C, *]` with the weights `mask` `[B, 1, *]`: sum(m * v) / (C * sum(m) + EPS).

    Sums run over the whole batch, so every object or cell counts the same, whichever image it is in.
    """
    if mask is None:
        return values.mean()
    return (values * mask).sum() / (mask.sum() * values.shape[1] + EPS)
