"""Published loss vectors against this project's criteria: what to feed which, and the factor between them.

A criterion here averages over positions; many sources sum, or divide by something else. The factor (in one
case an offset) is written in the case, with its reason: never in the criterion.
"""

from __future__ import annotations

import reference_boxes  # noqa: F401  (registers its cases, as the next ones)
import reference_features  # noqa: F401
import reference_logits  # noqa: F401
import reference_masks  # noqa: F401
import reference_seed_features  # noqa: F401
from reference_levels import level_weight, mean, normaliser, total
from reference_vectors import Vector, Verdict, case, check
from torch import Tensor

from kdgraph.nn.criteria.base import EPS, Criterion
from kdgraph.nn.dfl import sides
from kdgraph.nn.registry import criterion

__all__ = ["Verdict", "check"]


# seed variants: head maps are [B, 64 + nc, H, W], box bins first


@case("seed_cls_bce")
def seed_cls_bce(vector: Vector) -> Tensor:
    """Summed over levels."""
    loss = criterion("bce", temperature=vector.number("temperature"))
    levels = [
        level_weight(vector, i)
        * normaliser(vector, i, vector.config["nc"], 1)
        * loss(student[:, 64:], teacher[:, 64:], vector.get("mask", i))
        for i, student, teacher in vector.pairs()
    ]
    return vector.number("cls_alpha") * total(levels)


@case("seed_cls_kl")
def seed_cls_kl(vector: Vector) -> Tensor:
    """Summed over levels."""
    loss = criterion("kl", temperature=vector.number("temperature"))
    levels: list[Tensor] = []
    for i, student, teacher in vector.pairs():
        mask, factor = vector.get("mask", i), level_weight(vector, i)
        student, teacher = student[:, 64:], teacher[:, 64:]
        if vector.config["mask_broadcast_quirk"] and mask is not None:
            levels.append(factor * _every_mask_with_every_image(vector, loss, student, teacher, mask))
        else:
            levels.append(factor * normaliser(vector, i, 1, 1) * loss(student, teacher, mask))
    return vector.number("cls_alpha") * total(levels)


def _every_mask_with_every_image(
    vector: Vector, loss: Criterion, student: Tensor, teacher: Tensor, mask: Tensor
) -> Tensor:
    """[B, H, W] * [B, 1, H, W] is [mask's image, divergence's image, H, W]: B * B pairs, fed here one by one.

    The source divides by the masks' sum, not by that over all pairs, which is B times it.
    """
    images = len(mask)
    pairs = loss(*(x.repeat(images, 1, 1, 1) for x in (student, teacher)), mask.repeat_interleave(images, 0))
    return float((images * mask.sum() + EPS) / (mask.sum() + vector.number("eps"))) * pairs


@case("seed_dfl_kl")
def seed_dfl_kl(vector: Vector) -> Tensor:
    """Averaged over levels, T^2 times a mean as here, but with log(t + 1e-8) for log t.

    That is an offset which depends on the teacher only, so gradients are not touched by it.
    """
    temperature = vector.number("temperature")
    loss = criterion("kl", temperature=temperature, bins=16)
    levels = []
    for i, student, teacher in vector.pairs():
        mask = vector.get("mask", i)
        offset = _log_offset(teacher[:, :64] / temperature, vector.number("log_eps"))
        excess = (
            offset.mean() if mask is None else (offset * mask).sum() / (mask.sum() + vector.number("eps"))
        )
        exact = loss(student[:, :64], teacher[:, :64], mask)
        levels.append(normaliser(vector, i, 4, 4) * exact + temperature**2 * excess)
    return vector.number("dfl_alpha") * mean(levels)


def _log_offset(logits: Tensor, eps: float) -> Tensor:
    """sum over bins of t * (log(t + eps) - log t), mean of the four sides, `[B, 1, H, W]`."""
    t = sides(logits, 16).softmax(2)
    return (t * ((t + eps).log() - t.log())).sum(2).mean(1, keepdim=True)


@case("seed_box_l2")
def seed_box_l2(vector: Vector) -> Tensor:
    """Averaged over levels."""
    loss = criterion("box_l2", bins=16)
    levels = [
        normaliser(vector, i, 4, 4) * loss(student[:, :64], teacher[:, :64], vector.get("mask", i))
        for i, student, teacher in vector.pairs()
    ]
    return vector.number("l2_alpha") * mean(levels)
