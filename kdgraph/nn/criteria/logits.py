"""Criteria between the logits of a head.

Class logits are `[B, nc, A]` or `[B, nc, H, W]`, DFL logits `[B, 4*bins, A]` or `[B, 4*bins, H, W]`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from kdgraph.nn.criteria.base import Criterion, weighted_mean
from kdgraph.nn.dfl import sides


class BinaryCrossEntropy(Criterion):
    """Each class logit against the teacher's probability.

    Mean over classes and positions (weighted by the mask) of BCE(s, sigma(t / T)). Only the teacher is
    softened and there is no factor T^2: the student's optimum is t / T. At that optimum the value is the
    entropy of the teacher, not 0. Class logits only.
    """

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        self.temperature = temperature

    def compare(self, student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
        target = (teacher / self.temperature).sigmoid()
        return weighted_mean(F.binary_cross_entropy_with_logits(student, target, reduction="none"), mask)

    def extra_repr(self) -> str:
        return f"temperature={self.temperature}"


class KLDivergence(Criterion):
    """T^2 * KL(softmax(t / T) || softmax(s / T)), averaged over positions.

    `bins=None`: the distribution is over all channels (classes). `bins=R`: the channels are 4 sides of R
    bins, one distribution each, and the four divergences are averaged, the localisation distillation of
    Zheng et al. (CVPR 2022). The sum runs over the classes or bins (not their mean). Source: Hinton et al.,
    arXiv 1503.02531, section 2.

    Raises:
        ValueError: `bins` below 2, where a softmax is constant and teaches nothing.
    """

    def __init__(self, temperature: float = 1.0, bins: int | None = None) -> None:
        super().__init__()
        if bins is not None and bins < 2:
            raise ValueError(f"kl needs at least 2 bins, got {bins}: a head without bins has no distribution")
        self.temperature = temperature
        self.bins = bins

    def compare(self, student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
        log_s, log_t = (self._log_probability(x) for x in (student, teacher))
        divergence = (log_t.exp() * (log_t - log_s)).sum(2)  # [B, 1, *] for classes, [B, 4, *] for sides
        return weighted_mean(divergence, mask) * self.temperature**2

    def _log_probability(self, logits: Tensor) -> Tensor:
        grouped = logits.unsqueeze(1) if self.bins is None else sides(logits, self.bins)
        return (grouped / self.temperature).log_softmax(2)

    def extra_repr(self) -> str:
        return f"temperature={self.temperature}, bins={self.bins}"


class QualityFocal(Criterion):
    """Cross-entropy to the teacher's scores, focused on where the student is wrong.

    sum over positions (weighted by the mask) and classes of |p_t - p_s|^beta * BCE(s, p_t), p =
    sigma(logit), divided by N_pos = max(1, sum over positions of mask * max_c p_t): the number of objects'
    cells the teacher sees, so the value is per positive as in the detection loss, and does not grow with
    batch or image. The gradient flows through the focusing factor as well. 0 at equality for beta > 0.
    Class logits only.

    Source: Yang et al., *Bridging Cross-task Protocol Inconsistency for Distillation in Dense Object
    Detection* (BCKD), ICCV 2023; the form of Wang et al. (CrossKD, CVPR 2024). They divide by the
    assigner's positives.
    """

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
        self.beta = beta

    def compare(self, student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
        target = teacher.sigmoid()
        error = F.binary_cross_entropy_with_logits(student, target, reduction="none")
        cost = self._focus((target - student.sigmoid()).abs()) * error
        score = target.amax(1, keepdim=True)
        if mask is not None:
            cost, score = cost * mask, score * mask
        return cost.sum() / score.sum().clamp(min=1)

    def _focus(self, gap: Tensor) -> Tensor:
        """gap^beta, with derivative 0 at a gap of (nearly) 0, where that of a power below 1 overflows."""
        wrong = gap > torch.finfo(gap.dtype).tiny
        return torch.where(wrong, torch.where(wrong, gap, 1.0).pow(self.beta), 0.0**self.beta)

    def extra_repr(self) -> str:
        return f"beta={self.beta}"
