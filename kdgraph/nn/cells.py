"""Outputs of a head in the cells of other maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import interpolate

__all__ = ["FLOOR", "Kind", "gathered", "regridded"]

Kind = Literal["linear", "log", "angle", "nearest"]
"""How a value between cells is found.

"linear" interpolates, "log" interpolates the exponentials of log-probabilities and gives logarithms back,
"angle" interpolates directions in radians, of which those half a turn apart are the same; "nearest" takes the
cell that is next, which keeps whole numbers and bools as they are.
"""

FLOOR = 1e-12
"""What stands for no probability where a logarithm is taken: too little to move an expectation."""


def gathered(
    values: Tensor,
    maps: Sequence[Tensor],
    indices: Sequence[int],
    like: Sequence[Tensor] | None = None,
    kind: Kind = "linear",
) -> Tensor:
    """The anchors of some levels, in the cells of other maps: `[B, C, A']` or `[B, A']`.

    Args:
        values: `[B, C, A]` or `[B, A]`, along the anchors of `maps`.
        maps: one `[B, C, H, W]` for each level of the head, for its size.
        indices: the levels to keep.
        like: for each of these a map of the size wanted; None: as it is.
        kind: as in `Kind`.

    Raises:
        ValueError: there is not one value per cell of the maps.
    """
    sizes = [part.shape[2:] for part in maps]
    cells = [height * width for height, width in sizes]
    if values.shape[-1] != sum(cells):
        raise ValueError(f"values are {list(values.shape)}, but the maps have {sum(cells)} cells")
    pieces = torch.split(values, cells, -1)
    kept = [pieces[index].reshape(*values.shape[:-1], *sizes[index]) for index in indices]
    if like is not None:
        kept = [_resized(piece, target.shape[2:], kind) for piece, target in zip(kept, like, strict=True)]
    return torch.cat([piece.flatten(-2) for piece in kept], -1)


def regridded(values: Tensor, target: Tensor, kind: Kind = "linear") -> Tensor:
    """A map `[B, C, H, W]` read at the centres of the cells of `target`, whose height and width count.

    `values` themselves where the sizes are equal; `kind` as in `Kind`.
    """
    return _resized(values, target.shape[2:], kind)


def _resized(values: Tensor, size: Sequence[int], kind: Kind) -> Tensor:
    """`[*, H, W]` in `size` (height, width)."""
    if tuple(values.shape[-2:]) == tuple(size):
        return values
    if kind == "nearest":
        return _nearest(values, size)
    if kind == "linear":
        return _between(values, size)
    values = values.to(torch.promote_types(values.dtype, torch.float32))
    if kind == "log":  # half precision has no number as small as the floor
        return _between(values.exp(), size).clamp(min=FLOOR).log()
    double = 2 * values  # a whole turn apart where the directions are the same
    return torch.atan2(_between(double.sin(), size), _between(double.cos(), size)) / 2


def _between(values: Tensor, size: Sequence[int]) -> Tensor:
    maps = values if values.ndim == 4 else values.unsqueeze(1)
    found = interpolate(maps, tuple(size), mode="bilinear", align_corners=False)
    return found if values.ndim == 4 else found.squeeze(1)


def _nearest(values: Tensor, size: Sequence[int]) -> Tensor:
    rows, columns = (_next(n, wanted, values) for n, wanted in zip(values.shape[-2:], size, strict=True))
    return values.index_select(-2, rows).index_select(-1, columns)


def _next(cells: int, wanted: int, values: Tensor) -> Tensor:
    """`[wanted]`: of `cells` along an axis those in which the new centres lie; exact, in whole numbers."""
    twice = 2 * torch.arange(wanted, device=values.device) + 1  # the centres, times 2 * wanted
    return twice * cells // (2 * wanted)
