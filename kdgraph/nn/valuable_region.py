"""Cells around the objects where a box can still be learnt, though they are no positives.

Source: Zheng et al., *Localization Distillation for Dense Object Detection*, CVPR 2022, section 3.3, with the
details of its code (HikariTJU/LD, `mmdet/core/bbox/assigners/atss_assigner.py`, `get_vlr_region`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from kdgraph.nn.geometry import anchors, corners, to_corners
from kdgraph.nn.regions import distance_iou, in_pixels, iou, of_images


class ValuableRegion(nn.Module):
    """The valuable localisation region: gamma * t <= DIoU(anchor box, object) < t for an object of the image.

    Each cell has a square anchor box of side `anchor` strides about its centre. t is the threshold that ATSS
    (Zhang et al., CVPR 2020) would give the object: mean + standard deviation (over n - 1) of the *IoU* of
    its candidates' anchor boxes. Candidates are the `topk` cells of each level nearest to its centre, of
    equally near ones the first. The region is cut by *DIoU*, and among all cells, not only candidates.

    As in the code, a cell in the region of one object may be a positive of another, and an object that no
    anchor box overlaps has no region. The code also weighs the region's cells by their IoU; here they count
    alike.

    Args:
        strides: of the levels, finest first.
    """

    def __init__(
        self, gamma: float = 0.25, topk: int = 9, anchor: float = 8.0, *, strides: Sequence[float]
    ) -> None:
        super().__init__()
        self.gamma = gamma
        self.topk = topk
        self.anchor = anchor
        self.strides = tuple(float(s) for s in strides)

    @torch.no_grad()
    def forward(self, *, objects: Sequence[Tensor], maps: Sequence[Tensor]) -> Tensor:
        """Bool `[B, A]`.

        Args:
            objects: image `[N]`, class `[N, 1]`, and centre x, y, width, height in 0..1 `[N, 4]`.
            maps: one `[B, C, H, W]` per level, for the sizes.

        Raises:
            ValueError: there is not one map per stride.
        """
        if len(maps) != len(self.strides):
            raise ValueError(f"{len(maps)} maps for {len(self.strides)} strides")
        image, _, bboxes = objects
        points, stride = anchors(maps, self.strides)
        boxes = corners(to_corners(points * stride, self.anchor * stride.expand(-1, 2)))
        truth = in_pixels(bboxes, maps[0], self.strides[0]).unsqueeze(1)
        centre = (truth[..., :2] + truth[..., 2:]) / 2
        distance = (centre - points * stride).square().sum(-1)
        threshold = self._threshold(iou(corners(truth), boxes), distance, maps)
        diou = distance_iou(corners(truth), boxes)
        region = (diou >= self.gamma * threshold) & (diou < threshold)
        return of_images(region, image, maps[0].shape[0])

    def _threshold(self, overlap: Tensor, distance: Tensor, maps: Sequence[Tensor]) -> Tensor:
        """`[N, 1]` from IoU and squared distance of the centres `[N, A]` of each object and cell."""
        sizes = [part.shape[2] * part.shape[3] for part in maps]
        pairs = zip(torch.split(overlap, sizes, 1), torch.split(distance, sizes, 1), strict=True)
        nearest = [  # not by topk, which leaves ties to the device
            values.gather(1, far.argsort(dim=1, stable=True)[:, : self.topk]) for values, far in pairs
        ]
        candidates = torch.cat(nearest, 1)
        mean = candidates.mean(1, keepdim=True)
        squares = (candidates - mean).square().sum(1, keepdim=True)  # torch's std warns without objects
        return mean + (squares / max(1, candidates.shape[1] - 1)).sqrt()

    def extra_repr(self) -> str:
        return f"gamma={self.gamma}, topk={self.topk}, anchor={self.anchor}, strides={self.strides}"
