from __future__ import annotations

import gc
import weakref

import pytest
import torch
from torch import Tensor, nn

from kdgraph.nn.criteria.early import with_gradient
from kdgraph.nn.criteria.feature import ChannelWise
from tests.nn.cases import CASES, Case, inputs, weights

FRUGAL = [case for case in CASES if type(case.build()).frugal]


def test_those_that_hold_several_maps_are_frugal() -> None:
    names = {"cwd", "pkd", "kl", "qfl", "logit_std", "dist", "ld", "dkd", "nkd", "angle"}
    assert names <= {case.name for case in FRUGAL}


@pytest.mark.parametrize("case", FRUGAL, ids=str)
def test_value_and_gradient_are_those_of_autograd(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    def step() -> tuple[Tensor, Tensor]:
        given = inputs(case)
        given = given.with_mask(weights(given.student)) if case.masked else given
        loss = given.into(case.build())
        return loss.detach(), torch.autograd.grad(3 * loss, given.student)[0]

    early = step()
    monkeypatch.setattr(type(case.build()), "frugal", False)
    for ours, theirs in zip(early, step(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", FRUGAL, ids=str)
def test_until_the_backward_it_holds_its_gradient_alone(case: Case) -> None:
    given, seen = inputs(case), []

    def packed(tensor: Tensor) -> Tensor:
        seen.append(weakref.ref(tensor.untyped_storage()))
        return tensor

    criterion = case.build()
    with torch.autograd.graph.saved_tensors_hooks(packed, lambda tensor: tensor):
        loss = given.into(criterion)
    gc.collect()
    own = {given.student.data_ptr(), given.teacher.data_ptr()}
    alive = {s.data_ptr(): s.nbytes() for ref in seen if (s := ref()) is not None}
    held = sum(size for place, size in alive.items() if place not in own)
    assert loss.requires_grad
    assert held <= given.student.nbytes


def test_parameters_of_a_subclass_still_learn() -> None:
    class Sharpened(ChannelWise):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def compare(self, student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
            return super().compare(student * self.scale, teacher, mask)

    criterion, x = Sharpened(), torch.randn(2, 3, 4, 4, requires_grad=True)
    criterion(x, torch.randn(2, 3, 4, 4)).backward()
    assert criterion.scale.grad is not None
    assert criterion.scale.grad != 0
    assert x.grad is not None


def test_a_backward_can_come_twice_and_leaves_nothing_behind() -> None:
    x = torch.randn(3, requires_grad=True)
    loss = with_gradient(lambda x: x.square().sum(), [x])
    first, second = (torch.autograd.grad(loss, x, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, 2 * x.detach())
    assert torch.equal(first, second)
    assert x.grad is None


def test_only_what_learns_gets_a_gradient() -> None:
    x, y = torch.randn(3, requires_grad=True), torch.randn(3)
    with_gradient(lambda x, y: (x * y).sum(), [x, y]).backward()
    assert x.grad is not None
    assert torch.equal(x.grad, y)
    assert y.grad is None


def test_a_loss_that_does_not_depend_on_the_student_stays_without_gradient() -> None:
    x = torch.randn(3, requires_grad=True)
    assert not with_gradient(lambda x: torch.ones(()), [x]).requires_grad
    with torch.no_grad():
        assert not with_gradient(lambda x: x.sum(), [x]).requires_grad
