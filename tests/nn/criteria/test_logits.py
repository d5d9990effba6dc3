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


@pytest.mark.parametrize("bins", [None, 3])
def test_masked_kl_of_a_batch_is_that_of_its_images(bins: int | None) -> None:
    """[B, H, W] times [B, 1, H, W] would meet every image's mask with every image's divergence."""
    student, teacher = torch.randn(2, 3, 12, 4, 5, dtype=torch.float64)
    mask = torch.rand(3, 1, 4, 5, dtype=torch.float64)
    loss = criterion("kl", bins=bins)
    each = [loss(*(x[i : i + 1] for x in (student, teacher, mask))) for i in range(3)]
    weights = mask.sum((1, 2, 3))
    wanted = (torch.stack(each) * weights).sum() / weights.sum()
    torch.testing.assert_close(loss(student, teacher, mask), wanted, rtol=1e-8, atol=0)


@pytest.mark.parametrize("name", ["logit_std", "kl"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_one_class_is_worth_nothing(name: str, dtype: torch.dtype) -> None:
    student, teacher = torch.randn(2, 2, 1, 9).to(dtype)
    student.requires_grad_()
    loss = criterion(name)(student, teacher)
    loss.backward()
    assert loss.item() == 0
    assert student.grad is not None
    assert not student.grad.any()


@given(scale=st.floats(0.1, 10), offset=st.floats(-10, 10))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_logit_std_is_blind_to_scale_and_offset(scale: float, offset: float) -> None:
    student, teacher = torch.randn(2, 2, 5, 9, dtype=torch.float64)
    loss = criterion("logit_std")
    changed = loss(student * scale + offset, teacher)
    torch.testing.assert_close(changed, loss(student, teacher), rtol=1e-4, atol=1e-9)  # 1e-7 by a deviation
    assert loss(teacher * scale + offset, teacher).item() == pytest.approx(0, abs=1e-9)


def test_equal_logits_have_moderate_gradients() -> None:
    """Divided by 1e-7 they would overflow in half precision."""
    student = torch.zeros(1, 4, 3, dtype=torch.float16, requires_grad=True)
    for name in ("logit_std", "dist"):
        loss = criterion(name)(student, torch.randn(1, 4, 3))
        (gradient,) = torch.autograd.grad(loss, student)
        assert gradient.abs().max() < 10


def test_dist_is_zero_at_equality_but_for_its_epsilon() -> None:
    student = torch.randn(2, 6, 12, dtype=torch.float64)
    assert criterion("dist")(student, student).item() == pytest.approx(0, abs=1e-5)


def test_dist_of_twice_the_batch_is_the_same_but_for_its_epsilon() -> None:
    student, teacher = torch.randn(2, 2, 6, 12, dtype=torch.float64)
    loss = criterion("dist")
    twice = loss(student.repeat(2, 1, 1), teacher.repeat(2, 1, 1))
    torch.testing.assert_close(twice, loss(student, teacher), rtol=1e-5, atol=0)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_dist_is_what_corrcoef_says(seed: int) -> None:
    noise = torch.Generator().manual_seed(seed)
    student, teacher = torch.randn(2, 2, 4, 9, generator=noise, dtype=torch.float64)
    rows = [x.softmax(1).transpose(1, 2).flatten(0, 1) for x in (student, teacher)]
    cells, classes = (
        torch.stack([torch.corrcoef(torch.stack(pair))[0, 1] for pair in zip(*tables, strict=True)]).mean()
        for tables in (rows, [x.T for x in rows])
    )
    for inter, intra in [(1.0, 0.0), (0.0, 1.0), (0.5, 2.0)]:
        loss = criterion("dist", inter=inter, intra=intra)(student, teacher)
        wanted = inter * (1 - cells) + intra * (1 - classes)
        torch.testing.assert_close(loss, wanted, rtol=1e-4, atol=1e-6)


def test_dist_of_one_class_is_constant() -> None:
    student, teacher = torch.randn(2, 2, 1, 9)
    student.requires_grad_()
    loss = criterion("dist", temperature=2.0, inter=1.0, intra=3.0)(student, teacher)
    loss.backward()
    assert loss.item() == pytest.approx(16)
    assert student.grad is not None
    assert not student.grad.any()
