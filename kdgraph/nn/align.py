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

from kdgraph.nn.bins import rebinned
from kdgraph.nn.cells import gathered, regridded
from kdgraph.nn.keypoints import offsets

__all__ = [
    "Classes",
    "Remap",
    "averaged",
    "enclosing",
    "gathered",
    "rebinned",
    "regridded",
    "scaled",
    "scaled_keypoints",
    "seen",
]

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


def scaled(values: Tensor, scale: float) -> Tensor:
    """Distances in strides of images `1 / scale` times as large."""
    return values * scale


def scaled_keypoints(values: Tensor, ndim: int, scale: float) -> Tensor:
    """Keypoints `[B, K*ndim, *]` in strides of images of another size: x and y are scaled, visibility not.

    Raises:
        ValueError: the channels are no multiple of `ndim`.
    """
    return offsets(values, ndim, scale, 0)


def seen(images: Tensor, channels: Sequence[int] | None, count: int, scale: float, stride: int) -> Tensor:
    """Images `[B, C, H, W]` as another model sees them; they themselves where that is the same.

    Args:
        channels: those it sees; None: all, or one repeated, or the brightness of red, green and blue.
        count: how many it takes.
        scale: its image size over that of `images`; each side becomes the nearest multiple of `stride`, in
            pixels; 1 where any will do.

    Raises:
        ValueError: C channels cannot become `count`.
    """
    images = _with_channels(images, channels, count)
    size = [max(1, round(side * scale / stride)) * stride for side in images.shape[2:]]
    if size == list(images.shape[2:]):
        return images
    wide = images.to(torch.promote_types(images.dtype, torch.float32))  # half cannot be smoothed on a CPU
    found = interpolate(wide, size, mode="bilinear", align_corners=False, antialias=scale < 1)
    return found.to(images.dtype)


def _with_channels(images: Tensor, channels: Sequence[int] | None, count: int) -> Tensor:
    if channels is not None:
        images = torch.stack([images[:, channel] for channel in channels], 1)
    if images.shape[1] == count:
        return images
    if images.shape[1] == 1 and channels is None:
        return images.expand(-1, count, -1, -1)
    if (images.shape[1], count, channels) != (3, 1, None):
        raise ValueError(f"images of {images.shape[1]} channels, and the model takes {count}")
    red, green, blue = (images[:, i : i + 1] * LUMA[i] for i in range(3))
    return red + green + blue


def averaged(several: Sequence[Tensor], kind: Literal["linear", "angle"] = "linear") -> Tensor:
    """The mean of what several models say.

    kind "angle" is for directions in radians, of which those half a turn apart are the same.

    Raises:
        ValueError: their shapes differ.
    """
    if any(values.shape != several[0].shape for values in several):
        raise ValueError(f"an average needs one shape, got {[list(values.shape) for values in several]}")
    values = torch.stack(list(several))
    if kind == "linear":
        return values.mean(0)
    double = 2 * values.to(torch.promote_types(values.dtype, torch.float32))
    return torch.atan2(double.sin().mean(0), double.cos().mean(0)) / 2


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
