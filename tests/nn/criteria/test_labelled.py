"""dkd, nkd and rank: only cells that have an object count."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from kdgraph.nn.registry import criterion

CELLS = 9


def pair(classes: int = 5, seed: int = 0) -> tuple[Tensor, Tensor]:
    noise = torch.Generator().manual_seed(seed)
    student, teacher = torch.randn(2, 2, classes, CELLS, generator=noise, dtype=torch.float64)
    return student.requires_grad_(), teacher


def objects(*kinds: int) -> list[Tensor]:
    count = len(kinds)
    return [torch.zeros(count), torch.tensor(kinds).float().view(-1, 1), torch.rand(count, 4)]


LABEL = torch.tensor([[0, 1, -1, 4, -1, 2, 2, -1, 3], [-1] * 9])
TARGET = torch.tensor([[0, 0, 0, 1, 1, -1, -1, 2, -1], [3, 3, 3, 3, -1, -1, -1, -1, -1]])
OBJECTS = objects(2, 0, 4, 1, 1)  # the last has no cell
KIND = torch.where(TARGET >= 0, OBJECTS[1].flatten().long()[TARGET], -1)


@pytest.mark.parametrize("name", ["dkd", "nkd"])
@pytest.mark.parametrize("mask", [None, torch.ones(2, CELLS)], ids=["everywhere", "masked"])
def test_cells_without_an_object_do_not_count(name: str, mask: Tensor | None) -> None:
    student, teacher = pair()
    loss = criterion(name)(student, teacher, mask, label=LABEL)
    (gradient,) = torch.autograd.grad(loss, student)
    assert torch.equal(gradient.abs().amax(1) > 0, LABEL >= 0)
    labelled = (x.transpose(1, 2)[LABEL >= 0].T[None] for x in (student, teacher))
    alone = criterion(name)(*labelled, label=LABEL[LABEL >= 0][None])
    torch.testing.assert_close(alone, loss, rtol=1e-8, atol=0)


def test_dkd_with_the_teachers_weights_is_kl() -> None:
    """KL = TCKD + (1 - p_t[y]) NCKD (equation 6), for one cell."""
    student, teacher = (x[:1, :, :1] for x in pair())
    label = torch.tensor([[3]])
    rest = 1 - (teacher / 2).softmax(1)[0, 3, 0].item()
    parts = criterion("dkd", temperature=2.0, alpha=1.0, beta=rest)(student, teacher, label=label)
    torch.testing.assert_close(parts, criterion("kl", temperature=2.0)(student, teacher), rtol=1e-8, atol=0)


def test_nkd_without_others_is_a_soft_cross_entropy() -> None:
    student, teacher = pair()
    label = torch.arange(2 * CELLS).remainder(5).view(2, CELLS)
    loss = criterion("nkd", gamma=0.0)(student, teacher, label=label)
    p_s, p_t = (x.softmax(1).gather(1, label.unsqueeze(1)) for x in (student, teacher))
    torch.testing.assert_close(loss, -(p_t * p_s.log()).mean(), rtol=1e-8, atol=0)


@pytest.mark.parametrize("name", ["dkd", "nkd"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64], ids=str)
def test_one_class_is_worth_nothing(name: str, dtype: torch.dtype) -> None:
    student, teacher = (x.detach().to(dtype) for x in pair(1))
    student.requires_grad_()
    loss = criterion(name)(student, teacher, label=torch.zeros(2, CELLS, dtype=torch.long))
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert student.grad is not None
    assert not student.grad.any()


@pytest.mark.parametrize("name", ["dkd", "nkd"])
def test_a_sure_and_wrong_student_gets_finite_gradients(name: str) -> None:
    student = torch.tensor([[[1e4], [-1e4], [-1e4]]], requires_grad=True)
    loss = criterion(name)(student, -student.detach(), label=torch.tensor([[1]]))
    loss.backward()
    assert loss.isfinite()
    assert student.grad is not None
    assert student.grad.isfinite().all()
    assert student.grad.any()


def rank(student: Tensor, teacher: Tensor, mask: Tensor | None = None, **changes: Any) -> Tensor:
    signals = {"objects": OBJECTS, "target": TARGET, "label": KIND, **changes}
    loss: Tensor = criterion("rank")(student, teacher, mask, **signals)
    return loss


def test_rank_is_the_mean_over_objects_that_have_cells() -> None:
    student, teacher = pair()
    owned = [(n, TARGET.eq(n)) for n in range(4)]
    costs = []
    for n, cells in owned:
        kind = int(OBJECTS[1][n])
        log_s, log_t = (x[:, kind][cells].log_softmax(0) for x in (student, teacher))
        costs.append((log_t.exp() * (log_t - log_s)).sum())
    torch.testing.assert_close(rank(student, teacher), torch.stack(costs).mean(), rtol=1e-10, atol=0)


def test_rank_sees_the_order_of_an_objects_cells_only() -> None:
    student, teacher = pair()
    moved = teacher.detach().clone()
    for n in range(4):
        moved[:, int(OBJECTS[1][n])] += torch.where(TARGET.eq(n), 3.0 * n - 5, 0)
    torch.testing.assert_close(rank(student, moved), rank(student, teacher), rtol=1e-9, atol=0)
    (gradient,) = torch.autograd.grad(rank(student, teacher), student)
    touched = torch.zeros_like(gradient, dtype=torch.bool)
    touched.scatter_(1, KIND.clamp(min=0).unsqueeze(1), (TARGET >= 0).unsqueeze(1))
    touched[0, :, 7] = False  # its object's only cell
    assert torch.equal(gradient.abs() > 1e-15, touched)


def test_rank_leaves_masked_cells_out_whatever_their_weight() -> None:
    student, teacher = pair()
    mask = torch.rand(2, CELLS) + 0.1
    torch.testing.assert_close(rank(student, teacher, mask), rank(student, teacher))
    mask[0, 1] = 0
    dropped = TARGET.clone()
    dropped[0, 1] = -1
    torch.testing.assert_close(rank(student, teacher, mask), rank(student, teacher, target=dropped))


@pytest.mark.parametrize("kinds", [(), (1,)], ids=["none", "one without cells"])
def test_rank_without_objects_is_nothing(kinds: tuple[int, ...]) -> None:
    student, teacher = pair()
    none = torch.full_like(TARGET, -1)
    loss = rank(student, teacher, objects=objects(*kinds), target=none, label=none)
    loss.backward()
    assert loss.item() == 0
    assert student.grad is not None
    assert not student.grad.any()
