"""What brings the outputs of two different heads to where they can be compared.

Plain functions and small modules of tensors, called from the compiled graph: no shape depends on values.
Outputs along the anchor axis are `[B, C, A]`, level after level, finest first; those of one level
`[B, C, H, W]`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from kdgraph.nn.dfl import sides

Kind = Literal["linear", "nearest", "log"]

FLOOR = 1e-12
"""What stands for no probability where a logarithm is taken: too little to move an expectation."""

LUMA = (0.299, 0.587, 0.114)
"""Brightness of red, green and blue (ITU-R BT.601)."""


class Classes(nn.Module):
    """Class logits `[B, C, *]` under other numbers: class g is the largest of the channels `groups[g]`."""

    members: Tensor

    def __init__(self, groups: Sequence[Sequence[int]]) -> None:
        super().__init__()
        most = max(len(group) for group in groups)
        padded = [[*group, *[group[0]] * (most - len(group))] for group in groups]
        self.register_buffer("members", torch.tensor(padded), persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        """`[B, G, *]`."""
        count, most = self.members.shape
        picked = values.index_select(1, self.members.flatten())
        grouped = picked.reshape(picked.shape[0], count, most, *picked.shape[2:])
        return picked if most == 1 else grouped.amax(2)


class Remap(nn.Module):
    """Class numbers under other numbers: `table[number]`; -1, no class, stays -1."""

    table: Tensor

    def __init__(self, table: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("table", torch.tensor([*table, -1]), persistent=False)

    def forward(self, labels: Tensor) -> Tensor:
        """Whole numbers of any shape."""
        return self.table[labels]  # -1 reads the last


def gathered(
    values: Tensor,
    maps: Sequence[Tensor],
    indices: Sequence[int],
    like: Sequence[Tensor] | None = None,
    kind: Kind = "linear",
) -> Tensor:
    """The anchors of some levels, in the cells of other maps.

    Args:
        values: `[B, C, A]` or `[B, A]`, along the anchors of `maps`.
        maps: one `[B, C, H, W]` for each level of the head, for its size.
        indices: the levels to keep.
        like: for each of these a map of the size wanted; None: as it is.
        kind: as in `regridded`.
    """
    sizes = [part.shape[2:] for part in maps]
    pieces = torch.split(values, [height * width for height, width in sizes], -1)
    kept = [pieces[index].reshape(*values.shape[:-1], *sizes[index]) for index in indices]
    if like is not None:
        kept = [_resized(piece, target, kind) for piece, target in zip(kept, like, strict=True)]
    return torch.cat([piece.flatten(-2) for piece in kept], -1)


def regridded(values: Tensor, target: Tensor, kind: Kind = "linear") -> Tensor:
    """A map `[B, C, H, W]` read at the centres of the cells of `target`, whose height and width count.

    kind: "linear" interpolates, "log" interpolates the exponentials and gives logarithms back, "nearest"
    takes the cell that is next, for whole numbers.
    """
    return values if values.shape[2:] == target.shape[2:] else _resized(values, target, kind)


def _resized(values: Tensor, target: Tensor, kind: Kind) -> Tensor:
    size = tuple(target.shape[2:])
    maps = values if values.ndim == 4 else values.unsqueeze(1)
    if kind == "nearest":
        found = interpolate(maps.double(), size, mode="nearest-exact").to(values.dtype)
    elif kind == "log":
        found = interpolate(maps.exp(), size, mode="bilinear", align_corners=False).clamp(min=FLOOR).log()
    else:
        found = interpolate(maps, size, mode="bilinear", align_corners=False)
    return found if values.ndim == 4 else found.squeeze(1)


def rebinned(values: Tensor, source: int, target: int, scale: float = 1.0) -> Tensor:
    """Log-probabilities `[B, 4*target, *]` of the distances that DFL logits `[B, 4*source, *]` stand for.

    Bin k, the distance k, goes to k * scale: its mass to the two bins beside, in the ratio that keeps the
    distance, and to the last where it lies beyond. What that takes from the expectation is given back by
    mixing with the last bin, so E' = min(scale * E, target - 1) exactly.

    Raises:
        ValueError: the channels are not four times `source`.
    """
    dtype = torch.promote_types(values.dtype, torch.float32)
    mass = sides(values.to(dtype), source).softmax(2)
    places = torch.arange(source, dtype=dtype, device=values.device) * scale
    last = float(target - 1)
    bins = torch.arange(target, dtype=dtype, device=values.device)
    away = (places.clamp(max=last).unsqueeze(0) - bins.unsqueeze(1)).abs()  # [target, source]
    share = (1 - away).clamp(min=0)
    spread = (mass.unsqueeze(2) * _beside(share, mass)).sum(3)
    wanted = (mass * _beside(places, mass)).sum(2, keepdim=True).clamp(max=last)
    reached = (spread * _beside(bins, spread)).sum(2, keepdim=True)
    mix = ((wanted - reached) / (last - reached).clamp(min=FLOOR)).clamp(0, 1)
    end = _beside((bins == last).to(dtype), spread)
    found = spread * (1 - mix) + end * mix
    return found.clamp(min=FLOOR).log().flatten(1, 2)


def _beside(weights: Tensor, values: Tensor) -> Tensor:
    """`weights` of bins, shaped to multiply `values` `[B, 4, bins, *]`."""
    return weights.reshape(*weights.shape, *[1] * (values.ndim - 3))


def scaled(values: Tensor, scale: float) -> Tensor:
    """Distances in strides of images `1 / scale` times as large."""
    return values * scale


def scaled_keypoints(values: Tensor, ndim: int, scale: float) -> Tensor:
    """Keypoints `[B, K*ndim, *]` in strides of images of another size: x and y are scaled, visibility not."""
    factors = values.new_tensor([scale, scale, 1.0][:ndim]).repeat(values.shape[1] // ndim)
    return values * factors.reshape(1, -1, *[1] * (values.ndim - 2))


def seen(images: Tensor, channels: Sequence[int] | None, count: int, scale: float, stride: int) -> Tensor:
    """Images `[B, C, H, W]` as another model sees them.

    Args:
        channels: those it sees; None: all, or one repeated, or the brightness of red, green and blue.
        count: how many it takes.
        scale: its image size over that of `images`; each side becomes the nearest multiple of `stride`.

    Raises:
        ValueError: C channels cannot become `count`.
    """
    images = _with_channels(images, channels, count)
    if scale == 1:
        return images
    size = [max(1, round(side * scale / stride)) * stride for side in images.shape[2:]]
    return interpolate(images, size, mode="bilinear", align_corners=False, antialias=scale < 1)


def _with_channels(images: Tensor, channels: Sequence[int] | None, count: int) -> Tensor:
    if channels is not None:
        return torch.stack([images[:, channel] for channel in channels], 1)
    if images.shape[1] == count:
        return images
    if images.shape[1] == 1:
        return images.expand(-1, count, -1, -1)
    if (images.shape[1], count) != (3, 1):
        raise ValueError(f"images of {images.shape[1]} channels, and the model takes {count}")
    return (images * images.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)


def averaged(several: Sequence[Tensor]) -> Tensor:
    """The mean of what several models say.

    Raises:
        ValueError: their shapes differ.
    """
    if any(values.shape != several[0].shape for values in several):
        raise ValueError(f"an average needs one shape, got {[list(values.shape) for values in several]}")
    return torch.stack(list(several)).mean(0)


def enclosing(bboxes: Tensor, image: Tensor) -> Tensor:
    """The upright boxes around rotated ones, `[N, 4]` centre and size as fractions of the image.

    Args:
        bboxes: `[N, 5]`, the same and the angle in radians, by which the box is turned in pixels; `[N, 4]`
            upright ones are given back.
        image: `[B, C, H, W]`, for its size.
    """
    if bboxes.shape[1] == 4:
        return bboxes
    height, width = image.shape[2:]
    wide, high = bboxes[:, 2] * width, bboxes[:, 3] * height
    cos, sin = bboxes[:, 4].cos().abs(), bboxes[:, 4].sin().abs()
    around = torch.stack(((wide * cos + high * sin) / width, (wide * sin + high * cos) / height), 1)
    return torch.cat((bboxes[:, :2], around), 1)
