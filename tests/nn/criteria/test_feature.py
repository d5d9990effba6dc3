"""Feature criteria: sl2 as Ultralytics computes it, what pfi divides by, and degenerate maps."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from kdgraph.nn.masks import TeacherScore
from kdgraph.nn.registry import criterion


@pytest.mark.parametrize("seed", range(4))
def test_sl2_is_that_of_ultralytics(seed: int) -> None:
    from ultralytics.nn.distill_model import DistillationModel

    noise = torch.Generator().manual_seed(seed)
    student, teacher = torch.randn(2, 3, 8, 5, 7, generator=noise)
    logits = torch.randn(3, 4, 5, 7, generator=noise) - 3
    student.requires_grad_()
    scores = logits.flatten(2).sigmoid().amax(1, keepdim=True)
    # the method looks at nothing but its arguments
    theirs = DistillationModel.loss_sl2(None, student, teacher, feat_idx=0, teacher_scores=(scores,))
    ours = criterion("sl2")(student, teacher, TeacherScore()(teacher_branches=[logits]))
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)
    gradients = (torch.autograd.grad(loss, student)[0] for loss in (ours, theirs))
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("name", ["cwd", "pkd"])
def test_a_map_of_one_cell_costs_nothing(name: str) -> None:
    student, teacher = torch.randn(2, 1, 4, 1, 1)
    for options in [{}] if name == "pkd" else [{"norm": "none"}, {"norm": "batch"}]:
        x = student.clone().requires_grad_()
        loss = criterion(name, **options)(x, teacher)
        loss.backward()
        assert loss.item() == 0
        assert x.grad is not None
        assert not x.grad.any()


DEAD = [("pkd", {}), ("cwd", {"norm": "batch"}), ("cosine", {}), ("mimic", {"norm": "image"})]


@pytest.mark.parametrize(("name", "options"), DEAD)
def test_dead_channels_and_positions_have_finite_gradients(name: str, options: dict[str, str]) -> None:
    student, teacher = torch.randn(2, 2, 4, 3, 3)
    student[:, 0], teacher[:, 1] = 0, 5.0
    student[:, :, 0, 0] = 0
    student.requires_grad_()
    loss = criterion(name, **options)(student, teacher)
    loss.backward()
    assert loss.isfinite()
    assert student.grad is not None
    assert student.grad.isfinite().all()


def test_cosine_of_nothing_costs_one() -> None:
    zeros, teacher = torch.zeros(1, 3, 2, 2, requires_grad=True), torch.randn(1, 3, 2, 2)
    assert criterion("cosine")(zeros, teacher).item() == 1


def test_cwd_norm_batch_changes_no_statistics() -> None:
    loss = criterion("cwd", norm="batch")
    assert not list(loss.parameters())
    assert not list(loss.buffers())
    student, teacher = torch.randn(2, 2, 4, 3, 3)
    assert torch.equal(loss.train()(student, teacher), loss.eval()(student, teacher))


@given(scale=st.floats(0.01, 100), offset=st.floats(0.01, 100))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_mimic_of_images_of_unit_size_is_twice_one_minus_the_cosine(scale: float, offset: float) -> None:
    student, teacher = torch.randn(2, 3, 4, 5, 5, generator=torch.Generator().manual_seed(0)).double()
    cosine = F.cosine_similarity(student.flatten(1), teacher.flatten(1)).mean()
    loss = criterion("mimic", norm="image")
    torch.testing.assert_close(loss(scale * student, offset * teacher), 2 - 2 * cosine, rtol=1e-9, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_mimic_of_an_empty_image_is_the_size_of_the_other(dtype: torch.dtype) -> None:
    student, teacher = torch.randn(2, 2, 4, 8, 8).to(dtype)
    student[0] = 0
    student.requires_grad_()
    loss = criterion("mimic", norm="image")
    (gradient,) = torch.autograd.grad(loss(student[:1], teacher[:1]), student)
    assert loss(student[:1], teacher[:1]).item() == pytest.approx(1, rel=1e-4)
    assert gradient.isfinite().all()
    assert loss(teacher[:1], student[:1].detach()).item() == pytest.approx(1, rel=1e-4)


def prediction_guided(classes: int = 3, hot: float = 2.0) -> dict[str, Tensor]:
    """Two images whose class logits are apart, and features that are too."""
    noise = torch.Generator().manual_seed(0)
    features = torch.randn(2, 2, 8, 4, 5, generator=noise).double()
    logits = hot * torch.randn(2, 2, classes, 4, 5, generator=noise).double()
    return dict(zip(("student", "teacher", "student_cls", "teacher_cls"), (*features, *logits), strict=True))


@pytest.mark.parametrize("classes", [1, 3])
def test_pfi_is_the_published_mean_per_positive(classes: int) -> None:
    x = prediction_guided(classes)
    scores = [x[f"{side}_cls"].sigmoid() for side in ("student", "teacher")]
    published = (
        F.mse_loss(*scores, reduction="none").mean(1) * (x["student"] - x["teacher"]).square().mean(1)
    ).mean()
    positives = scores[1].amax(1).sum()
    assert positives > 1
    wanted = published * scores[1].numel() / positives
    torch.testing.assert_close(criterion("pfi")(**x), wanted, rtol=1e-12, atol=0)


def test_pfi_divides_by_one_where_the_teacher_sees_nothing() -> None:
    x = prediction_guided()
    x["teacher_cls"] = torch.full_like(x["teacher_cls"], -20.0)
    weight = (x["student_cls"].sigmoid() - torch.tensor(-20.0).sigmoid()).square().sum(1)
    wanted = (weight * (x["student"] - x["teacher"]).square().mean(1)).sum()
    torch.testing.assert_close(criterion("pfi")(**x), wanted, rtol=1e-9, atol=0)


def test_pfi_leaves_predictions_alone() -> None:
    x = prediction_guided()
    for name in ("student", "student_cls", "teacher_cls"):
        x[name].requires_grad_()
    criterion("pfi")(**x).backward()
    assert x["student"].grad is not None
    assert x["student_cls"].grad is None
    assert x["teacher_cls"].grad is None


def test_pfi_is_nothing_where_predictions_agree() -> None:
    x = prediction_guided()
    x["student"].requires_grad_()
    loss = criterion("pfi")(**{**x, "student_cls": x["teacher_cls"]})
    loss.backward()
    assert loss.item() == 0
    assert x["student"].grad is not None
    assert not x["student"].grad.any()


def test_pfi_does_not_see_classes_that_nobody_predicts() -> None:
    x = prediction_guided()
    before = criterion("pfi")(**x)
    for name in ("student_cls", "teacher_cls"):
        x[name] = torch.cat((x[name], torch.full((2, 77, 4, 5), -1e4)), 1)
    torch.testing.assert_close(criterion("pfi")(**x), before, rtol=1e-12, atol=0)


def test_pfi_needs_the_logits_of_the_same_cells() -> None:
    x = prediction_guided()
    x["teacher_cls"] = x["teacher_cls"].flatten(2)
    with pytest.raises(ValueError, match=r"class logits at \[20\] beside features at \[4, 5\]"):
        criterion("pfi")(**x)
