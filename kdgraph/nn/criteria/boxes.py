"""Criteria between boxes: distances from the anchor to the four sides."""

from __future__ import annotations

from torch import Tensor

from kdgraph.nn.criteria.base import Criterion, per_positive, weighted_mean
from kdgraph.nn.dfl import distances
from kdgraph.nn.geometry import around, generalised_iou


class BoxL2(Criterion):
    """Squared difference of the distances to the four sides.

    Mean over positions (weighted by the mask) and sides of ((d_s - d_t) / scale)^2, d the distance in
    strides.

    `bins=None`: the inputs are distances, `[B, 4, A]` or `[B, 4, H, W]`. `bins=R`: they are DFL logits,
    `[B, 4*R, A]` or `[B, 4*R, H, W]`, and d is their expectation; 1 means a head without bins (distances
    again). `scale` 16 is the reach of 16 bins, so errors are fractions of it. Beside a trained YOLOv8s an
    untrained YOLO11n has 0.09, a trained one 0.003: a weight of 10 makes it of order one at first.
    """

    def __init__(self, scale: float = 16.0, bins: int | None = None) -> None:
        super().__init__()
        self.scale = scale
        self.bins = bins

    def compare(self, student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
        student, teacher = (distances(x, self.bins or 1) for x in (student, teacher))
        return weighted_mean(((student - teacher) / self.scale).square(), mask)

    def extra_repr(self) -> str:
        return f"scale={self.scale}, bins={self.bins}"


class BoxOverlap(Criterion):
    """One minus the GIoU of the two models' boxes, where their scores are apart.

    sum over positions (weighted by the mask) of w * (1 - GIoU(student's box, teacher's box)), w = max over
    classes of |p_t - p_s|, a constant, p = sigma(`teacher_cls`) and sigma(`student_cls`); divided by N_pos =
    max(1, sum over positions of mask * max_c p_t), as `qfl` does. Both boxes are around the same anchor, so
    it cancels, and so do the strides. `bins` as in `box_l2`. Beside a trained YOLOv8s an untrained YOLO11n
    has 0.9, a trained one 0.2.

    Source: Yang et al., *Bridging Cross-task Protocol Inconsistency for Distillation in Dense Object
    Detection* (BCKD), ICCV 2023. They divide by the assigner's positives.
    """

    def __init__(self, bins: int | None = None) -> None:
        super().__init__()
        self.bins = bins

    def compare(
        self,
        student: Tensor,
        teacher: Tensor,
        mask: Tensor | None,
        *,
        student_cls: Tensor,
        teacher_cls: Tensor,
    ) -> Tensor:
        ours, theirs = (around(distances(x, self.bins or 1)) for x in (student, teacher))
        scores = teacher_cls.sigmoid()
        cost = (scores - student_cls.sigmoid()).abs().amax(1, True) * (1 - generalised_iou(ours, theirs))
        return per_positive(cost, scores.amax(1, True), mask)

    def extra_repr(self) -> str:
        return f"bins={self.bins}"
