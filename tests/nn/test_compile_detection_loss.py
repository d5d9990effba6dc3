"""No shape in the task loss depends on values: it needs none to run, and Dynamo takes it as one graph."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)

from tests.nn.detection import random_predictions, random_targets
from tests.nn.test_compile import fresh_dynamo, one_graph  # noqa: F401  (a fixture that all tests use)
from tests.nn.test_detection_loss import BOTH, LIMITS, Limits, assert_equal, branches, ours, theirs, two_heads


def as_fakes(mode: FakeTensorMode, reg_max: int) -> tuple[dict[str, Any], dict[str, Tensor]]:
    predictions, targets = random_predictions((96, 160), reg_max=reg_max), random_targets([5, 1, 9])
    boxes, scores = (mode.from_tensor(x.requires_grad_()) for x in (predictions.boxes, predictions.scores))
    feats = [mode.from_tensor(feat) for feat in predictions.feats]
    batch = {name: mode.from_tensor(value) for name, value in vars(targets).items()}
    return {"boxes": boxes, "scores": scores, "feats": feats}, batch


@LIMITS
@BOTH
def test_tensors_without_values(reg_max: int, limits: Limits) -> None:
    mode = FakeTensorMode()
    preds, batch = as_fakes(mode, reg_max)
    with mode:
        losses, items = ours(reg_max, limits)(preds, batch)
        losses.sum().backward()
    assert losses.shape == (3,)
    assert all(value.shape == () for value in items.values())
    assert preds["boxes"].grad.shape == preds["boxes"].shape


def test_ultralytics_needs_values() -> None:
    """What the test above would look like, did the shapes depend on values."""
    mode = FakeTensorMode()
    preds, batch = as_fakes(mode, 16)
    with mode, pytest.raises((DynamicOutputShapeException, DataDependentOutputException)):
        theirs(16)(preds, batch)


@pytest.mark.parametrize(("reg_max", "limits"), [(16, (10, None)), (1, (7, 1))], ids=str)
def test_one_graph_for_all_sizes(reg_max: int, limits: Limits) -> None:
    module = ours(reg_max, limits)
    compiled = one_graph(module)
    for size, counts in [((96, 160), [5, 1, 9]), ((128, 96), [2, 0, 3, 4])]:
        predictions = random_predictions(size, images=len(counts), reg_max=reg_max)
        assert_equal(compiled, module, predictions, random_targets(counts))


def test_one_graph_without_targets() -> None:
    """Dynamo holds sizes 0 and 1 for constants, so no target at all has a graph of its own."""
    predictions = random_predictions((64, 96), images=2, reg_max=1)
    assert_equal(one_graph(ours(1)), ours(1), predictions, random_targets([0, 0]))


def test_one_graph_of_the_gradients() -> None:
    compiled = torch.compile(ours(16), fullgraph=True, backend="aot_eager")
    assert_equal(compiled, theirs(16), random_predictions((64, 96)), random_targets([5, 1, 9]))


def test_one_graph_for_all_weights() -> None:
    schedule = SimpleNamespace(o2m=0.8, o2o=0.2)
    module, preds, batch = branches(schedule), two_heads(), vars(random_targets([5, 1, 9]))
    compiled = torch.compile(module, fullgraph=True, backend="eager")
    for schedule.o2m, schedule.o2o in [(0.8, 0.2), (0.5, 0.5), (0.1, 0.9)]:
        module.refresh()
        torch.testing.assert_close(compiled(preds, batch), module(preds, batch))
