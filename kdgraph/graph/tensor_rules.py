"""What arithmetic, products and concatenations make of meta tensors (see `kdgraph.graph.shape_rules`).

A rule takes the arguments of torch's function. It answers None unless it is sure of the result.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["arange", "binary", "cat", "made", "matmul", "ordered", "pointwise", "softmax", "total"]


def ordered(*values: Any) -> bool:
    """Whether these are plain tensors that lie in memory in the order of their dimensions.

    Then a result does so too, and is contiguous.
    """
    return _plain(*values) and all([*v.stride()] == sorted(v.stride(), reverse=True) for v in values)


def made(like: Tensor, sizes: Iterable[int]) -> Tensor:
    return torch.empty(tuple(sizes), dtype=like.dtype, device="meta")


def pointwise(x: Any, /, *more: Any, **options: Any) -> Tensor | None:
    """A function of each number: the result is dense, in the order of `x`; `options` are off."""
    if more or any(options.values()) or not _plain(x) or not all(x.stride()):
        return None
    order = sorted(range(x.ndim), key=x.stride, reverse=True)
    return made(x, (x.shape[dim] for dim in order)).permute([order.index(dim) for dim in range(x.ndim)])


def binary(x: Any, /, other: Any, *more: Any, **options: Any) -> Tensor | None:
    """A function of the numbers of two tensors, or of each and a number."""
    if isinstance(other, (int, float)):
        return pointwise(x, *more, **options)
    if more or options or not ordered(x, other):
        return None
    sizes = [*zip_longest(reversed(x.shape), reversed(other.shape), fillvalue=1)]
    fits = all(a == b or 1 in (a, b) for a, b in sizes)
    return made(x, map(max, reversed(sizes))) if fits else None


def matmul(x: Any, /, other: Any, **options: Any) -> Tensor | None:
    """Products of matrices, as many on both sides; the result is contiguous, however those lie in memory."""
    if options or not _plain(x, other) or not x.ndim == other.ndim >= 2:
        return None
    fits = x.shape[:-2] == other.shape[:-2] and x.shape[-1] == other.shape[-2]
    return made(x, (*x.shape[:-1], other.shape[-1])) if fits else None


def softmax(x: Any, /, dim: Any = None, *more: Any, dtype: Any = None, _stacklevel: int = 3) -> Tensor | None:
    known = not more and dtype is None and ordered(x) and _others(x, dim) is not None
    return made(x, x.shape) if known else None


def total(x: Any, /, dim: Any = None, *more: Any, **options: Any) -> Tensor | None:
    """The sum over one dimension, which goes."""
    rest = _others(x, dim) if not more and not options and ordered(x) else None
    return None if rest is None else made(x, rest)


def cat(tensors: Any, /, dim: Any = 0, **options: Any) -> Tensor | None:
    if options or not isinstance(tensors, (tuple, list)) or not tensors or not ordered(*tensors):
        return None
    first, others = tensors[0], {_others(tensor, dim) for tensor in tensors}
    if len(others) > 1 or None in others:
        return None
    sizes = [*first.shape]
    sizes[dim] = sum(tensor.shape[dim] for tensor in tensors)
    return made(first, sizes)


def arange(end: Any, /, *more: Any, dtype: Any = None, device: Any = None, **options: Any) -> Tensor | None:
    known = type(end) is int and end > 0 and isinstance(dtype, torch.dtype) and device is not None
    if not known or more or options or torch.device(device).type != "meta":
        return None
    return torch.empty(end, dtype=dtype, device="meta")


def _plain(*values: Any) -> bool:
    """Whether these are meta tensors of one floating dtype, none of them empty."""
    return all(
        type(value) in (Tensor, nn.Parameter)
        and value.is_meta
        and value.layout is torch.strided
        and value.is_floating_point()
        and value.dtype is values[0].dtype
        and value.numel() > 0
        for value in values
    )


def _others(x: Tensor, dim: Any) -> tuple[int, ...] | None:
    """The sizes of all dimensions but one; None where there is no such one."""
    if type(dim) is not int or not -x.ndim <= dim < x.ndim:
        return None
    return tuple(size for at, size in enumerate(x.shape) if at != dim % x.ndim)
