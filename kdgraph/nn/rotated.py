"""Task-aligned assignment of oriented boxes.

As `kdgraph.nn.assign`, with the overlap of Llerena et al., *Gaussian Bounding Boxes and Probabilistic
Intersection-over-Union for Object Detection*, arXiv 2106.06072, and with the details of Ultralytics 8.4, to
which the result is equal: boxes below two pixels are no targets, small ones are widened to the second stride,
and a cell is a candidate where its centre is in the turned box or on its edge.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from kdgraph.nn.assign import Assigner, one_target_each
from kdgraph.nn.dfl import distances
from kdgraph.nn.geometry import EPS, anchors

__all__ = ["RotatedTaskAligned", "probabilistic_iou"]

Normal = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
"""Normal distributions: means x, y; variances along x, along y; covariance; five tensors of one shape."""

SMALLEST = 2.0
"""Pixels of a side below which Ultralytics takes an oriented box for no target."""

FURTHEST = 100.0
"""The most that a Bhattacharyya distance counts."""


class RotatedTaskAligned(Assigner):
    """The target of each anchor of an oriented-box head's predictions, where it has one.

    As `TaskAligned`, with ProbIoU as the overlap.
    """

    @torch.no_grad()
    def forward(
        self,
        boxes: Tensor,
        scores: Tensor,
        angles: Tensor,
        feats: Sequence[Tensor],
        batch_idx: Tensor,
        cls: Tensor,
        bboxes: Tensor,
    ) -> Tensor:
        """`[B, A]` int64, the index of each anchor's target in the list, -1 for none.

        Args:
            boxes: `[B, 4 * reg_max, A]` DFL logits, level after level; with reg_max 1 distances in strides.
                They are along the sides of the turned box.
            scores: `[B, nc, A]` class logits.
            angles: `[B, 1, A]` of the predictions, in radians.
            feats: one `[B, C, H, W]` per level, for the sizes.
            batch_idx: `[N]` or `[N, 1]`, the image of each target; N may be 0.
            cls: `[N]` or `[N, 1]`, the class of each target.
            bboxes: `[N, 5]`, centre x, y, width, height as fractions of the image, and the angle in radians;
                `[N, 4]` are upright.

        Raises:
            ValueError: the shapes of boxes, scores, angles or maps do not fit the head or one another.
        """
        self._check(boxes, scores, feats)
        if angles.shape != scores[:, :1].shape:
            raise ValueError(f"angles are {list(angles.shape)}, but must be {list(scores[:, :1].shape)} here")
        image, label = batch_idx.reshape(-1).long(), cls.reshape(-1).long()
        points, stride = anchors(feats, self.strides)
        truth = _in_pixels(bboxes, feats[0], self.strides[0])
        real = (truth[:, 2:4] >= SMALLEST).all(-1, keepdim=True)
        near = self._candidates(truth, points * stride) & real
        predicted = normal(self._decode(boxes, angles, points, stride))
        shared = _similarity(normal(truth.unsqueeze(1)), _of_images(predicted, image)).clamp(min=0)
        overlap = torch.where(near, shared, 0)
        chosen = self._best(near, overlap, scores[image, label])
        # a box that is no target is not the first of those without any overlap either
        return one_target_each(chosen, torch.where(real, overlap, -1), image, boxes.shape[0])[1]

    def _candidates(self, truth: Tensor, points: Tensor) -> Tensor:
        """`[N, A]`: the anchor's centre is in the box, each side of which is the second stride at least.

        From a corner, the projections on both sides are within these. Said of corners, not of the centre,
        centres on an edge fall on the side where Ultralytics' rounding puts them. A box whose numbers do not
        sum to more than 0 counts as padding and has no candidates.
        """
        half = truth[:, 2:4].clamp(min=self._least) / 2
        cos, sin = truth[:, 4:].cos(), truth[:, 4:].sin()
        along = torch.cat((half[:, :1] * cos, half[:, :1] * sin), 1)
        across = torch.cat((-half[:, 1:] * sin, half[:, 1:] * cos), 1)
        corner = truth[:, :2] + along + across
        ends = (truth[:, :2] + along - across, truth[:, :2] - along + across)
        inside = (truth.sum(-1, keepdim=True) > 0).expand(-1, len(points))
        for side in (end - corner for end in ends):
            x, y = (points[:, axis] - corner[:, axis, None] for axis in (0, 1))
            reach = x * side[:, :1] + y * side[:, 1:]
            inside = inside & (reach >= 0) & (reach <= side.square().sum(1, keepdim=True))
        return inside

    def _decode(self, boxes: Tensor, angles: Tensor, points: Tensor, stride: Tensor) -> Tensor:
        """`[B, A, 5]` predicted boxes in pixels: distances are along the turned sides."""
        left_top, right_bottom = distances(boxes.float(), self.reg_max).transpose(1, 2).chunk(2, -1)
        angle = angles.float().transpose(1, 2)
        x, y = ((right_bottom - left_top) / 2).chunk(2, -1)
        cos, sin = angle.cos(), angle.sin()
        centre = torch.cat((x * cos - y * sin, x * sin + y * cos), -1) + points
        return torch.cat((centre * stride, (left_top + right_bottom) * stride, angle), -1)


def probabilistic_iou(a: Tensor, b: Tensor) -> Tensor:
    """ProbIoU, about 0 .. 1, of oriented boxes `[*, 5]` (centre, size in pixels, radians) that broadcast.

    A box stands for the normal distribution with its mean and covariance; the value is 1 minus the Hellinger
    distance of the two, which comes from their Bhattacharyya distance. Source: Llerena et al., *Gaussian
    Bounding Boxes and Probabilistic Intersection-over-Union*, arXiv 2106.06072, section 3.2. Where EPS is
    added is where Ultralytics adds it, so that anchors of nearly equal merit come in the same order.
    """
    return _similarity(normal(a), normal(b))


def normal(boxes: Tensor) -> Normal:
    """The distributions, in pixels, with the mean and covariance of uniform ones over boxes `[*, 5]`."""
    along, across = (boxes[..., 2:4].square() / 12).unbind(-1)
    cos, sin = boxes[..., 4].cos(), boxes[..., 4].sin()
    return (
        boxes[..., 0],
        boxes[..., 1],
        along * cos.square() + across * sin.square(),
        along * sin.square() + across * cos.square(),
        (along - across) * cos * sin,
    )


def _similarity(a: Normal, b: Normal) -> Tensor:
    dx, dy, (xx, yy, xy) = a[0] - b[0], a[1] - b[1], (a[i] + b[i] for i in (2, 3, 4))
    determinant = xx * yy - xy.square()
    apart = (xx * dy.square() + yy * dx.square()) / (determinant + EPS) / 4
    apart = apart - xy * dx * dy / (determinant + EPS) / 2
    own = _determinant(a) * _determinant(b)
    unlike = (determinant / (4 * own.sqrt() + EPS) + EPS).log() / 2
    bhattacharyya = (apart + unlike).clamp(EPS, FURTHEST)
    return 1 - (1 - (-bhattacharyya).exp() + EPS).sqrt()


def _determinant(of: Normal) -> Tensor:
    return (of[2] * of[3] - of[4].square()).clamp(min=0)


def _of_images(predicted: Normal, image: Tensor) -> Normal:
    """`[N, A]` each of `[B, A]`: for each target the predictions in its image."""
    x, y, xx, yy, xy = (part[image] for part in predicted)
    return x, y, xx, yy, xy


def _in_pixels(bboxes: Tensor, finest: Tensor, stride: float) -> Tensor:
    """`[N, 5]` boxes with centre and size in pixels; upright ones `[N, 4]` have the angle 0."""
    height, width = (n * stride for n in finest.shape[2:])
    x, y, w, h = bboxes[:, :4].float().unbind(-1)
    angle = bboxes[:, 4].float() if bboxes.shape[1] == 5 else torch.zeros_like(x)
    return torch.stack((x * width, y * height, w * width, h * height, angle), -1)
