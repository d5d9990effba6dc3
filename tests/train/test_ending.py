"""A run whose edges end on the way: phases, edges compiled away, and a resume behind that moment."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch

from kdgraph.train.folder import RunFolder
from kdgraph.train.run import resume
from kdgraph.train.trainer import DistillTrainer
from tests.train.runs import Killed, killed

pytestmark = pytest.mark.filterwarnings("ignore")

SPEC = """\
student: yolo11n.yaml
teacher: {teacher}
data: {data}
edges:
  neck: {{taps: neck.*, criterion: mgd}}
  dfl: {{taps: head.dfl, criterion: kl}}
phases:
  - {{name: features, until: 2, edges: [neck]}}
  - {{name: heads, edges: [dfl]}}
balance: {{gradient_norm: {{every: 2}}}}
train: {{epochs: 4, imgsz: 64, batch: 4, nbs: 4, optimizer: AdamW, lr0: 0.001, plots: false, val: false}}
"""


def state(trainer: DistillTrainer) -> dict[str, Any]:
    model = trainer.distiller
    return {
        "epoch": trainer.epoch,
        "active": model.active,
        "teacher": len(list(model.teacher.buffers())),
        "optimised": sum(len(group["params"]) for group in trainer.optimizer.param_groups),
        "weights": {name: edge.weights.tolist() for name, edge in model.edges.items()},
    }


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory, squares: Path) -> tuple[RunFolder, list[dict[str, Any]]]:
    """A run that was killed in its last epoch, after an edge had ended, and what it was in each epoch."""
    seen: list[dict[str, Any]] = []

    def look(running: DistillTrainer) -> None:
        seen.append(state(running))
        if running.epoch == 3:
            raise Killed

    trainer = killed(SPEC, tmp_path_factory.mktemp("ending"), squares, look)
    return trainer.folder, [next(s for s in seen if s["epoch"] == epoch) for epoch in range(4)]


def test_an_edge_that_has_ended_is_compiled_away(ended: tuple[RunFolder, list[dict[str, Any]]]) -> None:
    _, epochs = ended
    assert [epoch["active"] for epoch in epochs] == [("neck", "dfl")] * 2 + [("dfl",)] * 2
    assert epochs[0]["weights"] == {"edge_neck": [1.0, 1.0, 1.0], "edge_dfl": [0.0]}
    assert epochs[2]["weights"]["edge_dfl"] == [1.0]
    assert epochs[1]["optimised"] == epochs[2]["optimised"], "the optimiser is the same one"


def test_its_columns_stay_and_are_zero(ended: tuple[RunFolder, list[dict[str, Any]]]) -> None:
    folder, _ = ended
    rows = list(csv.DictReader((folder.path / "results.csv").read_text().splitlines(), skipinitialspace=True))
    neck, dfl = ([float(row[f"train/kd_{name}_loss"]) for row in rows] for name in ("neck", "dfl"))
    assert [value > 0 for value in neck] == [True, True, False]
    assert [value > 0 for value in dfl] == [False, False, True]


def test_a_run_resumes_behind_that_moment(
    ended: tuple[RunFolder, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, epochs = ended
    saved = folder.load_learnt(2)
    assert [name for name in saved if name.startswith("edges.edge_neck.criteria.0.")], "mgd's own layers"
    seen: list[dict[str, Any]] = []

    def look(running: DistillTrainer, event: str) -> None:
        if event == "on_train_start":
            learnt = running.distiller.learnt()
            tensors = {name: value for name, value in saved.items() if isinstance(value, torch.Tensor)}
            assert all(torch.equal(learnt[name].cpu(), value) for name, value in tensors.items())
            assert learnt["balance._extra_state"] == saved["balance._extra_state"] != {"steps": 0}
        if event == "on_train_epoch_start":
            assert running.distiller.active == ("neck", "dfl")
            assert running._ending() == [], "neck's last epoch was not the one before"
        if event == "on_train_batch_end":
            seen.append(state(running))
        original(running, event)

    original = DistillTrainer.run_callbacks
    monkeypatch.setattr(DistillTrainer, "run_callbacks", look)
    result = resume(folder.path)
    assert seen[0] == epochs[3]
    assert result.best.is_file()
