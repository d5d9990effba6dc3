"""Students with two heads, whose task loss shifts its weight between them as the epochs go on."""

from __future__ import annotations

from typing import Any

import pytest
from ultralytics.utils.loss import E2ELoss

from kdgraph.train.distilling import Distilling
from tests.train.runs import Killed, killed, seen_at
from tests.train.tiny import data, network

pytestmark = pytest.mark.filterwarnings("ignore")

SPEC = """\
student: {student}
teacher: {teacher}
data: {data}
edges:
  neck: {{taps: neck.*, criterion: mimic}}
  cls: {{taps: head.o2o.cls, criterion: bce}}
train: {{epochs: 5, imgsz: 64, batch: 4, optimizer: AdamW, lr0: 0.001, plots: false, val: false}}
"""


def shares(trainer: Distilling) -> tuple[int, float, float]:
    """Updates of the criterion that the student is trained with, and the weights of its two heads' losses."""
    criterion: Any = trainer.distiller.student.criterion
    assert isinstance(criterion, E2ELoss)
    assert trainer.model.criterion is criterion
    return criterion.updates, criterion.o2m, criterion.o2o


@pytest.fixture(scope="module", params=["detect26", "v10"])
def epochs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The folder of a run that was killed in its third epoch, and the shares in each."""
    place = tmp_path_factory.mktemp("end2end")
    seen: dict[int, tuple[int, float, float]] = {}

    def look(running: Distilling) -> None:
        seen[running.epoch] = shares(running)
        if running.epoch == 2:
            raise Killed

    models = str(network(place, request.param)), str(network(place, request.param, 16))
    trainer = killed(SPEC, place, data(place, "detect"), look, models)
    return trainer.folder.path, seen


def test_the_weight_moves_to_the_second_head(epochs: Any) -> None:
    _, seen = epochs
    assert [updates for updates, _, _ in seen.values()] == [0, 1, 2]
    assert [round(o2m, 6) for _, o2m, _ in seen.values()] == [0.8, 0.625, 0.45]  # from 0.8 to 0.1 in 4 steps
    assert all(o2m + o2o == pytest.approx(1) for _, o2m, o2o in seen.values())


def test_a_resumed_run_goes_on_where_it_was(epochs: Any) -> None:
    folder, seen = epochs
    assert seen_at("on_train_batch_end", shares, folder) == pytest.approx(seen[2])
