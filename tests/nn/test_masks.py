"""Weights of cells by the models' scores."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kdgraph.nn.registry import mask

seeds = st.integers(0, 2**32 - 1)
some = settings(max_examples=25, deadline=None, derandomize=True)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
def test_teacher_score_position_by_position(power: float) -> None:
    branches = torch.randn(2, 3, 4, 2, 5, dtype=torch.float64)
    got = mask("teacher_score", power=power)(teacher_branches=list(branches))
    assert got.shape == (3, 1, 2, 5)
    for image, row, column in np.ndindex(3, 2, 5):
        logits = branches[:, image, :, row, column].numpy().mean(0)
        score = max(sigmoid(logits))
        assert got[image, 0, row, column].item() == pytest.approx(score**power, rel=1e-12)


@given(seed=seeds, power=st.floats(0, 5), branches=st.integers(1, 3))
@some
def test_teacher_score_is_a_weight(seed: int, power: float, branches: int) -> None:
    logits = 10 * torch.randn(branches, 2, 3, 12, generator=torch.Generator().manual_seed(seed))
    logits.requires_grad_()
    got = mask("teacher_score", power=power)(teacher_branches=list(logits))
    assert not got.requires_grad
    assert got.shape == (2, 12)
    assert ((got >= 0) & (got <= 1)).all()
    as_maps = mask("teacher_score", power=power)(teacher_branches=list(logits.unflatten(3, (3, 4))))
    assert torch.equal(as_maps.flatten(1), got)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_teacher_score_of_extreme_logits(dtype: torch.dtype) -> None:
    logits = torch.tensor([[[1e4, -1e4, 0.0], [-1e4, -1e4, 0.0]]]).to(dtype)
    with torch.autocast("cpu", torch.bfloat16):
        got = mask("teacher_score")(teacher_branches=[logits])
    assert got.dtype == torch.float32
    assert got.tolist() == [[1.0, 0.0, 0.5]]


def test_teacher_score_needs_branches_of_one_shape() -> None:
    with pytest.raises(ValueError, match="at least one branch"):
        mask("teacher_score")(teacher_branches=[])
    with pytest.raises(ValueError, match=r"branches are \[\[1, 3, 4\], \[1, 3, 5\]\]"):
        mask("teacher_score")(teacher_branches=[torch.zeros(1, 3, 4), torch.zeros(1, 3, 5)])


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
def test_score_gap_position_by_position(power: float) -> None:
    student, teacher = 3 * torch.randn(2, 3, 4, 2, 5, dtype=torch.float64)
    module = mask("score_gap", power=power)
    got = module(student_cls=student, teacher_cls=teacher)
    assert got.shape == (3, 1, 2, 5)
    for image, row, column in np.ndindex(3, 2, 5):
        p_s, p_t = (sigmoid(x[image, :, row, column].numpy()) for x in (student, teacher))
        assert got[image, 0, row, column].item() == pytest.approx(max(abs(p_t - p_s)) ** power, rel=1e-12)
    flat = module(student_cls=student.flatten(2), teacher_cls=teacher.flatten(2))
    assert torch.equal(flat, got.flatten(1))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_score_gap_of_extreme_logits(dtype: torch.dtype) -> None:
    student = torch.tensor([[[1e4, -1e4, 0.0, 7.0]]]).to(dtype).requires_grad_()
    teacher = torch.tensor([[[-1e4, -1e4, 1e4, 7.0]]]).to(dtype)
    with torch.autocast("cpu", torch.bfloat16):
        got = mask("score_gap")(student_cls=student, teacher_cls=teacher)
    assert got.dtype == torch.float32
    assert got.tolist() == [[1.0, 0.0, 0.5, 0.0]]
    assert not got.requires_grad


@given(
    seed=seeds, k=st.integers(1, 20), size=st.tuples(st.integers(1, 4), st.integers(1, 4)), ties=st.booleans()
)
@some
def test_top_k_are_the_first_of_the_cells_by_score(
    seed: int, k: int, size: tuple[int, int], ties: bool
) -> None:
    noise = torch.Generator().manual_seed(seed)
    logits = torch.randn(3, 4, *size, generator=noise)
    logits = logits.round() if ties else logits
    module = mask("top_k", k=k)
    got = module(teacher_cls=logits)
    assert got.dtype == torch.bool
    assert got.shape == (3, 1, *size)
    cells = size[0] * size[1]
    assert got.sum((1, 2, 3)).tolist() == [min(k, cells)] * 3
    for image in range(3):
        highest = logits[image].flatten(1).amax(0).tolist()
        order = sorted(range(cells), key=lambda cell: (-highest[cell], cell))
        assert got[image].flatten().nonzero().flatten().tolist() == sorted(order[:k])
    assert torch.equal(module(teacher_cls=logits.flatten(2)), got.flatten(1))


def test_top_k_tells_scores_apart_that_round_to_one() -> None:
    logits = torch.tensor([[[40.0, 60.0, 50.0, -3.0]]], requires_grad=True)
    got = mask("top_k", k=2)(teacher_cls=logits)
    assert got.tolist() == [[False, True, True, False]]


@pytest.mark.parametrize(("shape", "wanted"), [((2, 5, 3, 4), (2, 1, 3, 4)), ((2, 5, 12), (2, 12))])
def test_all_is_ones(shape: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    got = mask("all")(torch.randn(shape, requires_grad=True))
    assert got.shape == wanted
    assert (got == 1).all()
    assert not got.requires_grad
