"""Weights of positions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kdgraph.nn.registry import mask


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
def test_teacher_score_position_by_position(power: float) -> None:
    branches = torch.randn(2, 3, 4, 2, 5, dtype=torch.float64)
    got = mask("teacher_score", power=power)(*branches)
    assert got.shape == (3, 1, 2, 5)
    for image, row, column in np.ndindex(3, 2, 5):
        logits = branches[:, image, :, row, column].numpy().mean(0)
        score = max(1 / (1 + np.exp(-logits)))
        assert got[image, 0, row, column].item() == pytest.approx(score**power, rel=1e-12)


@given(seed=st.integers(0, 2**32 - 1), power=st.floats(0, 5), branches=st.integers(1, 3))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_teacher_score_is_a_weight(seed: int, power: float, branches: int) -> None:
    logits = 10 * torch.randn(branches, 2, 3, 12, generator=torch.Generator().manual_seed(seed))
    logits.requires_grad_()
    got = mask("teacher_score", power=power)(*logits)
    assert not got.requires_grad
    assert got.shape == (2, 12)
    assert ((got >= 0) & (got <= 1)).all()
    as_maps = mask("teacher_score", power=power)(*logits.unflatten(3, (3, 4)))
    assert torch.equal(as_maps.flatten(1), got)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_teacher_score_of_extreme_logits(dtype: torch.dtype) -> None:
    logits = torch.tensor([[[1e4, -1e4, 0.0], [-1e4, -1e4, 0.0]]]).to(dtype)
    with torch.autocast("cpu", torch.bfloat16):
        got = mask("teacher_score")(logits)
    assert got.dtype == torch.float32
    assert got.tolist() == [[1.0, 0.0, 0.5]]


def test_teacher_score_needs_branches_of_one_shape() -> None:
    with pytest.raises(ValueError, match="at least one branch"):
        mask("teacher_score")()
    with pytest.raises(ValueError, match=r"branches are \[\[1, 3, 4\], \[1, 3, 5\]\]"):
        mask("teacher_score")(torch.zeros(1, 3, 4), torch.zeros(1, 3, 5))


@pytest.mark.parametrize(("shape", "wanted"), [((2, 5, 3, 4), (2, 1, 3, 4)), ((2, 5, 12), (2, 12))])
def test_all_is_ones(shape: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    got = mask("all")(torch.randn(shape, requires_grad=True))
    assert got.shape == wanted
    assert (got == 1).all()
    assert not got.requires_grad
