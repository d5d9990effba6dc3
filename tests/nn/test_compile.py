"""Dynamo takes every module as one graph: no host sync, no control flow on values, any sizes.

With `fullgraph` a `.item()`, `nonzero` or branch on a value is an error; with `error_on_recompile` a graph
that only fits the sizes it was traced with is one too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch._dynamo.config
from torch.fx.experimental import _config as symbols  # its duck shapes take equal sizes for one size

from kdgraph.nn.assign import TaskAligned
from kdgraph.nn.registry import adapter
from tests.nn.cases import CASES, Case, Inputs, every_case, every_masked_case, inputs, read, weights
from tests.nn.detection import STRIDES, random_predictions, random_targets

Call = Callable[..., Any]


@pytest.fixture(autouse=True)
def fresh_dynamo() -> Iterator[None]:
    torch._dynamo.reset()
    with torch._dynamo.config.patch(error_on_recompile=True), symbols.patch(use_duck_shape=False):
        yield
    torch._dynamo.reset()


def one_graph(function: Call) -> Call:
    compiled: Call = torch.compile(function, fullgraph=True, backend="eager", dynamic=True)
    return compiled


@every_case
def test_criterion(case: Case) -> None:
    compiled = one_graph(case.build())
    for images, size in [(2, (3, 4)), (3, (6, 5))]:
        same_loss_and_gradient(case, compiled, inputs(case, images=images, size=size))


@every_masked_case
def test_masked_criterion(case: Case) -> None:
    compiled = one_graph(case.build())
    for images, size in [(2, (3, 4)), (3, (6, 5))] if case.maps else [(2, (12,)), (3, (30,))]:
        given = inputs(case, images=images, size=size)
        same_loss_and_gradient(case, compiled, given.with_mask(weights(given.student)))


@pytest.mark.parametrize("case", [c for c in CASES if "objects" in c.info.reads], ids=str)
@pytest.mark.parametrize("counts", [(0,), (1, 0)], ids=["none", "one"])
def test_criterion_of_no_object_and_of_one(case: Case, counts: tuple[int, ...]) -> None:
    """Dynamo holds sizes 0 and 1 for constants, so each has a graph of its own."""
    given = inputs(case)
    given = replace(given, signals=read(case, given.student, counts=counts))
    same_loss_and_gradient(case, one_graph(case.build()), given)


def same_loss_and_gradient(case: Case, compiled: Call, given: Inputs) -> None:
    eager = given.into(case.build())
    torch.manual_seed(0)  # as `build` leaves it
    traced = given.into(compiled)
    torch.testing.assert_close(traced, eager, rtol=1e-12, atol=0)
    gradients = (torch.autograd.grad(value, given.student)[0] for value in (traced, eager))
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize(
    ("name", "options", "student", "teacher"),
    [
        ("identity", {}, (2, 4, 3, 5), (2, 4, 3, 5)),
        ("conv1x1", {}, (2, 4, 3, 5), (2, 6, 3, 5)),
        ("conv1x1", {"norm": True}, (2, 4, 3, 5), (2, 6, 3, 5)),
        ("mlp", {}, (2, 4, 3, 5), (2, 6, 3, 5)),
        ("resize", {"mode": "bilinear"}, (2, 4, 3, 5), (2, 4, 6, 10)),
        ("resize", {"mode": "nearest"}, (2, 4, 3, 5), (2, 4, 6, 10)),
        ("auto", {}, (2, 4, 3, 5), (2, 6, 6, 10)),
    ],
)
def test_adapter(
    name: str, options: dict[str, Any], student: tuple[int, ...], teacher: tuple[int, ...]
) -> None:
    module = adapter(name, student, teacher, **options)
    compiled = one_graph(module)
    for factor in (1, 2):
        shapes = ((3 * factor, x[1], x[2] * factor, x[3] * factor) for x in (student, teacher))
        inputs = [torch.randn(shape) for shape in shapes]
        torch.testing.assert_close(compiled(*inputs), module(*inputs))


def foreground(module: TaskAligned, size: tuple[int, int], counts: list[int]) -> tuple[Any, ...]:
    predictions = random_predictions(size, images=len(counts), reg_max=module.reg_max)
    targets = random_targets(counts)
    labels = (targets.batch_idx, targets.cls, targets.bboxes)
    return predictions.boxes, predictions.scores, predictions.feats, *labels


@pytest.mark.parametrize("reg_max", [16, 1])
def test_assignment(reg_max: int) -> None:
    module = TaskAligned(4, reg_max, STRIDES)
    compiled = one_graph(module.assign)
    for size, counts in [((96, 160), [5, 1, 9]), ((128, 96), [2, 0, 3, 4]), ((192, 128), [0, 7])]:
        inputs = foreground(module, size, counts)
        found, wanted = compiled(*inputs), module.assign(*inputs)
        assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))
        assert wanted[0].any()


@pytest.mark.parametrize("counts", [[0, 0], [1, 0]], ids=str)
def test_assignment_of_none_and_of_one(counts: list[int]) -> None:
    """Dynamo holds sizes 0 and 1 for constants, so each has a graph of its own."""
    module = TaskAligned(4, 16, STRIDES)
    inputs = foreground(module, (96, 160), counts)
    assert torch.equal(one_graph(module)(*inputs), module(*inputs))
