"""ld and ddf: what they average over, and what weighs a box."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from kdgraph.nn.dfl import distances
from kdgraph.nn.registry import criterion

BINS, CELLS = 6, 8


def pair(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """A student, a teacher, and the teacher's class logits."""
    noise = torch.Generator().manual_seed(seed)
    student, teacher = 2 * torch.randn(2, 2, 4 * BINS, CELLS, generator=noise, dtype=torch.float64)
    return student, teacher, torch.randn(2, 3, CELLS, generator=noise, dtype=torch.float64)


@pytest.mark.parametrize("masked", [False, True], ids=["everywhere", "masked"])
def test_ld_is_kl_over_the_bins(masked: bool) -> None:
    student, teacher, _ = pair()
    mask = torch.rand(2, CELLS, dtype=torch.float64) if masked else None
    plain = criterion("kl", temperature=3.0, bins=BINS)(student, teacher, mask)
    for reduction, factor in (("sum", 1), ("mean", BINS)):
        loss = criterion("ld", temperature=3.0, reduction=reduction, bins=BINS)(student, teacher, mask)
        torch.testing.assert_close(loss * factor, plain, rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", ["ld", "ddf", "m2d2"])
def test_bins_that_teach_nothing_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="at least 2 bins, got 1: a head without bins has no distribution"):
        criterion(name, bins=1)


@pytest.mark.parametrize("name", ["ld", "ddf", "m2d2"])
def test_bins_must_be_told(name: str) -> None:
    with pytest.raises(ValueError, match=f"criterion '{name}' must be told bins"):
        criterion(name)


def ddf(student: Tensor, teacher: Tensor, target: Tensor, box: Tensor, scores: Tensor) -> Tensor:
    loss = criterion("ddf", temperature=2.0, bins=BINS)
    value: Tensor = loss(student, teacher, teacher_cls=scores, target=target, target_box=box)
    return value


def test_unmatched_cells_are_kl_weighted_by_the_score() -> None:
    student, teacher, scores = pair()
    none, box = torch.full((2, CELLS), -1), torch.zeros(2, 4, CELLS)
    weight = scores.sigmoid().amax(1)
    plain = criterion("kl", temperature=2.0, bins=BINS)(student, teacher, weight) * weight.mean()
    torch.testing.assert_close(ddf(student, teacher, none, box, scores), plain, rtol=1e-8, atol=0)


def test_matched_cells_are_kl_weighted_by_the_iou_of_the_expected_box() -> None:
    student, teacher, scores = pair()
    all_ = torch.zeros(2, CELLS, dtype=torch.long)
    half = distances(student, BINS) * torch.tensor([0.5, 1, 0.5, 1]).view(-1, 1)  # half as wide
    plain = criterion("kl", temperature=2.0, bins=BINS)(student, teacher)
    torch.testing.assert_close(ddf(student, teacher, all_, half, scores), plain / 2, rtol=1e-8, atol=0)


def test_the_two_are_joined_by_the_roots_of_their_counts() -> None:
    student, teacher, scores = pair()
    target = torch.full((2, CELLS), -1)
    target[0, :4] = 7  # 4 of 16
    box = distances(student, BINS)
    ours = [x[:1, :, :4] for x in (student, teacher)]
    matched = ddf(*ours, target[:1, :4], box[:1, :, :4], scores[:1, :, :4])
    divergence = criterion("kl", temperature=2.0, bins=BINS)
    weight = torch.where(target < 0, scores.sigmoid().amax(1), 0)
    unmatched = divergence(student, teacher, weight) * weight.sum() / 12
    wanted = (2 * matched + 12**0.5 * unmatched) / (2 + 12**0.5)
    torch.testing.assert_close(ddf(student, teacher, target, box, scores), wanted, rtol=1e-8, atol=0)


def test_the_weight_is_constant() -> None:
    """Else a student would learn to make its boxes bad where its distributions differ."""
    student, teacher, scores = pair()
    target, box = torch.zeros(2, CELLS, dtype=torch.long), 0.5 + torch.rand(2, 4, CELLS).double()
    student.requires_grad_()
    (got,) = torch.autograd.grad(ddf(student, teacher, target, box, scores), student)
    anew = student.detach().clone().requires_grad_()
    overlap = ddf_weight(anew.detach(), box)
    kl = criterion("kl", temperature=2.0, bins=BINS)(anew, teacher, overlap) * overlap.mean()
    (wanted,) = torch.autograd.grad(kl, anew)
    torch.testing.assert_close(got, wanted, rtol=1e-7, atol=1e-12)


def ddf_weight(student: Tensor, box: Tensor) -> Tensor:
    """IoU `[B, A]` of boxes around one point."""
    ours = distances(student, BINS)

    def area(x: Tensor) -> Tensor:
        return (x[:, 0] + x[:, 2]) * (x[:, 1] + x[:, 3])

    overlap = area(torch.minimum(ours, box))
    return overlap / (area(ours) + area(box) - overlap)
