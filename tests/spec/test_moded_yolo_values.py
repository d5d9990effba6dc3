"""A converted spec has the value that moded_YOLO meant: its formulas against criteria times weights."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from kdgraph.nn import registry
from kdgraph.spec import parse
from kdgraph.spec.moded_yolo import convert
from kdgraph.spec.schedule import by_level

SIZES = ((8, 12), (4, 6), (2, 3))
CLASSES, BINS = 5, 16
EPS = 1e-9

Levels = list[Tensor]
Formula = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""Student, teacher, mask [B,1,H,W] of one level -> the loss there."""


def maps(channels: int, seed: int) -> Levels:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(2, channels, *size, generator=generator, dtype=torch.float64) for size in SIZES]


def foregrounds() -> Levels:
    generator = torch.Generator().manual_seed(9)
    return [(torch.rand(2, 1, *size, generator=generator) < 0.4).double() for size in SIZES]


TAPS = {"head.cls.*": CLASSES, "head.dfl.*": 4 * BINS, "head.box.*": 4 * BINS, "neck.*": 7}


def converted(flags: str) -> Tensor:
    """The sum of the edges' losses, with the masks of `foregrounds` for whatever mask an edge has."""
    total = torch.zeros((), dtype=torch.float64)
    for edge in parse(convert(flags.split())).edges.values():
        [taps] = edge.taps.student
        bins = BINS if taps in ("head.dfl.*", "head.box.*") else None
        criterion = registry.criterion(edge.criterion.name, bins=bins, **edge.criterion.options)
        masks: list[Tensor | None] = [*foregrounds()] if edge.mask[0].name != "all" else [None] * 3
        levels = zip(maps(TAPS[taps], 0), maps(TAPS[taps], 1), masks, strict=True)
        for weight, (s, t, mask) in zip(by_level(edge, ("p3", "p4", "p5")), levels, strict=True):
            total += weight * criterion(s, t, mask)
    return total


def meant(formula: Formula, channels: int, weights: list[float], masked: bool = False) -> Tensor:
    """moded_YOLO's loss: the formula at each level, weighed and added."""
    masks: list[Tensor | None] = [*foregrounds()] if masked else [None] * 3
    levels = zip(weights, maps(channels, 0), maps(channels, 1), masks, strict=True)
    return torch.stack([weight * formula(s, t, mask) for weight, s, t, mask in levels]).sum()


def cell_mean(values: Tensor, mask: Tensor | None) -> Tensor:
    """`values` [B,H,W], over all cells or over those of the mask."""
    return values.mean() if mask is None else (values * mask[:, 0]).sum() / (mask.sum() + EPS)


def class_bce(temperature: float) -> Formula:
    def loss(s: Tensor, t: Tensor, mask: Tensor | None) -> Tensor:
        p = 1 / (1 + (-t / temperature).exp())
        cost = -(p * F.logsigmoid(s) + (1 - p) * F.logsigmoid(-s))
        return cell_mean(cost.mean(1), mask)

    return loss


def class_kl(temperature: float) -> Formula:
    def loss(s: Tensor, t: Tensor, mask: Tensor | None) -> Tensor:
        p = (t / temperature).softmax(1)
        cost = (p * (p.log() - (s / temperature).softmax(1).log())).sum(1)
        return cell_mean(cost, mask) * temperature**2

    return loss


def bin_kl(temperature: float) -> Formula:
    def loss(s: Tensor, t: Tensor, mask: Tensor | None) -> Tensor:
        p, q = ((x.unflatten(1, (4, BINS)) / temperature).softmax(2) for x in (t, s))
        return cell_mean((p * (p / q).log()).sum(2).mean(1), mask) * temperature**2

    return loss


def box_l2(s: Tensor, t: Tensor, mask: Tensor | None) -> Tensor:
    bins = torch.arange(BINS, dtype=s.dtype).view(1, 1, BINS, 1, 1)
    ours, theirs = ((x.unflatten(1, (4, BINS)).softmax(2) * bins).sum(2) / BINS for x in (s, t))
    return cell_mean((ours - theirs).square().mean(1), mask)


def feature_l2(s: Tensor, t: Tensor, mask: Tensor | None) -> Tensor:
    return cell_mean((s - t).square().mean(1), mask)


def feature_cosine(s: Tensor, t: Tensor, mask: Tensor | None) -> Tensor:
    return cell_mean(1 - F.cosine_similarity(s, t, dim=1), mask)


def attention(p: Tensor) -> Tensor:
    energy = p.square().sum(1).flatten(1)
    return energy / energy.norm(dim=1, keepdim=True)


def attention_l2(s: Tensor, t: Tensor, mask: Tensor | None) -> Tensor:
    cells = s.shape[2] * s.shape[3]  # what its value is multiplied with, to be of order one
    gap = (attention(s) - attention(t)).square().unflatten(1, s.shape[2:])
    return cell_mean(gap, mask) * cells


def attention_cosine(s: Tensor, t: Tensor, mask: Tensor | None) -> Tensor:
    each = 1 - (attention(s) * attention(t)).sum(1)
    return (each if mask is None else each * mask.mean((1, 2, 3))).mean()


def pooled_l2(s: Tensor, t: Tensor, mask: Tensor | None) -> Tensor:
    return (s.mean((2, 3)) - t.mean((2, 3))).square().mean()


def gram_l2(s: Tensor, t: Tensor, mask: Tensor | None) -> Tensor:
    ours, theirs = (F.normalize(x.flatten(2), dim=2) for x in (s, t))
    return (ours @ ours.mT - theirs @ theirs.mT).square().mean()  # times (H W)^2


def positions(s: Tensor, t: Tensor, mask: Tensor | None) -> Tensor:
    ours, theirs = (x.abs().sum(1).flatten(1).softmax(1).unflatten(1, x.shape[2:]) for x in (s, t))
    return cell_mean((ours - theirs).square(), mask) * s.shape[2] * s.shape[3]


def channels(s: Tensor, t: Tensor, mask: Tensor | None) -> Tensor:
    ours, theirs = (x.mean((2, 3)).softmax(1) for x in (s, t))
    return (ours - theirs).square().mean() * s.shape[1] ** 2


LEVELS = "level_weights=[0.4,0.5,0.2]"
NECK = f"feat_distill=True feature_lambda=0.8 {LEVELS}"
ADDED = [0.4, 0.5, 0.2]
MEAN = [0.8 * share / 3 for share in ADDED]


@pytest.mark.parametrize(
    ("flags", "formula", "tap", "weights"),
    [
        (f"cls_dist=True cls_dist_t=2 {LEVELS}", class_bce(2), "head.cls.*", ADDED),
        (f"cls_dist=True cls_dist_kl=True cls_dist_t=3 {LEVELS}", class_kl(3), "head.cls.*", ADDED),
        ("dfl_dist=True dfl_t=1.5 dfl_alpha=0.6", bin_kl(1.5), "head.dfl.*", [0.2] * 3),
        ("l2_dist=True l2_alpha=0.9 cls_alpha=5", box_l2, "head.box.*", [0.3] * 3),
        (f"{NECK} feat=True", feature_l2, "neck.*", MEAN),
        (f"{NECK} feat=True loss_ty=cosine", feature_cosine, "neck.*", MEAN),
        (f"{NECK} feat_att=True", attention_l2, "neck.*", MEAN),
        (f"{NECK} feat_att=True loss_ty=cosine", attention_cosine, "neck.*", MEAN),
        (f"{NECK} feat_oth=True use_spatial_att=True", positions, "neck.*", MEAN),
    ],
)
@pytest.mark.parametrize("masked", [False, True])
def test_losses_that_know_masks(
    flags: str, formula: Formula, tap: str, weights: list[float], masked: bool
) -> None:
    on = " cls_fg_mask=True dfl_fg_mask=True l2_fg_mask=True feat_mask=True" if masked else ""
    torch.testing.assert_close(
        converted(flags + on), meant(formula, TAPS[tap], weights, masked), rtol=1e-5, atol=0
    )


@pytest.mark.parametrize(
    ("method", "formula"), [("use_crd", gram_l2), ("use_channel_att", channels)], ids=["gram", "channels"]
)
def test_losses_that_know_none(method: str, formula: Formula) -> None:
    value = converted(f"{NECK} feat_oth=True feat_mask=True {method}=True")
    torch.testing.assert_close(value, meant(formula, TAPS["neck.*"], MEAN), rtol=1e-5, atol=0)


def test_the_pooled_means_are_what_use_cwd_computed() -> None:
    """The spec that is shipped for it."""
    criterion = registry.criterion("gap_mse")
    for s, t in zip(maps(7, 0), maps(7, 1), strict=True):
        torch.testing.assert_close(criterion(s, t), pooled_l2(s, t, None))
