"""What convolutions, pooling and upsampling make of meta maps [B,C,H,W] (see `kdgraph.graph.shape_rules`).

A rule takes the arguments of torch's function. It answers None unless it is sure of the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from kdgraph.graph.tensor_rules import made, ordered

__all__ = ["avg_pool", "conv", "conv_transpose", "max_pool", "nearest"]


def conv(
    x: Any,
    /,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: Any = 1,
) -> Tensor | None:
    given = (x, weight) if bias is None else (x, weight, bias)
    if not ordered(*given) or not x.ndim == weight.ndim == 4 or groups < 1:
        return None
    channels, inner, *kernel = weight.shape
    fits = x.shape[1] == inner * groups and channels % groups == 0
    if not fits or (bias is not None and bias.shape != (channels,)):
        return None
    return _slid(x, channels, kernel, stride, padding, dilation)


def conv_transpose(
    x: Any,
    /,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: Any = 1,
    dilation: Any = 1,
) -> Tensor | None:
    given = (x, weight) if bias is None else (x, weight, bias)
    if not ordered(*given) or not x.ndim == weight.ndim == 4 or groups < 1 or _two(output_padding) != (0, 0):
        return None
    inner, channels, *kernel = weight.shape
    fits = x.shape[1] == inner and inner % groups == 0
    if not fits or (bias is not None and bias.shape != (channels * groups,)):
        return None
    windows = _windows(x, kernel, stride, padding, dilation)
    sizes = [(n - 1) * s - 2 * p + d * (k - 1) + 1 for n, k, s, p, d in windows]
    return _map(x, channels * groups, sizes)


def max_pool(
    x: Any,
    /,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    *more: Any,
    **options: Any,
) -> Tensor | None:
    """`options` are off: sizes rounded up, indices returned."""
    return None if more or any(options.values()) else _pooled(x, kernel_size, stride, padding, dilation)


def avg_pool(
    x: Any,
    /,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: Any = False,
    count_include_pad: Any = True,
    divisor_override: Any = None,
) -> Tensor | None:
    known = not ceil_mode and divisor_override is None
    return _pooled(x, kernel_size, stride, padding, 1) if known else None


def nearest(
    x: Any, /, size: Any = None, scale_factor: Any = None, mode: Any = "nearest", *more: Any, **options: Any
) -> Tensor | None:
    """Upsampling by whole factors, or to a size; `options` are off."""
    known = mode == "nearest" and not more and all(off is None or off is False for off in options.values())
    if not known or options.get("align_corners") is not None or not ordered(x) or x.ndim != 4:
        return None
    sizes = _two(size) if scale_factor is None else _scaled(x, scale_factor) if size is None else ()
    return _map(x, x.shape[1], sizes)


def _pooled(x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any) -> Tensor | None:
    if not ordered(x) or x.ndim != 4:
        return None
    fits = all(2 * p <= k for p, k in zip(_two(padding), _two(kernel), strict=False))
    step = kernel if stride is None else stride
    return _slid(x, x.shape[1], kernel, step, padding, dilation) if fits else None


def _slid(x: Tensor, channels: int, *window: Any) -> Tensor | None:
    """The map that a window gives which slides over the map `x`."""
    sides = _windows(x, *window)
    return _map(x, channels, [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in sides])


def _windows(x: Tensor, kernel: Any, stride: Any, padding: Any, dilation: Any) -> list[tuple[int, ...]]:
    """Size, kernel, stride, padding and dilation along height and width; nothing where one is not sound."""
    sides = [*zip(x.shape[2:], *map(_two, (kernel, stride, padding, dilation)), strict=False)]
    return [] if any(min(k, s, d) < 1 or p < 0 for _, k, s, p, d in sides) else sides


def _map(x: Tensor, channels: int, sizes: Sequence[int]) -> Tensor | None:
    """A map with other channels and sizes, if there are some."""
    return made(x, (x.shape[0], channels, *sizes)) if sizes and min(sizes) > 0 else None


def _scaled(x: Tensor, factor: Any) -> tuple[int, ...]:
    """Height and width times whole factors; nothing where one is not whole."""
    pair = factor if isinstance(factor, (tuple, list)) else (factor, factor)
    whole = len(pair) == 2 and all(isinstance(part, (int, float)) and part % 1 == 0 for part in pair)
    return tuple(int(n * part) for n, part in zip(x.shape[2:], pair, strict=True)) if whole else ()


def _two(value: Any) -> tuple[int, ...]:
    """An argument for height and width; nothing where it is none."""
    pair = (value, value) if type(value) is int else value
    known = isinstance(pair, (tuple, list)) and len(pair) == 2 and all(type(part) is int for part in pair)
    return tuple(pair) if known else ()
