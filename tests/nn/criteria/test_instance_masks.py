"""Masks of segmentation heads: whose pixels count, at which cells, and what learns."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from ultralytics.utils.loss import v8SegmentationLoss

from kdgraph.nn.registry import criterion


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def boxes(images: int, cells: int, reach: float = 1e3) -> dict[str, Any]:
    """Boxes that reach so far from each of a row of cells; by default over the whole image."""
    distances = torch.full((images, 4, cells), reach, dtype=torch.float64)
    return {"teacher_box": distances, "maps": [torch.zeros(1, 1, 1, cells)]}


def binary_kl(ours: Tensor, theirs: Tensor) -> Tensor:
    """Between Bernoulli distributions, by torch."""
    theirs, ours = (torch.distributions.Bernoulli(logits=x) for x in (theirs, ours))  # type: ignore[no-untyped-call]
    return torch.distributions.kl_divergence(theirs, ours)


def test_only_the_cells_of_the_largest_weights_are_compared() -> None:
    ours, theirs = noise(2, 3, 5), noise(2, 4, 5, seed=1)
    our_proto, their_proto = noise(2, 3, 2, 3, seed=2), noise(2, 4, 2, 3, seed=3)
    weights = torch.tensor([[0.1, 0.9, 0.0, 0.5, 0.2], [0.0, 0.0, 0.3, 0.0, 0.0]], dtype=torch.float64)
    protos = {"student_proto": our_proto, "teacher_proto": their_proto}
    loss = criterion("masks", count=2)(ours, theirs, weights, **protos, **boxes(2, 5))
    pixels = [torch.einsum("bna,bnyx->bayx", a, b) for a, b in ((ours, our_proto), (theirs, their_proto))]
    cost = binary_kl(*pixels).mean((2, 3))
    expected = (0.9 * cost[0, 1] + 0.5 * cost[0, 3] + 0.3 * cost[1, 2]) / 1.7
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("masked", [True, False])
def test_of_equal_weights_some_are_taken_from_everywhere(masked: bool) -> None:
    """Ten of a hundred cells, no two side by side, and some in each quarter."""
    ours = noise(1, 3, 100).requires_grad_()
    protos = {"student_proto": noise(1, 3, 4, 4, seed=1), "teacher_proto": noise(1, 3, 4, 4, seed=2)}
    weights = torch.ones(1, 100, dtype=torch.bool) if masked else None
    loss = criterion("masks", count=10)(ours, noise(1, 3, 100, seed=3), weights, **protos, **boxes(1, 100))
    (gradient,) = torch.autograd.grad(loss, ours)
    cells = gradient[0].abs().sum(0).nonzero().flatten()
    assert len(cells) == 10
    assert (cells.diff() > 1).all()
    assert torch.bincount(cells // 25, minlength=4).min() >= 1


def test_equal_masks_of_unequal_prototypes_are_no_difference() -> None:
    """The same masks in another basis: prototypes through a matrix, coefficients through its inverse."""
    ours, proto, basis = noise(1, 3, 4), noise(1, 3, 5, 5, seed=1), noise(3, 3, seed=2)
    theirs = torch.einsum("nm,bnk->bmk", torch.linalg.inv(basis).T, ours)
    their_proto = torch.einsum("nm,bnhw->bmhw", basis, proto)
    assert (ours - theirs).abs().max() > 0.1
    assert (proto - their_proto).abs().max() > 0.1
    loss = criterion("masks")(ours, theirs, student_proto=proto, teacher_proto=their_proto, **boxes(1, 4))
    assert loss.item() == pytest.approx(0, abs=1e-12)


def test_the_teacher_s_masks_are_resized_and_gradients_reach_prototypes() -> None:
    ours, proto = noise(1, 3, 4).requires_grad_(), noise(1, 3, 4, 4, seed=1).requires_grad_()
    theirs, their_proto = noise(1, 2, 4, seed=2), noise(1, 2, 8, 8, seed=3).requires_grad_()
    loss = criterion("masks")(ours, theirs, student_proto=proto, teacher_proto=their_proto, **boxes(1, 4))
    resized = F.interpolate(torch.einsum("bnk,bnhw->bkhw", theirs, their_proto), (4, 4), mode="bilinear")
    torch.testing.assert_close(loss, binary_kl(torch.einsum("bnk,bnhw->bkhw", ours, proto), resized).mean())
    loss.backward()
    assert ours.grad is not None
    assert proto.grad is not None
    assert ours.grad.any()
    assert proto.grad.any()
    assert their_proto.grad is None


CELLS = [(y, x, 4, 3) for y in range(2) for x in range(4)] + [(0, x, 8, 6) for x in range(2)]
"""Row and column in maps of 2 x 4 and of 1 x 2 cells, and a cell's height and width in 8 x 12 pixels."""


@pytest.mark.parametrize("cell", range(10))
def test_within_a_box_it_is_the_loss_that_ultralytics_trains_masks_with(cell: int) -> None:
    ours, proto, sides = noise(1, 3, 10), noise(1, 3, 8, 12, seed=1), 0.3 + noise(1, 4, 10, seed=2).abs()
    truth = (noise(10, 8, 12, seed=3) > 0).double()
    y, x, high, wide = CELLS[cell]
    left, top, right, bottom = sides[0, :, cell].tolist()
    low, up = (x + 0.5 - left) * wide, (y + 0.5 - top) * high
    box = (low, up, (x + 0.5 + right) * wide, (y + 0.5 + bottom) * high)
    count = sum(box[0] < i + 0.5 < box[2] and box[1] < j + 0.5 < box[3] for j in range(8) for i in range(12))
    upright = torch.tensor([box], dtype=torch.float64) - 0.5  # it takes a pixel's corner for the pixel
    alone = ours[0, :, cell : cell + 1].T, proto[0], upright, torch.tensor([1 / 96])
    total = v8SegmentationLoss.single_mask_loss(truth[cell : cell + 1], *alone).item()

    teacher = torch.eye(10, dtype=torch.float64)[None]  # cell after cell, mask after mask
    sure = {"student_proto": proto, "teacher_proto": 200 * (truth[None] - 0.5)}
    places = {"teacher_box": sides, "maps": [torch.zeros(1, 1, 2, 4), torch.zeros(1, 1, 1, 2)]}
    loss = criterion("masks")(ours, teacher, torch.eye(10)[cell : cell + 1], **sure, **places)
    assert count > 0
    assert loss.item() == pytest.approx(total / count, rel=1e-6)


def test_a_box_between_all_pixels_costs_nothing() -> None:
    protos = {"student_proto": noise(1, 3, 2, 2), "teacher_proto": noise(1, 3, 2, 2, seed=1)}
    ours = noise(1, 3, 1, seed=2).requires_grad_()
    loss = criterion("masks")(ours, noise(1, 3, 1, seed=3), **protos, **boxes(1, 1, reach=0.1))
    assert loss.item() == 0
    loss.backward()
    assert ours.grad is not None
    assert not ours.grad.any()
    whole = criterion("masks")(ours, noise(1, 3, 1, seed=3), **protos, **boxes(1, 1))
    assert whole.item() > 0


def test_a_student_that_says_nothing_loses_a_bit_at_most() -> None:
    theirs, proto = noise(1, 3, 4), 50 * noise(1, 3, 6, 6, seed=1)
    silent = criterion("masks")(theirs * 0, theirs, student_proto=proto, teacher_proto=proto, **boxes(1, 4))
    assert 0.9 * math.log(2) < silent.item() <= math.log(2)
