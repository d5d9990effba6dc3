"""What a training step reads back, and which of its steps must not be compiled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from ultralytics.cfg import get_cfg

from kdgraph.compiler.api import compile
from kdgraph.compiler.distiller import DistillOutput
from kdgraph.train.compiling import CompiledStep
from kdgraph.train.training_model import TrainingModel
from kdgraph.train.watch import EdgeWatch
from tests.toys import batch, spec, toy

EDGES = """\
  neck: {taps: neck.*, criterion: mimic}
  cls: {taps: head.cls, criterion: bce, mask: foreground, weight: {linear: {from: 1, to: 0.5}}}"""


def model(edges: str = EDGES, **top: str) -> TrainingModel:
    student = toy()
    student.args = get_cfg(overrides={"task": "detect"})
    return TrainingModel(compile(spec(edges, **top), student=student, teacher=toy(16, seed=1))).train()


class NoReading(TorchDispatchMode):
    """Fails where a step needs a number of a tensor, for which a host waits for its device."""

    READING = ("_local_scalar_dense", "nonzero", "equal", "is_nonzero", "masked_select", "unique")

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        masked = name in ("index", "index_put", "index_put_") and any(
            isinstance(index, Tensor) and index.dtype == torch.bool for index in args[1]
        )
        if masked or name.startswith(self.READING):
            raise AssertionError(f"{func} waits for the device")
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("balance", [{}, {"balance": "uncertainty"}, {"balance": "gradient_norm"}])
def test_a_steady_step_does_not_wait_for_the_device(
    balance: dict[str, str],
) -> None:
    """Its task loss included, of which Ultralytics' own would read."""
    training = model(**balance)
    training.watch = EdgeWatch(training.distiller, deferred=True)  # as on CUDA
    training.log.begin(5)
    given = batch()
    training(given)  # finds the task loss that does not wait
    training.watch.unproven = set(training.distiller.active)
    with pytest.raises(AssertionError, match="_local_scalar_dense"), NoReading():
        training(given)  # the first step looks whether edges teach
    training.log.begin(5)
    for step in range(5):
        if step in (0, 2):  # once more, and the middle one
            training(given)
            continue
        with NoReading():
            losses, items = training(given)
    losses.sum().backward()
    assert {"box_loss", "kd_neck_loss", "kd_cls_loss"} < set(items)


def test_the_reading_is_noticed() -> None:
    values = torch.arange(3.0)
    for read in (
        lambda: values.sum().item(),
        lambda: bool(values.any()),
        lambda: values[values > 1],
        lambda: values.nonzero(),
    ):
        with pytest.raises(AssertionError, match="waits for the device"), NoReading():
            read()


@pytest.mark.parametrize(
    ("balance", "measured"),
    [
        ({}, [0, 3]),
        ({"balance": "{gradient_norm: {every: 2}}"}, [0, 2, 3, 4]),
        ({"balance": "uncertainty"}, [0, 3]),
    ],
)
def test_steps_whose_graph_is_kept_are_not_compiled(balance: dict[str, str], measured: list[int]) -> None:
    """The first proves the edges, the middle one measures gradients, and so does a balance when it is due."""
    training = model(**balance)
    found: list[bool] = []

    class Recording(CompiledStep):
        def __call__(self, batch: Mapping[str, Any], measured: bool = False) -> DistillOutput:
            found.append(measured)
            return super().__call__(batch, measured)

    training.step = Recording(training.distiller)
    training.log.begin(6)
    for _ in range(6):
        training(batch())
    assert [number for number, kept in enumerate(found) if kept] == measured


def test_columns_of_edges_stay_when_these_have_ended() -> None:
    training = model(
        "  ended: {taps: neck.p3, criterion: mimic, until: 5}\n  neck: {taps: neck.*, criterion: pkd}"
    )
    losses, before = training(batch())
    wanted = 2 * (before["kd_ended_loss"] + before["kd_neck_loss"])
    torch.testing.assert_close(losses[-1].detach(), wanted)
    training.distiller.retire(5)
    training.watch.forget(["ended"])
    training.log.begin()
    _, after = training(batch())
    assert list(after) == list(before)
    assert before["kd_ended_loss"] > after["kd_ended_loss"] == 0 < after["kd_neck_loss"]
    assert not any(value.requires_grad for value in after.values())
