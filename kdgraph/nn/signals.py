"""What is said of each cell by the assignment, and the pieces of it that lie at one level.

Plain functions of tensors, so that a graph may call them: those of the signals in
`kdgraph.spec.components.base.Signal` that need no module. Each is right without objects (N = 0).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import mul

import torch
from torch import Tensor

from kdgraph.nn.geometry import anchors
from kdgraph.nn.regions import in_pixels


def labels_of(target: Tensor, cls: Tensor) -> Tensor:
    """The class of each cell's object, int64 in the shape of `target`, -1 where there is none.

    Args:
        target: index of the object among N, -1 for none; any shape.
        cls: `[N]` or `[N, 1]`, the class of each object.
    """
    classes = cls.reshape(-1).long()
    return torch.cat((classes, classes.new_full((1,), -1)))[target]  # -1, no object, reads the last


def target_boxes(target: Tensor, bboxes: Tensor, maps: Sequence[Tensor], strides: Sequence[float]) -> Tensor:
    """`[B, 4, A]` distances from each anchor to the left, top, right, bottom of its object, 0 for none.

    In strides of the anchor's level; negative where the anchor lies outside of the box.

    Args:
        target: `[B, A]`, index of the object among N, -1 for none.
        bboxes: `[N, 4]`, centre x, y, width, height as fractions of the image.
        maps: one `[B, C, H, W]` per level, for the sizes.
        strides: of the levels, finest first.
    """
    points, stride = anchors(maps, strides)
    if bboxes.shape[1] == 5:
        return _turned(target, bboxes, maps, strides)
    truth = in_pixels(bboxes, maps[0], strides[0])
    corners = torch.cat((truth, truth.new_zeros((1, 4))))[target] / stride  # -1, no object, reads the last
    left_top, right_bottom = corners.chunk(2, -1)
    distances = torch.cat((points - left_top, right_bottom - points), -1)
    return torch.where(target.unsqueeze(-1) >= 0, distances, 0).transpose(1, 2)


def _turned(target: Tensor, bboxes: Tensor, maps: Sequence[Tensor], strides: Sequence[float]) -> Tensor:
    """The same of rotated boxes `[N, 5]`: along their own sides, as their heads give them."""
    points, stride = anchors(maps, strides)
    height, width = (n * strides[0] for n in maps[0].shape[2:])
    size = torch.tensor((width, height, width, height, 1.0), device=bboxes.device)
    own = torch.cat((bboxes.float() * size, size.new_zeros((1, 5))))[target]
    x, y = (points - own[..., :2] / stride).unbind(-1)
    cos, sin = own[..., 4].cos(), own[..., 4].sin()
    inner, half = torch.stack((x * cos + y * sin, y * cos - x * sin), -1), own[..., 2:4] / stride / 2
    distances = torch.cat((half + inner, half - inner), -1)
    return torch.where(target.unsqueeze(-1) >= 0, distances, 0).transpose(1, 2)


def at_level(values: Tensor, maps: Sequence[Tensor], index: int) -> Tensor:
    """The piece of `values` at one level: `[B, 1, H, W]` of `[B, A]`, `[B, C, H, W]` of `[B, C, A]`.

    `maps` are those of all levels, `[B, C, H, W]` each, of which only height and width matter.

    Raises:
        ValueError: there is not one value per cell of the maps.
    """
    sizes = [part.shape[2] * part.shape[3] for part in maps]
    if values.shape[-1] != sum(sizes):
        raise ValueError(f"values are {list(values.shape)}, but the maps have {sum(sizes)} cells")
    start = sum(sizes[:index])
    channels = values if values.ndim == 3 else values.unsqueeze(1)
    height, width = maps[index].shape[2:]
    return channels[..., start : start + sizes[index]].reshape(*channels.shape[:2], height, width)


def product(masks: Sequence[Tensor]) -> Tensor:
    """The masks multiplied, as float weights: a cell counts where it counts in each; bool is 0 or 1.

    Raises:
        ValueError: there is none, or their shapes differ.
    """
    if not masks or any(mask.shape != masks[0].shape for mask in masks):
        raise ValueError(f"a product of masks needs one shape, got {[list(mask.shape) for mask in masks]}")
    return reduce(mul, (mask.to(torch.promote_types(mask.dtype, torch.float32)) for mask in masks))
