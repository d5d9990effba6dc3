"""General instances: the boxes where student and teacher disagree most, labelled or not.

Source: Dai et al., *General Instance Distillation for Object Detection*, CVPR 2021, section 3.1.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from kdgraph.nn.geometry import anchors, corners
from kdgraph.nn.masks import score_gap
from kdgraph.nn.regions import iou

LEAST = 1e-4
"""Scores closer than this agree: rounding to half precision parts equal ones by about as much."""


class Instances(nn.Module):
    """The best `count` boxes of each image, none overlapping a better one by an IoU above `overlap`.

    An anchor's score is max over classes of |p_t - p_s| (equation 1), its box that of the model whose highest
    class score there is higher, cut to the image. The anchor of the highest score is taken, all that overlap
    it are dropped, and so on `count` times (non-maximum suppression, of equal scores the first). Scores below
    LEAST and boxes without area give no instance.

    Args:
        strides: of the levels, finest first.
    """

    def __init__(self, count: int = 10, overlap: float = 0.3, *, strides: Sequence[float]) -> None:
        super().__init__()
        self.count = count
        self.overlap = overlap
        self.strides = tuple(float(s) for s in strides)

    @torch.no_grad()
    def forward(
        self,
        *,
        student_cls: Tensor,
        teacher_cls: Tensor,
        student_box: Tensor,
        teacher_box: Tensor,
        maps: Sequence[Tensor],
    ) -> Tensor:
        """`[B, count, 4]` corners in 0..1, best first, then 0 where there are no more; float32 at least.

        Args:
            student_cls, teacher_cls: `[B, nc, A]` class logits.
            student_box, teacher_box: `[B, 4, A]` distances to left, top, right, bottom in strides.
            maps: one `[B, C, H, W]` per level, for the sizes.
        """
        surer = teacher_cls.amax(1, keepdim=True) > student_cls.amax(1, keepdim=True)
        boxes = self._in_image(torch.where(surer, teacher_box, student_box), maps)
        size = boxes[..., 2:] - boxes[..., :2]
        gap = score_gap(student_cls, teacher_cls)
        return self._best(boxes, torch.where((size > 0).all(-1), gap, 0))

    def _in_image(self, distances: Tensor, maps: Sequence[Tensor]) -> Tensor:
        """`[B, A, 4]` corners in fractions of the image, cut to it."""
        points, stride = anchors(maps, self.strides)
        dtype = torch.promote_types(distances.dtype, torch.float32)
        left_top, right_bottom = distances.to(dtype).transpose(1, 2).chunk(2, -1)
        pixels = torch.cat((points - left_top, points + right_bottom), -1) * stride
        height, width = (n * self.strides[0] for n in maps[0].shape[2:])
        x, y = pixels[..., 0::2] / width, pixels[..., 1::2] / height
        return torch.stack((x, y), -1).flatten(-2).clamp(0, 1)

    def _best(self, boxes: Tensor, scores: Tensor) -> Tensor:
        """Non-maximum suppression in a fixed number of rounds, all images at once."""
        chosen = []
        for _ in range(self.count):
            best = scores.argmax(1, keepdim=True)
            box = boxes.gather(1, best.unsqueeze(-1).expand(-1, -1, 4))
            found = scores.gather(1, best) > LEAST
            chosen.append(torch.where(found.unsqueeze(-1), box, 0))
            near = iou(corners(box), corners(boxes)) > self.overlap
            scores = scores.masked_fill(near, 0).scatter(1, best, 0)  # itself too, where `overlap` is 1
        return torch.cat(chosen, 1)

    def extra_repr(self) -> str:
        return f"count={self.count}, overlap={self.overlap}, strides={self.strides}"
