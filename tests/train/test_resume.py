"""A run that is interrupted goes on, adapters and their optimiser state included."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from kdgraph.errors import RunError
from kdgraph.spec.parse import parse
from kdgraph.train.folder import RunFolder
from kdgraph.train.run import _interrupted, resume
from kdgraph.train.trainer import DistillTrainer
from tests.train.runs import Killed, killed

pytestmark = pytest.mark.filterwarnings("ignore")

SPEC = """\
student: yolo11n.yaml
teacher: {teacher}
data: {data}
edges:
  neck: {{taps: neck.*, criterion: mimic}}
train: {{epochs: 3, imgsz: 64, batch: 4, nbs: 4, optimizer: AdamW, lr0: 0.001, plots: false, val: false}}
"""


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory, squares: Path) -> DistillTrainer:
    """A trainer that was stopped in its second epoch, after the first had been saved."""

    def kill(running: DistillTrainer) -> None:
        if running.epoch == 1:
            raise Killed

    return killed(SPEC, tmp_path_factory.mktemp("resume"), squares, kill)


@pytest.fixture
def folder(interrupted: DistillTrainer, tmp_path: Path) -> RunFolder:
    """A copy of the interrupted run's folder, to go on in or to damage."""
    return RunFolder(Path(shutil.copytree(interrupted.folder.path, tmp_path / "run")))


def test_adapters_and_optimiser_come_back(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = folder.load_learnt(0)
    checkpoint = torch.load(folder.last, weights_only=False)
    seen: dict[str, object] = {}

    def look(running: DistillTrainer, event: str) -> None:
        if event == "on_train_start":
            seen["epoch"] = running.start_epoch
            seen["adapters"] = {k: v.clone() for k, v in running.distiller.learnt().items()}
            seen["moments"] = len(running.optimizer.state)
        original(running, event)

    original = DistillTrainer.run_callbacks
    monkeypatch.setattr(DistillTrainer, "run_callbacks", look)
    result = resume(folder.path)

    assert seen["epoch"] == 1
    adapters = seen["adapters"]
    assert isinstance(adapters, dict)
    assert len(adapters) == 6
    assert all(torch.equal(adapters[name], value) for name, value in saved.items())
    assert seen["moments"] == len(checkpoint["optimizer"]["state"])
    rows = (folder.path / "results.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["epoch", "1", "2", "3"]
    assert result.best.is_file()


def test_adapters_have_learnt_and_are_optimised(interrupted: DistillTrainer) -> None:
    optimised = {id(p) for group in interrupted.optimizer.param_groups for p in group["params"]}
    adapters = list(interrupted.distiller.adapters.parameters())
    assert adapters
    assert all(id(p) in optimised for p in adapters)
    saved = interrupted.folder.load_learnt(0)
    now = interrupted.distiller.learnt()
    assert all(not torch.equal(saved[name], now[name]) for name in saved)  # an epoch's worth of steps apart


def test_a_missing_sidecar_is_said(folder: RunFolder) -> None:
    folder.learnt.unlink()
    with pytest.raises(RunError, match="has ended"):
        resume(folder.path)


def test_adapters_of_another_epoch_are_refused(folder: RunFolder) -> None:
    folder.learnt.unlink()
    folder.save_learnt({}, 7)
    with pytest.raises(RunError, match=r"last\.pt is of epoch 1, and .* has those of epoch 8"):
        resume(folder.path)


def test_a_folder_that_is_no_run_is_said(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not the folder of a kdgraph run"):
        resume(tmp_path)


def test_a_spec_made_in_python_is_kept_too(tmp_path: Path) -> None:
    spec = parse("student: yolo11n.yaml\nteacher: yolo11s.yaml\nedges: default\n")
    folder = RunFolder(tmp_path / "run")
    folder.write(spec, {"teacher": "teacher.pt"}, "data.yaml")
    assert folder.spec() == spec


def test_an_interrupt_says_how_to_go_on(folder: RunFolder) -> None:
    assert f"kdgraph run --resume {folder.path}" in str(_interrupted(folder))
    folder.last.unlink()
    assert "start again" in str(_interrupted(folder))


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file, not a folder")
    spec = parse("student: yolo11n.yaml\nteacher: yolo11s.yaml\nedges: default\n")
    with pytest.raises(RunError, match=r"runs/x cannot be written .*\n.*project"):
        RunFolder(tmp_path / "runs" / "x").write(spec, {}, "data.yaml")
