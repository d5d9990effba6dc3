"""The teacher's modules, out of reach of whatever trains: weights are buffers that no state dict holds."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

__all__ = ["frozen"]

_BLOCK = 1 << 15
"""Numbers at a time: in float64 these stay in the cache, and torch shares so few not out to threads,
which wait milliseconds for each other on a busy machine."""


def frozen(leaf: nn.Module, norm: nn.Module | None = None) -> nn.Module:
    """A copy of `leaf` in eval mode whose weights are non-persistent buffers, sharing storage with `leaf`'s.

    So they move with `.to()`, but no optimiser, EMA, checkpoint or DDP reducer sees them. With `norm`,
    a BatchNorm2d that reads the convolution `leaf`, the copy computes both (and owns its new weights).
    """
    twin = copy.copy(leaf).eval()
    twin._parameters, twin._buffers, twin._non_persistent_buffers_set = {}, {}, set()
    twin._modules = {name: frozen(child) for name, child in leaf._modules.items() if child is not None}
    weights: dict[str, Tensor] = dict(leaf.named_parameters(recurse=False))
    if norm is not None:
        weights = _folded(leaf, norm)
    for name in leaf._parameters:
        twin.register_buffer(name, _detached(weights.get(name)), persistent=False)
    for name, buffer in leaf._buffers.items():
        twin.register_buffer(name, _detached(buffer), persistent=False)
    return twin


def _detached(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.detach()


def _folded(conv: nn.Module, norm: nn.Module) -> dict[str, Tensor]:
    """Weight and bias of a convolution that does the work of `norm` too; computed in float64."""
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    weight = conv.weight.detach()
    mean, var = norm.running_mean.double(), norm.running_var.double()
    bias, scale, shift = (
        None if t is None else t.detach().double() for t in (conv.bias, norm.weight, norm.bias)
    )
    ones = torch.ones(len(weight), 1, 1, 1, dtype=torch.float64, device=weight.device)
    factor, offset = fuse_conv_bn_weights(ones, bias, mean, var, norm.eps, scale, shift)
    return {"weight": _scaled(weight, factor.detach()), "bias": offset.detach().to(weight.dtype)}


def _scaled(weight: Tensor, factor: Tensor) -> Tensor:
    """`weight` [C,...] times the float64 `factor` [C,1,1,1]; on a CPU in blocks (see `_BLOCK`)."""
    step = max(1, _BLOCK // weight[0].numel()) if weight.is_cpu else len(weight)
    result = torch.empty_like(weight)
    for first in range(0, len(weight), step):
        block = slice(first, first + step)
        result[block] = weight[block] * factor[block]
    return result
