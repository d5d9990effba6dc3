"""Criteria on logits: what the optimum is, what qfl divides by, what bins mean."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kdgraph.nn.criteria import KLDivergence, QualityFocal
from kdgraph.nn.registry import criterion


def test_bce_is_least_at_the_softened_teacher() -> None:
    teacher = torch.randn(2, 3, 8, dtype=torch.float64)
    optimum = (teacher / 2).requires_grad_()
    loss = criterion("bce", temperature=2.0)(optimum, teacher)
    (gradient,) = torch.autograd.grad(loss, optimum)
    assert gradient.abs().max() < 1e-12
    p = optimum.sigmoid()
    torch.testing.assert_close(loss, -(p * p.log() + (1 - p) * (1 - p).log()).mean())


@given(logit=st.floats(-12, 4), anchors=st.integers(1, 60))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_qfl_divides_by_the_cells_the_teacher_sees_and_by_one_at_least(logit: float, anchors: int) -> None:
    teacher = torch.full((1, 2, anchors), -1e4, dtype=torch.float64)
    teacher[:, 1] = logit
    student = torch.zeros_like(teacher)
    p = float(torch.tensor(logit, dtype=torch.float64).sigmoid())
    half = torch.tensor(2.0).log().item()  # BCE at a logit of 0 is log 2, whatever the target
    total = anchors * half * (0.5 + abs(p - 0.5))
    wanted = total / max(1.0, anchors * p)
    assert criterion("qfl")(student, teacher).item() == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("beta", [0.0, 0.01, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_qfl_has_finite_gradients_where_the_gap_is_tiny(dtype: torch.dtype, beta: float) -> None:
    # sigma(-103) and sigma(-744) are the smallest numbers above 0 (some machines take the first for 0)
    student = torch.tensor([[[-744.0, -103.0, -90.0, -20.0, 0.0, 103.0]]], dtype=dtype, requires_grad=True)
    teacher = torch.tensor([[[-1e4, -1e4, -1e4, -20.0000001, 1e-7, 1e4]]], dtype=dtype)
    loss = criterion("qfl", beta=beta)(student, teacher)
    loss.backward()
    assert loss.isfinite()
    assert student.grad is not None
    assert student.grad.isfinite().all()


@pytest.mark.parametrize("beta", [0.0, 0.01, 0.5, 1.0, 2.0])
def test_qfl_focus_of_the_smallest_gap(beta: float) -> None:
    """Devices differ in whether a sigmoid can leave a gap that small, so it is given as it is."""
    gap = torch.tensor([0.0, 1e-45, 1e-40, 1.0], requires_grad=True)
    QualityFocal(beta)._focus(gap).sum().backward()
    assert gap.grad is not None
    assert gap.grad.isfinite().all()


def test_qfl_with_beta_0_is_plain_cross_entropy() -> None:
    student, teacher = torch.randn(2, 2, 3, 50, dtype=torch.float64)
    positives = teacher.sigmoid().amax(1).sum()
    plain = criterion("bce")(student, teacher) * student.numel() / positives
    torch.testing.assert_close(criterion("qfl", beta=0.0)(student, teacher), plain)


@pytest.mark.parametrize("bins", [0, 1])
def test_kl_refuses_bins_that_teach_nothing(bins: int) -> None:
    with pytest.raises(ValueError, match="at least 2 bins"):
        KLDivergence(bins=bins)


def test_kl_refuses_channels_that_are_not_four_sides() -> None:
    logits = torch.zeros(1, 80, 4)
    with pytest.raises(ValueError, match="80 channels are not 4 sides of 16 bins"):
        criterion("kl", bins=16)(logits, logits)


def test_kl_over_bins_is_the_mean_of_the_sides() -> None:
    student, teacher = torch.randn(2, 2, 4 * 5, 7, dtype=torch.float64)
    sides = [criterion("kl")(s, t) for s, t in zip(student.split(5, 1), teacher.split(5, 1), strict=True)]
    torch.testing.assert_close(criterion("kl", bins=5)(student, teacher), torch.stack(sides).mean())
