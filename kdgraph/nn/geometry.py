"""Anchors and boxes in pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

Corners = tuple[Tensor, Tensor, Tensor, Tensor]
"""Left, top, right, bottom of boxes, four tensors of one shape (or shapes that broadcast)."""

EPS = 1e-7


def anchors(feats: Sequence[Tensor], strides: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Centres of the cells of all levels in strides, `[A, 2]` as x, y, and the stride of each, `[A, 1]`.

    `feats` are the maps `[B, C, H, W]` of the levels, of which only height, width and device matter; rows
    first.
    """
    centres, scales = [], []
    for feat, stride in zip(feats, strides, strict=True):
        rows, columns = (torch.arange(n, device=feat.device).float() + 0.5 for n in feat.shape[2:])
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        centres.append(torch.stack((x, y), -1).reshape(-1, 2))
        scales.append(torch.full_like(centres[-1][:, :1], stride))
    return torch.cat(centres), torch.cat(scales)


def to_corners(centre: Tensor, size: Tensor) -> Tensor:
    """`[*, 4]` left, top, right, bottom of boxes with `[*, 2]` centres and sizes."""
    return torch.cat((centre - size / 2, centre + size / 2), -1)


def corners(boxes: Tensor) -> Corners:
    """The four corner coordinates, each `[*]`, of boxes `[*, 4]`."""
    left, top, right, bottom = boxes.unbind(-1)
    return left, top, right, bottom


def around(distances: Tensor) -> Corners:
    """The corners, each `[B, 1, *]`, of boxes whose sides are `[B, 4, *]` away from a point taken as 0, 0.

    Boxes around one point overlap as much wherever it is, so boxes of one anchor compare without it.
    """
    left, top, right, bottom = distances.chunk(4, 1)
    return -left, -top, right, bottom


def generalised_iou(a: Corners, b: Corners) -> Tensor:
    """GIoU: IoU - (C - U) / C, in -1 .. 1, C the area of the smallest box around both, U that of the union.

    Neither area is taken below 1e-6, and a box turned inside out has none, so a box without area is at
    -1 .. 0 of any, itself too. Source: Rezatofighi et al., *Generalized Intersection over Union*, CVPR 2019.
    """
    overlap = _extent(a, b, 0) * _extent(a, b, 1)
    union = (_area(a) + _area(b) - overlap).clamp(min=1e-6)
    hull = _area(_hull(a, b)).clamp(min=1e-6)
    return overlap / union - (hull - union) / hull


def _hull(a: Corners, b: Corners) -> Corners:
    """The smallest box around both."""
    left, top = (torch.minimum(a[i], b[i]) for i in (0, 1))
    right, bottom = (torch.maximum(a[i], b[i]) for i in (2, 3))
    return left, top, right, bottom


def _area(box: Corners) -> Tensor:
    return (box[2] - box[0]).clamp(min=0) * (box[3] - box[1]).clamp(min=0)


def complete_iou(a: Corners, b: Corners) -> Tensor:
    """CIoU: IoU - d^2 / diagonal^2 - alpha * v, in -1 .. 1 (Zheng et al., *Distance-IoU Loss*, AAAI 2020).

    d is the distance of the centres, the diagonal that of the smallest box around both; v = 4/pi^2
    (difference of the arctangents of width/height)^2 and alpha = v / (1 - IoU + v), a weight that no gradient
    passes through, as in the authors' code. Where EPS is added is where Ultralytics adds it, so that anchors
    of nearly equal merit come in the same order.
    """
    (aw, ah), (bw, bh) = _size(a), _size(b)
    overlap = _extent(a, b, 0) * _extent(a, b, 1)
    iou = overlap / (aw * ah + bw * bh - overlap + EPS)
    v = (4 / math.pi**2) * ((bw / bh).atan() - (aw / ah).atan()).square()
    alpha = (v / (1 - iou + v + EPS)).detach()
    return iou - (_separation(a, b) + v * alpha)


def _size(box: Corners) -> tuple[Tensor, Tensor]:
    return box[2] - box[0], box[3] - box[1] + EPS


def _extent(a: Corners, b: Corners, axis: int) -> Tensor:
    """Length of the intersection along an axis, 0 (x) or 1 (y)."""
    return (torch.minimum(a[axis + 2], b[axis + 2]) - torch.maximum(a[axis], b[axis])).clamp(min=0)


def _separation(a: Corners, b: Corners) -> Tensor:
    """Squared distance of the centres over the squared diagonal of the box around both."""
    width, height = (torch.maximum(a[i + 2], b[i + 2]) - torch.minimum(a[i], b[i]) for i in (0, 1))
    dx, dy = (b[i] + b[i + 2] - a[i] - a[i + 2] for i in (0, 1))
    return (dx.square() + dy.square()) / 4 / (width.square() + height.square() + EPS)
