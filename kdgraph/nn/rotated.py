"""Task-aligned assignment of oriented boxes.

As `kdgraph.nn.assign`, with the overlap of Llerena et al., *Gaussian Bounding Boxes and Probabilistic
Intersection-over-Union for Object Detection*, arXiv 2106.06072, and with the details of Ultralytics 8.4, to
which the result is equal: boxes below two pixels are no targets, small ones are widened to the second stride,
and a cell is a candidate where its centre is in the turned box.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from kdgraph.nn.assign import TaskAligned, one_target_each
from kdgraph.nn.dfl import distances
from kdgraph.nn.geometry import EPS, anchors

__all__ = ["RotatedTaskAligned", "probabilistic_iou"]

SMALLEST = 2.0
"""Pixels of a side below which Ultralytics takes an oriented box for no target."""


class RotatedTaskAligned(TaskAligned):
    """The target of each anchor of an oriented-box head's predictions; arguments as of `TaskAligned`."""

    def forward(  # type: ignore[override]
        self,
        boxes: Tensor,
        scores: Tensor,
        feats: Sequence[Tensor],
        batch_idx: Tensor,
        cls: Tensor,
        bboxes: Tensor,
        angles: Tensor,
    ) -> Tensor:
        """`[B, A]` int64, the index of each anchor's target, -1 for none.

        Args:
            bboxes: `[N, 5]`, centre x, y, width, height as fractions of the image, and the angle in radians.
            angles: `[B, 1, A]` of the predictions, in radians.
            boxes, scores, feats, batch_idx, cls: as `TaskAligned.assign` takes them.

        Raises:
            ValueError: the shapes of boxes, scores or maps do not fit the head or one another.
        """
        with torch.no_grad():
            self._check(boxes, scores, feats)
            image, label = batch_idx.reshape(-1).long(), cls.reshape(-1).long()
            points, stride = anchors(feats, self.strides)
            truth = self._turned_pixels(bboxes, feats[0])
            near = self._turned_candidates(truth, points * stride)
            predicted = self._turned(boxes, angles, points, stride)
            shared = probabilistic_iou(truth.unsqueeze(1), predicted[image]).clamp(min=0)
            overlap = torch.where(near, shared, 0)
            merit = scores[image, label].float().sigmoid().pow(self.alpha) * overlap.pow(self.beta)
            chosen = self._best(merit) & near
            return one_target_each(chosen, overlap, image, boxes.shape[0])[1]

    def _turned_pixels(self, bboxes: Tensor, finest: Tensor) -> Tensor:
        """`[N, 5]` boxes in pixels; upright ones `[N, 4]` have the angle 0."""
        height, width = (n * self.strides[0] for n in finest.shape[2:])
        x, y, w, h = bboxes[:, :4].float().unbind(-1)
        angle = bboxes[:, 4].float() if bboxes.shape[1] == 5 else torch.zeros_like(x)
        return torch.stack((x * width, y * height, w * width, h * height, angle), -1)

    def _turned_candidates(self, truth: Tensor, points: Tensor) -> Tensor:
        """`[N, A]`: the anchor's centre is in the turned box, which is widened to the second stride."""
        least = self.strides[min(1, len(self.strides) - 1)]
        real = (truth[:, 2:4] >= SMALLEST).all(-1) & (truth.sum(-1) > 0)
        half = truth[:, None, 2:4].clamp(min=least) / 2
        cos, sin = truth[:, 4:].cos(), truth[:, 4:].sin()
        x, y = (points - truth[:, None, :2]).unbind(-1)
        along, across = x * cos + y * sin, y * cos - x * sin
        inside = (along.abs() <= half[..., 0]) & (across.abs() <= half[..., 1])
        return inside & real.unsqueeze(-1)

    def _turned(self, boxes: Tensor, angles: Tensor, points: Tensor, stride: Tensor) -> Tensor:
        """`[B, A, 5]` predicted boxes in pixels: distances are along the turned sides."""
        left_top, right_bottom = distances(boxes.float(), self.reg_max).transpose(1, 2).chunk(2, -1)
        angle = angles.float().transpose(1, 2)
        x, y = ((right_bottom - left_top) / 2).chunk(2, -1)
        cos, sin = angle.cos(), angle.sin()
        centre = torch.cat((x * cos - y * sin, x * sin + y * cos), -1) + points
        return torch.cat((centre * stride, (left_top + right_bottom) * stride, angle), -1)


def probabilistic_iou(a: Tensor, b: Tensor) -> Tensor:
    """ProbIoU, 0 .. 1, of oriented boxes `[*, 5]` (centre, width, height in pixels, radians) that broadcast.

    A box is the normal distribution with its mean and covariance; the value is 1 minus the Hellinger distance
    of the two, from the Bhattacharyya distance (equations 5 to 9). EPS stands where Ultralytics adds it.
    """
    (xx, yy, xy), (their_xx, their_yy, their_xy) = _covariance(a), _covariance(b)
    sum_xx, sum_yy, sum_xy = xx + their_xx, yy + their_yy, xy + their_xy
    dx, dy = a[..., 0] - b[..., 0], a[..., 1] - b[..., 1]
    determinant = sum_xx * sum_yy - sum_xy.square()
    apart = (sum_xx * dy.square() + sum_yy * dx.square()) / (determinant + EPS) / 4
    apart = apart - sum_xy * dx * dy / (determinant + EPS) / 2
    own = (xx * yy - xy.square()).clamp(min=0) * (their_xx * their_yy - their_xy.square()).clamp(min=0)
    unlike = (determinant / (4 * own.sqrt() + EPS) + EPS).log() / 2
    distance = (apart + unlike).clamp(EPS, 100)
    return 1 - (1 - (-distance).exp() + EPS).sqrt()


def _covariance(box: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Variances along x and y and the covariance of a uniform distribution over each box."""
    along, across = (box[..., 2:4].square() / 12).unbind(-1)
    cos, sin = box[..., 4].cos(), box[..., 4].sin()
    return (
        along * cos.square() + across * sin.square(),
        along * sin.square() + across * cos.square(),
        (along - across) * cos * sin,
    )
