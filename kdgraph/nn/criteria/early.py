"""A loss that takes its gradient along, so that nothing it was computed from has to be kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["with_gradient"]


def with_gradient(loss: Callable[..., Tensor], learning: Sequence[Tensor]) -> Tensor:
    """`loss(*learning)`, a scalar, whose gradient is computed at once.

    Until the backward only that gradient is held: one tensor of each one's size, where autograd may hold
    several. The backward scales it, so a backward may come twice; one through the gradient may not. Without
    gradients to be had, and under torch.compile, which plans its own memory, `loss` runs as it is.
    """
    if torch.compiler.is_compiling() or not torch.is_grad_enabled():
        return loss(*learning)
    if not any(tensor.requires_grad for tensor in learning):
        return loss(*learning)
    result: Tensor = _WithGradient.apply(loss, *learning)
    return result


class _WithGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, loss: Callable[..., Tensor], *learning: Tensor) -> Tensor:
        with torch.enable_grad():
            leaves = [t.detach().requires_grad_(t.requires_grad) for t in learning]
            value = loss(*leaves)
            wanted = [leaf for leaf in leaves if leaf.requires_grad]
            result = value.detach()
            if not value.requires_grad:
                ctx.mark_non_differentiable(result)
                return result
            found = iter(torch.autograd.grad(value, wanted, allow_unused=True, materialize_grads=True))
        ctx.save_for_backward(*(next(found) if leaf.requires_grad else None for leaf in leaves))
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return None, *(None if saved is None else saved * grad for saved in ctx.saved_tensors)
