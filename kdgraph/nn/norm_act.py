"""Batch norm and activation of a layer that trains, as one step of autograd."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

__all__ = ["norm_silu"]

_WORTH = 1 << 18
"""Elements from which memory counts; below, the calls alone take longer than the work."""


def norm_silu(x: Tensor, norm: nn.BatchNorm2d) -> Tensor:
    """silu(norm(x)) of `x` [B,C,H,W], keeping of the two steps only `x` for the backward.

    Autograd would keep the input of each: `x` and the normalised map. That one is computed again in the
    backward, from `x` and the statistics, in about the time that it takes to write it down. Values,
    gradients and running statistics are those of the modules, up to rounding. Wherever the norm does not
    simply train on its batch, and under torch.compile, which plans this itself, the two steps run as
    they are.
    """
    if x.numel() < _WORTH or torch.compiler.is_compiling() or not _trains(norm, x):
        return F.silu(norm(x))
    if norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(1)
    result: Tensor = _NormSiLU.apply(x, norm.weight, norm.bias, norm)
    return result


def _trains(norm: nn.Module, x: Tensor) -> bool:
    """Whether `norm` is a plain one that takes the statistics of its batch, with a gradient to be had."""
    return (
        x.device.type in ("cpu", "cuda")
        and type(norm) is nn.BatchNorm2d
        and norm.training
        and norm.momentum is not None
        and norm.affine
        and norm.running_mean is not None
        and not (norm._forward_hooks or norm._forward_pre_hooks or norm._backward_hooks)
        and torch.is_grad_enabled()
        and x.dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16)
    )


class _NormSiLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, norm: nn.BatchNorm2d) -> Tensor:
        y, mean, scale, reserve = torch.ops.aten._batch_norm_with_update(
            x, weight, bias, norm.running_mean, norm.running_var, norm.momentum, norm.eps
        )
        ctx.save_for_backward(x, weight, bias, mean, scale, reserve)
        ctx.eps = norm.eps
        return F.silu(y, inplace=True)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, mean, scale, reserve = ctx.saved_tensors
        # `scale` is 1 / sqrt(variance + eps), so with its inverse squared as variance no eps is left to add
        y = torch.native_batch_norm(x, weight, bias, mean, scale.pow(-2), False, 0.0, 0.0)[0]
        torch.ops.aten.silu_backward.grad_input(grad, y, grad_input=y)
        needed = list(ctx.needs_input_grad[:3])
        found = torch.ops.aten.batch_norm_backward(
            y, x, weight, None, None, mean, scale, True, ctx.eps, needed, reserve
        )
        return (*(g if needs else None for g, needs in zip(found, needed, strict=True)), None)
