"""Regions of an image that boxes take: their pixels, their cells, how they overlap."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from kdgraph.nn.geometry import Corners, anchors, to_corners

EPS = 1e-12
"""The least area that is divided by: boxes without any overlap nothing."""


def in_pixels(bboxes: Tensor, finest: Tensor, stride: float) -> Tensor:
    """`[N, 4]` corners in pixels of boxes given as centre x, y, width, height in fractions of the image.

    `finest` is a map `[B, C, H, W]` and `stride` its stride: they tell the image's size.
    """
    height, width = (n * stride for n in finest.shape[2:])
    centre, size = bboxes.float().chunk(2, -1)
    scale = torch.stack((torch.full_like(centre[:, 0], width), torch.full_like(centre[:, 0], height)), -1)
    return to_corners(centre * scale, size * scale)


def centres(maps: Sequence[Tensor]) -> Tensor:
    """`[A, 2]` x, y of the centres of all cells as fractions of the image, map after map, rows first."""
    parts = []
    for part in maps:
        x, y = anchors([part], [1.0])[0].unbind(-1)
        parts.append(torch.stack((x / part.shape[3], y / part.shape[2]), -1))
    return torch.cat(parts)


def within(points: Tensor, boxes: Tensor) -> Tensor:
    """`[*, A]`: the point `[A, 2]` is inside the box, of corners `[*, 4]`, and not on its edge."""
    low, high = boxes.unsqueeze(-2).chunk(2, -1)
    return ((points > low) & (points < high)).all(-1)


def of_images(regions: Tensor, image: Tensor, images: int) -> Tensor:
    """`[B, A]` bool, the union of the regions `[N, A]` bool of each image; `image` `[N]` says whose they are.

    Only a maximum is scattered, which is the same in any order, on every device.
    """
    index = image.reshape(-1, 1).long().expand(regions.shape)
    taken = regions.new_zeros((images, regions.shape[1]), dtype=torch.float32)
    return taken.scatter_reduce(0, index, regions.float(), "amax") > 0


def iou(a: Corners, b: Corners) -> Tensor:
    """Intersection over union, 0 .. 1, of boxes whose shapes broadcast."""
    overlap = _side(a, b, 0) * _side(a, b, 1)
    return overlap / (_area(a) + _area(b) - overlap).clamp(min=EPS)


def distance_iou(a: Corners, b: Corners) -> Tensor:
    """DIoU: IoU - d^2 / diagonal^2, in -1 .. 1 (Zheng et al., *Distance-IoU Loss*, AAAI 2020).

    d is the distance of the centres, the diagonal that of the smallest box around both.
    """
    spans = [torch.maximum(a[i + 2], b[i + 2]) - torch.minimum(a[i], b[i]) for i in (0, 1)]
    offsets = [(b[i] + b[i + 2] - a[i] - a[i + 2]) / 2 for i in (0, 1)]
    diagonal, distance = (x.square() + y.square() for x, y in (spans, offsets))
    return iou(a, b) - distance / diagonal.clamp(min=EPS)


def _side(a: Corners, b: Corners, axis: int) -> Tensor:
    """Length of the intersection along an axis, 0 (x) or 1 (y)."""
    return (torch.minimum(a[axis + 2], b[axis + 2]) - torch.maximum(a[axis], b[axis])).clamp(min=0)


def _area(box: Corners) -> Tensor:
    return (box[2] - box[0]) * (box[3] - box[1])
