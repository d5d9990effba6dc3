"""Criteria between the logits of a head.

Class logits are `[B, nc, A]` or `[B, nc, H, W]`, DFL logits `[B, 4*bins, A]` or `[B, 4*bins, H, W]`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from kdgraph.nn.criteria.base import EPS, Criterion, per_positive, weighted_mean
from kdgraph.nn.dfl import sides


def divergence(student: Tensor, teacher: Tensor, temperature: float = 1.0, dim: int = 1) -> Tensor:
    """T^2 * KL(softmax(t / T) || softmax(s / T)) of logits, summed over `dim`, which is gone."""
    log_s, log_t = ((x / temperature).log_softmax(dim) for x in (student, teacher))
    return (log_t.exp() * (log_t - log_s)).sum(dim) * temperature**2


def binary_divergence(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """T^2 * KL(sigma(t / T) || sigma(s / T)) of logits, two outcomes for each element."""
    student, teacher = student / temperature, teacher / temperature
    target = teacher.sigmoid()
    cross, own = (F.binary_cross_entropy_with_logits(x, target, reduction="none") for x in (student, teacher))
    return (cross - own) * temperature**2


class BinaryCrossEntropy(Criterion):
    """Each class logit against the teacher's probability.

    Mean over classes and positions (weighted by the mask) of BCE(s, sigma(t / T)). Only the teacher is
    softened and there is no factor T^2: the student's optimum is t / T. At that optimum the value is the
    entropy of the teacher, not 0. Class logits only.

    Most cells have no object, and of 80 classes one has a say: beside a trained YOLOv8s an untrained YOLO11n
    has 0.002 over all cells and 0.01 on foreground, so it needs a weight of about the number of classes.
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
    arXiv 1503.02531, section 2. Beside a trained YOLOv8s an untrained YOLO11n has 1.4 on classes, 1.3 on DFL.

    Raises:
        ValueError: `bins` below 2, where a softmax is constant and teaches nothing.
    """

    frugal = True

    def __init__(self, temperature: float = 1.0, bins: int | None = None) -> None:
        super().__init__()
        if bins is not None and bins < 2:
            raise ValueError(f"kl needs at least 2 bins, got {bins}: a head without bins has no distribution")
        self.temperature = temperature
        self.bins = bins

    def compare(self, student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
        ours, theirs = (self._grouped(x) for x in (student, teacher))
        return weighted_mean(divergence(ours, theirs, self.temperature, 2), mask)

    def _grouped(self, logits: Tensor) -> Tensor:
        """`[B, 1, C, *]` for classes, `[B, 4, bins, *]` for sides."""
        return logits.unsqueeze(1) if self.bins is None else sides(logits, self.bins)

    def extra_repr(self) -> str:
        return f"temperature={self.temperature}, bins={self.bins}"


class QualityFocal(Criterion):
    """Cross-entropy to the teacher's scores, focused on where the student is wrong.

    sum over positions (weighted by the mask) and classes of |p_t - p_s|^beta * BCE(s, p_t), p =
    sigma(logit), divided by N_pos = max(1, sum over positions of mask * max_c p_t): the number of objects'
    cells the teacher sees, so the value is per positive as in the detection loss, and does not grow with
    batch or image. The gradient flows through the focusing factor as well. 0 at equality for beta > 0.
    Class logits only. Beside a trained YOLOv8s an untrained YOLO11n has 5.5, a trained one 2.4.

    Source: Yang et al., *Bridging Cross-task Protocol Inconsistency for Distillation in Dense Object
    Detection* (BCKD), ICCV 2023; the form of Wang et al. (CrossKD, CVPR 2024). They divide by the
    assigner's positives.
    """

    frugal = True

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
        self.beta = beta

    def compare(self, student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
        target = teacher.sigmoid()
        error = F.binary_cross_entropy_with_logits(student, target, reduction="none")
        cost = self._focus((target - student.sigmoid()).abs()) * error
        return per_positive(cost, target.amax(1, keepdim=True), mask)

    def _focus(self, gap: Tensor) -> Tensor:
        """gap^beta, with derivative 0 at a gap of (nearly) 0, where that of a power below 1 overflows."""
        wrong = gap > torch.finfo(gap.dtype).tiny
        return torch.where(wrong, torch.where(wrong, gap, 1.0).pow(self.beta), 0.0**self.beta)

    def extra_repr(self) -> str:
        return f"beta={self.beta}"


class StandardisedKL(Criterion):
    """KL divergence of logits whose scale and offset are taken out at each position.

    T^2 * KL(softmax(z_t / T) || softmax(z_s / T)), summed over classes, mean over positions (weighted by the
    mask); z = (x - mean) / (1e-7 + deviation) over the classes of a position, unbiased. So the student need
    not match how large the teacher's logits are, only how they are spread among the classes. Its gradient
    grows as the student's deviation shrinks. With one class z is 0, and so is the loss. Class logits only.
    Beside a trained YOLOv8s an untrained YOLO11n has 1.2.

    Source: Sun et al., *Logit Standardization in Knowledge Distillation*, CVPR 2024.
    """

    frugal = True

    def __init__(self, temperature: float = 2.0) -> None:
        super().__init__()
        self.temperature = temperature

    def compare(self, student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
        cost = divergence(standardised(student), standardised(teacher), self.temperature)
        return weighted_mean(cost.unsqueeze(1), mask)

    def extra_repr(self) -> str:
        return f"temperature={self.temperature}"


def standardised(logits: Tensor) -> Tensor:
    """`[B, C, *]` logits with mean 0 and deviation 1 over the classes of each position."""
    several = logits.shape[1] > 1  # an unbiased deviation of one value is NaN
    deviation, mean = torch.std_mean(logits, 1, correction=int(several), keepdim=True)
    # where all are equal, 1 for 1e-7 is worth the same 0, and does not blow up its gradient
    return (logits - mean) / (deviation + torch.where(deviation > 0, 1e-7, 1.0))


class Correlation(Criterion):
    """DIST: one minus the correlation of probabilities, over the classes of a cell and the cells of a class.

    T^2 * (inter * (1 - mean over cells of rho) + intra * (1 - mean over classes of rho)), rho Pearson's
    correlation of softmax(x / T) with its like at the teacher: over the classes of each cell, and over all
    cells of the batch for each class. The mask weighs cells in both. 1e-8 is added to each product of norms,
    so rho is 0 where one side is constant: with one class the loss is T^2 * (inter + intra), without
    gradient. Between 0 and 4 at the defaults; beside a trained YOLOv8s an untrained YOLO11n has 2. Class
    logits only.

    Source: Huang et al., *Knowledge Distillation from A Stronger Teacher*, NeurIPS 2022.
    """

    frugal = True

    def __init__(self, temperature: float = 1.0, inter: float = 1.0, intra: float = 1.0) -> None:
        super().__init__()
        self.temperature = temperature
        self.inter = inter
        self.intra = intra

    def compare(self, student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
        p_s, p_t = ((x / self.temperature).softmax(1).flatten(2) for x in (student, teacher))
        weight = torch.ones_like(p_t[:, :1]) if mask is None else mask.flatten(2)
        of_cells = 1 - _correlation(p_s, p_t, torch.ones_like(weight), (1,))
        of_classes = 1 - _correlation(p_s, p_t, weight, (0, 2)).mean()
        seen = (weight > 0).any()
        return (
            self.inter * weighted_mean(of_cells, weight) + self.intra * of_classes * seen
        ) * self.temperature**2

    def extra_repr(self) -> str:
        return f"temperature={self.temperature}, inter={self.inter}, intra={self.intra}"


def _correlation(a: Tensor, b: Tensor, weight: Tensor, dim: tuple[int, ...]) -> Tensor:
    """Pearson's correlation along `dim`, which is kept, with a weight for each value."""
    one, other = (_centred(x, weight, dim) for x in (a, b))
    norms: Tensor = _norm(one, dim) * _norm(other, dim)
    return (one * other).sum(dim, keepdim=True) / (norms + 1e-8)


def _centred(x: Tensor, weight: Tensor, dim: tuple[int, ...]) -> Tensor:
    """sqrt(weight) * (x - the weighted mean of x), or 0, without gradient, where that is rounding alone."""
    total = weight.expand_as(x).sum(dim, keepdim=True) + EPS
    rest = weight.sqrt() * (x - (x * weight).sum(dim, keepdim=True) / total)
    rounding = 4 * torch.finfo(x.dtype).eps * _norm((weight.sqrt() * x).detach(), dim)
    return torch.where(_norm(rest.detach(), dim) > rounding, rest, 0)


def _norm(x: Tensor, dim: tuple[int, ...]) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(x, dim=dim, keepdim=True)
    return norm
