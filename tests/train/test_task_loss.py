from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend
from ultralytics.cfg import get_cfg
from ultralytics.nn.tasks import DetectionModel, PoseModel, SegmentationModel

from kdgraph.train import task_loss
from kdgraph.train.task_loss import TaskLoss
from tests.toys import batch, equal, tensors, toy
from tests.train.tiny import network


@pytest.fixture(autouse=True)
def _fresh_dynamo() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def trained(kind: str, folder: Path, model: type = DetectionModel) -> Any:
    """A student of a kind of tests.train.tiny, as a trainer has it."""
    torch.manual_seed(0)
    student = model(str(network(folder, kind)), nc=8, verbose=False).train()
    student.args = get_cfg(overrides={"epochs": 4})
    return student


def detector() -> Any:
    student = toy()
    student.args = get_cfg(overrides={"epochs": 4})
    return student.train()


def step(student: Any, loss: Any, given: dict[str, Any]) -> dict[str, Any]:
    """The losses of a batch, and their gradients at what the head puts out."""
    predictions = student(given["img"])
    losses, items = loss(given, predictions)
    read = [tensor for tensor in tensors(predictions) if tensor.requires_grad]
    found = torch.autograd.grad(losses.sum(), read, allow_unused=True)
    return {"losses": losses.detach(), **items, "gradients": found}


def same(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert found.keys() == wanted.keys()
    ours, theirs = found.pop("gradients"), wanted.pop("gradients")
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-6, msg=name)
    for one, other in zip(ours, theirs, strict=True):
        assert (one is None) == (other is None)
        if other is not None:
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["detect", "detect26", "v10"])
def test_it_is_the_loss_of_the_student(kind: str, tmp_path: Path) -> None:
    """Also once Ultralytics has moved an end-to-end loss on, as it does after each epoch."""
    student = trained(kind, tmp_path)
    loss = TaskLoss(student)
    for epoch in range(3):
        same(step(student, loss, batch(seed=epoch)), step(student, student.loss, batch(seed=epoch)))
        assert loss._same is not None
        if hasattr(student.criterion, "update"):
            student.criterion.update()


def test_a_criterion_that_was_replaced_is_noticed() -> None:
    student = detector()
    loss = TaskLoss(student)
    predictions = student(batch()["img"])
    before, _ = loss(batch(), predictions)
    student.args = get_cfg(overrides={"box": 15.0})
    student.criterion = student.init_criterion()
    after, _ = loss(batch(), predictions)
    torch.testing.assert_close(after[0], 2 * before[0])
    torch.testing.assert_close(after, student.loss(batch(), predictions)[0])


def test_gains_may_be_moved() -> None:
    student = detector()
    loss, predictions = TaskLoss(student), student(batch()["img"])
    before, _ = loss(batch(), predictions)
    student.criterion.hyp.box *= 3
    torch.testing.assert_close(loss(batch(), predictions)[0][0], 3 * before[0])


@pytest.mark.parametrize(("kind", "model"), [("segment", SegmentationModel), ("pose", PoseModel)])
def test_losses_of_other_tasks_are_called_as_they_are(kind: str, model: type, tmp_path: Path) -> None:
    loss = TaskLoss(trained(kind, tmp_path, model))
    assert loss._fitting(batch()) is None


def test_so_is_a_loss_of_the_students_own(monkeypatch: pytest.MonkeyPatch) -> None:
    student = detector()
    loss, predictions = TaskLoss(student), student(batch()["img"])
    own = torch.ones(3), {"own": torch.ones(())}
    monkeypatch.setattr(student, "loss", lambda batch, predictions: own)
    assert loss(batch(), predictions) is own
    monkeypatch.undo()
    monkeypatch.setattr(type(student), "loss", lambda self, batch, predictions: own)
    assert loss(batch(), predictions) is own


def test_so_is_one_of_very_many_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    student = detector()
    loss, given = TaskLoss(student), batch()
    assert loss._fitting(given) is not None
    cells = student(given["img"])["scores"].shape[-1]
    monkeypatch.setitem(task_loss._PAIRS, "cpu", cells * len(given["cls"]))
    assert loss._fitting(given) is not None
    monkeypatch.setitem(task_loss._PAIRS, "cpu", cells * len(given["cls"]) - 1)
    assert loss._fitting(given) is None
    predictions = student(given["img"])
    assert equal(loss(given, predictions)[0], student.loss(given, predictions)[0])


def test_it_is_compiled_once_for_any_number_of_targets() -> None:
    student, counter = detector(), CompileCounterWithBackend("eager")
    loss = TaskLoss(student)
    for rows in (3, 2, 1, 0):
        given = {**batch(), **{name: batch()[name][:rows] for name in ("batch_idx", "cls", "bboxes")}}
        found = step(student, lambda b, p: loss(b, p, counter), given)
        same(found, step(student, student.loss, given))
    assert counter.frame_count == 1


def test_where_it_cannot_be_compiled_it_stays_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    def broken(module: Any, examples: Any) -> Any:
        raise ValueError("broken")

    student = detector()
    loss, predictions = TaskLoss(student), student(batch()["img"])
    wanted, _ = copy.copy(loss)(batch(), predictions)
    for _ in range(2):
        assert torch.equal(loss(batch(), predictions, broken)[0], wanted)
    assert loss._refused
