"""Criteria between the box distributions of a DFL head: logits `[B, 4*bins, A]` or `[B, 4*bins, H, W]`."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from kdgraph.nn.criteria.base import EPS, Criterion, weighted_mean
from kdgraph.nn.criteria.logits import divergence
from kdgraph.nn.dfl import distances, sides
from kdgraph.nn.geometry import around
from kdgraph.nn.regions import iou


class Distributions(Criterion):
    """A criterion that compares the distribution of each side.

    Raises:
        ValueError: `bins` below 2, where a softmax is constant and teaches nothing.
    """

    frugal = True

    def __init__(self, temperature: float, bins: int) -> None:
        super().__init__()
        if bins < 2:
            name = type(self).__name__
            raise ValueError(
                f"{name} needs at least 2 bins, got {bins}: a head without bins has no distribution"
            )
        self.temperature = temperature
        self.bins = bins

    def divergences(self, student: Tensor, teacher: Tensor) -> Tensor:
        """`[B, 4, *]`, T^2 * KL of each side, summed over bins."""
        ours, theirs = (sides(x, self.bins) for x in (student, teacher))
        return divergence(ours, theirs, self.temperature, 2)


class LocalizationDistillation(Distributions):
    """LD: T^2 * KL(softmax(t / T) || softmax(s / T)) over the bins of each side.

    Mean over cells (weighted by the mask) and sides. With `reduction="mean"` the terms of a divergence are
    averaged over the bins, as in LD, with `"sum"` they are added up, as in CrossKD and in `kl`, which is
    `bins` times as much. Beside a trained YOLOv8s an untrained YOLO11n has 0.4 on foreground, and 1.7 with
    `"sum"` at a temperature of 1.

    Source: Zheng et al., *Localization Distillation for Dense Object Detection*, CVPR 2022.
    """

    def __init__(
        self, temperature: float = 10.0, reduction: Literal["mean", "sum"] = "mean", *, bins: int
    ) -> None:
        super().__init__(temperature, bins)
        self.reduction = reduction

    def compare(self, student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
        cost = weighted_mean(self.divergences(student, teacher), mask)
        return cost / self.bins if self.reduction == "mean" else cost

    def extra_repr(self) -> str:
        return f"temperature={self.temperature}, reduction={self.reduction!r}, bins={self.bins}"


class DecoupledFocal(Distributions):
    """DDF: divergences of the sides, weighted by how well a box is placed, or by how sure the teacher is.

    k = w * T^2 * KL(softmax(t / T) || softmax(s / T)), summed over bins, at each cell and side, w constant:

    | cells | w |
    |---|---|
    | with an object (`target` >= 0) | IoU of the student's box with the labelled one, `target_box` |
    | without | max over classes of sigma(`teacher_cls`) |

    m1 and m2 are the means of k over these two (weighted by the mask) and sides, n1 and n2 the square roots
    of how many cells they are (the sums of the mask): (n1 * m1 + n2 * m2) / (n1 + n2). So the few cells with
    objects count as much as their number's root. The mean of no cells is 0. Beside a trained YOLOv8s an
    untrained YOLO11n has 0.3.

    Source: Peng et al., *D-FINE: Redefine Regression Task in DETRs as Fine-grained Distribution Refinement*,
    ICLR 2025. `of` and `topk` choose the assignment that `target` and `target_box` come from.
    """

    def __init__(self, temperature: float = 5.0, of: str = "student", topk: int = 10, *, bins: int) -> None:
        super().__init__(temperature, bins)
        self.of = of
        self.topk = topk

    def compare(
        self,
        student: Tensor,
        teacher: Tensor,
        mask: Tensor | None,
        *,
        teacher_cls: Tensor,
        target: Tensor,
        target_box: Tensor,
    ) -> Tensor:
        matched = target >= 0
        weight = torch.where(matched, self._overlap(student, target_box), teacher_cls.amax(1, True).sigmoid())
        cost = weight * self.divergences(student, teacher)
        positive, negative = (g.to(cost.dtype) if mask is None else g * mask for g in (matched, ~matched))
        n1, n2 = positive.sum().sqrt(), negative.sum().sqrt()
        joined = n1 * weighted_mean(cost, positive) + n2 * weighted_mean(cost, negative)
        return joined / (n1 + n2).clamp(min=EPS)

    def _overlap(self, student: Tensor, target_box: Tensor) -> Tensor:
        """IoU `[B, 1, *]` of the boxes that the student expects with the labelled ones."""
        return iou(around(distances(student.detach(), self.bins)), around(target_box))

    def extra_repr(self) -> str:
        return f"temperature={self.temperature}, of={self.of!r}, topk={self.topk}, bins={self.bins}"
