"""What every criterion shares: the checks, the precision it computes in, the mean over a mask."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from kdgraph.nn.criteria.early import with_gradient

EPS = 1e-9  # the value Ultralytics adds to the normaliser of its own distillation loss
"""Added to the sum of a mask before dividing by it: an empty mask gives 0/EPS, exactly 0, with gradient 0."""


class Criterion(nn.Module, ABC):
    """A scalar distance between a student's tensor and a teacher's.

    `forward(student, teacher, mask=None, **signals)`:

    | tensor | shape |
    |---|---|
    | student, teacher | the same, `[B, C, H, W]` or, for outputs of a head, `[B, C, A]` over all anchors |
    | mask | `[B, 1, H, W]` or `[B, A]`, bool or non-negative weights; None: every position |
    | signals | what the criterion `reads` (`kdgraph.spec.components.base.Signal`), constants |
    | result | 0-d, in float32, or float64 when an input is |

    No gradient reaches the teacher. Half-precision inputs are computed in float32, also under autocast. An
    empty mask gives exactly 0, with gradients of 0. Values do not grow with the batch size or the image
    size.

    A subclass says its distance in `compare`, which gets the signals it reads by keyword; `masked` is False
    where a mask has no meaning, `same_channels` where the two sides may differ in C, `learns` are signals of
    the student that get a gradient, `frugal` is True where autograd would hold several maps of the student's
    size: then its gradient is computed with its value (`kdgraph.nn.criteria.early`), unless others than the
    student learn from it.
    """

    masked: ClassVar[bool] = True
    same_channels: ClassVar[bool] = True
    learns: ClassVar[frozenset[str]] = frozenset()
    frugal: ClassVar[bool] = False
    __call__: Callable[..., Tensor]

    def forward(self, student: Tensor, teacher: Tensor, mask: Tensor | None = None, **signals: Any) -> Tensor:
        """The distance, a 0-d tensor.

        Raises:
            ValueError: the shapes do not agree or are of another kind, or a mask is given to a criterion
                that takes none.
        """
        self._check(student, teacher, mask)
        dtype = torch.promote_types(torch.promote_types(student.dtype, teacher.dtype), torch.float32)
        weights = None if mask is None else _beside_channels(mask.detach()).to(dtype)
        given = {
            name: value.to(dtype) if name in self.learns else _constant(value, dtype)
            for name, value in signals.items()
        }
        student, teacher = student.to(dtype), teacher.detach().to(dtype)
        if self.frugal and not self.learns and not any(p.requires_grad for p in self.parameters()):
            return with_gradient(lambda ours: self.compare(ours, teacher, weights, **given), [student])
        return self.compare(student, teacher, weights, **given)

    @abstractmethod
    def compare(self, *tensors: Any, **signals: Any) -> Tensor:
        """The distance, `compare(student, teacher, mask, *, ...)` with the signals that the criterion reads.

        Student and teacher have one dtype; the mask is `[B, 1, *]` in it, or None, and so are signals of real
        numbers. `target` and `label` come as `[B, 1, *]` too, `*` being the student's positions.
        """

    def _check(self, student: Tensor, teacher: Tensor, mask: Tensor | None) -> None:
        name = type(self).__name__
        ours, theirs = list(student.shape), list(teacher.shape)
        if ours != theirs and (self.same_channels or ours[:1] + ours[2:] != theirs[:1] + theirs[2:]):
            raise ValueError(f"{name}: student is {ours}, teacher {theirs}")
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


def _constant(signal: Any, dtype: torch.dtype) -> Any:
    """A signal without gradient, real numbers in `dtype`; one of a value per cell `[B, A]` as `[B, 1, A]`."""
    if isinstance(signal, Sequence):
        return [_real(part, dtype) for part in signal]
    return _real(signal, dtype) if signal.is_floating_point() else _beside_channels(signal.detach())


def _real(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.detach().to(dtype) if tensor.is_floating_point() else tensor.detach()


def weighted_mean(values: Tensor, mask: Tensor | None) -> Tensor:
    """Mean of `values` `[B, C, *]` with the weights `mask` `[B, 1, *]`: sum(m * v) / (C * sum(m) + EPS).

    Sums run over the whole batch, so every object or cell counts the same, whichever image it is in.
    """
    if mask is None:
        return values.mean()
    return (values * mask).sum() / (mask.sum() * values.shape[1] + EPS)


def per_positive(cost: Tensor, score: Tensor, mask: Tensor | None) -> Tensor:
    """The sum of `cost` `[B, C, *]` over N_pos, the number of objects' cells that the teacher sees.

    N_pos = max(1, sum of `score`), `score` `[B, 1, *]` being its highest class score at each cell; the mask
    `[B, 1, *]` weighs the cells in both sums. So the value is one per positive, as a detection loss is.
    """
    if mask is not None:
        cost, score = cost * mask, score * mask
    return cost.sum() / score.sum().clamp(min=1)
