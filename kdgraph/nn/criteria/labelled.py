"""Criteria between class logits at cells that have a labelled object.

Class logits are `[B, nc, A]` or `[B, nc, H, W]`. The class of a cell's object is `label`, -1 for none: cells
without one take no part, whatever the mask says. Without any labelled cell the loss is 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from kdgraph.nn.criteria.base import Criterion, weighted_mean
from kdgraph.nn.criteria.logits import divergence


class Decoupled(Criterion):
    """DKD: the labelled class against all others together, and the others among themselves, apart.

    T^2 * (alpha * KL of (p_y, 1 - p_y) + beta * KL of the softmax without class y), p = softmax(x / T), mean
    over labelled cells (weighted by the mask). In the plain divergence the second part has the factor
    1 - p_y, which is small just where the teacher is sure. With one class both parts are 0. Beside a trained
    YOLOv8s an untrained YOLO11n has 20, so a weight of 0.1 makes it of order one.

    Source: Zhao et al., *Decoupled Knowledge Distillation*, CVPR 2022.
    """

    frugal = True

    def __init__(self, temperature: float = 1.0, alpha: float = 1.0, beta: float = 8.0) -> None:
        super().__init__()
        self.temperature = temperature
        self.alpha = alpha
        self.beta = beta

    def compare(self, student: Tensor, teacher: Tensor, mask: Tensor | None, *, label: Tensor) -> Tensor:
        soft_s, soft_t = (x / self.temperature for x in (student, teacher))
        labelled = divergence(_one_against_others(soft_s, label), _one_against_others(soft_t, label))
        others = divergence(_without(soft_s, label), _without(soft_t, label))
        cost = self.alpha * labelled + self.beta * others
        return weighted_mean(cost.unsqueeze(1), _labelled(student, label, mask)) * self.temperature**2

    def extra_repr(self) -> str:
        return f"temperature={self.temperature}, alpha={self.alpha}, beta={self.beta}"


class Normalised(Criterion):
    """NKD: cross entropy of the labelled class, and of the others normalised among themselves.

    -p_t[y] * log p_s[y] - gamma * T^2 * sum over c != y of q_t[c] * log q_s[c], p = softmax(x) and q the
    softmax of x / T without class y; mean over labelled cells (weighted by the mask). A cross entropy, so not
    0 where the two agree. With one class it is 0. Beside a trained YOLOv8s an untrained YOLO11n has 9, a
    trained one 6.

    Source: Yang et al., *From Knowledge Distillation to Self-Knowledge Distillation: A Unified Approach with
    Normalized Loss and Customized Soft Labels*, ICCV 2023.
    """

    frugal = True

    def __init__(self, temperature: float = 1.0, gamma: float = 1.5) -> None:
        super().__init__()
        self.temperature = temperature
        self.gamma = gamma

    def compare(self, student: Tensor, teacher: Tensor, mask: Tensor | None, *, label: Tensor) -> Tensor:
        one_s, one_t = (_of_class(x.log_softmax(1), label) for x in (student, teacher))
        rest_s, rest_t = (_without(x / self.temperature, label).log_softmax(1) for x in (student, teacher))
        others = (rest_t.exp() * rest_s).sum(1, keepdim=True)
        cost = -one_t.exp() * one_s - self.gamma * self.temperature**2 * others
        return weighted_mean(cost, _labelled(student, label, mask))

    def extra_repr(self) -> str:
        return f"temperature={self.temperature}, gamma={self.gamma}"


class RankMimicking(Criterion):
    """Which of an object's cells score higher than its others.

    For each object KL(teacher || student) between the softmax over its cells of their scores / T, a score
    being the logit of the object's own class; mean over the objects that have cells. Cells are those whose
    `target` is the object, and whose mask is above 0 (how far above does not matter). 0 for objects of one
    cell, and unlike others not scaled by T^2.

    Source: Li et al., *Knowledge Distillation for Object Detection via Rank Mimicking and Prediction-Guided
    Feature Imitation*, AAAI 2022, equations 1 to 3.
    """

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        self.temperature = temperature

    def compare(
        self,
        student: Tensor,
        teacher: Tensor,
        mask: Tensor | None,
        *,
        objects: Sequence[Tensor],
        target: Tensor,
        label: Tensor,
    ) -> Tensor:
        count = objects[0].shape[0]
        taken = (target >= 0) & (label >= 0)
        taken = taken if mask is None else taken & (mask > 0)
        owner = torch.where(taken, target, count).flatten()  # the last group is all other cells
        log_s, log_t = (
            _log_softmax_of_groups(_of_class(x, label).flatten() / self.temperature, owner, count + 1)
            for x in (student, teacher)
        )
        cost = log_s.new_zeros(count + 1).scatter_add(0, owner, log_t.exp() * (log_t - log_s))
        present = torch.zeros_like(cost).scatter_reduce(0, owner, torch.ones_like(log_t), "amax")
        return cost[:count].sum() / present[:count].sum().clamp(min=1)

    def extra_repr(self) -> str:
        return f"temperature={self.temperature}"


def _labelled(like: Tensor, label: Tensor, mask: Tensor | None) -> Tensor:
    """The mask `[B, 1, *]` at labelled cells, 0 elsewhere."""
    labelled = (label >= 0).to(like.dtype)
    return labelled if mask is None else labelled * mask


def _of_class(values: Tensor, label: Tensor) -> Tensor:
    """`[B, 1, *]` of `[B, C, *]`: that of each cell's class (of the first, where there is none)."""
    return values.gather(1, label.clamp(min=0))


def _without(logits: Tensor, label: Tensor) -> Tensor:
    """Logits whose softmax is 0 at the labelled class."""
    return logits.scatter(1, label.clamp(min=0), torch.finfo(logits.dtype).min)


def _one_against_others(logits: Tensor, label: Tensor) -> Tensor:
    """`[B, 2, *]` logits of the labelled class, and of all others together."""
    others = _without(logits, label).logsumexp(1, keepdim=True)
    return torch.cat((_of_class(logits, label), others), 1)


def _log_softmax_of_groups(scores: Tensor, group: Tensor, groups: int) -> Tensor:
    """Log of the softmax of `scores` `[M]` among those of the same group, an index `[M]` below `groups`."""
    constant = scores.detach()
    top = constant.new_zeros(groups).scatter_reduce(0, group, constant, "amax", include_self=False)
    below = scores - top[group]
    total = scores.new_zeros(groups).scatter_add(0, group, below.exp())
    return below - torch.where(total > 0, total, 1).log()[group]  # empty groups have a log too
