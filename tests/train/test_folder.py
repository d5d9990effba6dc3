"""A run's folder: what it notes, across versions and processes."""

from __future__ import annotations

import json
import platform
import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import ultralytics

import kdgraph
from kdgraph.errors import RunError
from kdgraph.train.folder import RunFolder
from kdgraph.train.trainer import DistillTrainer
from tests.train.tiny import data, network

SPEC = "student: {student}\nteacher: t.pt\ndata: {data}\nedges: {{n: {{taps: neck.*, criterion: cwd}}}}\n"


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    file = tmp_path / "spec.yaml"
    file.write_text(SPEC.format(student=network(tmp_path, "detect"), data=data(tmp_path, "detect", 2, 1)))
    folder = RunFolder(tmp_path / "run")
    folder.write(kdgraph.load(file), {"big": "b.pt", "old": "o.pt"}, "data.yaml", "pose")
    return folder


def test_what_is_noted(folder: RunFolder) -> None:
    assert folder.teachers() == {"big": "b.pt", "old": "o.pt"}
    assert folder.task() == "pose"
    assert folder.facts()["data"] == "data.yaml"
    assert folder.spec() == kdgraph.load(folder.path.parent / "spec.yaml")


def test_when_and_with_what_it_began(folder: RunFolder) -> None:
    began = datetime.fromisoformat(folder.facts()["began"])
    assert timedelta(0) <= datetime.now().astimezone() - began < timedelta(minutes=5)
    noted = dict(folder.facts()["environment"])
    assert noted["kdgraph"] == kdgraph.__version__
    assert noted["python"] == platform.python_version()
    assert noted["ultralytics"] == ultralytics.__version__


def test_notes_that_are_broken(folder: RunFolder) -> None:
    (folder.path / "kdgraph.json").write_text('{"source": ')
    with pytest.raises(RunError, match=r"error\[KD502\] .*kdgraph.json is broken"):
        folder.facts()


@pytest.mark.parametrize("text", ["[]", '"a"', "1", "null", "{}", '{"source": 1}', '{"source": []}'])
def test_notes_that_are_none(text: str, folder: RunFolder) -> None:
    (folder.path / "kdgraph.json").write_text(text)
    with pytest.raises(RunError, match=r"error\[KD502\] .*kdgraph.json is broken: it does not say"):
        folder.facts()


@pytest.mark.parametrize("teachers", [{}, {"teachers": ["a"]}, {"teachers": {"a": 1}}, {"teacher": None}])
def test_notes_without_teachers(teachers: dict[str, Any], folder: RunFolder) -> None:
    facts = folder.facts()
    del facts["teachers"]
    (folder.path / "kdgraph.json").write_text(json.dumps({**facts, **teachers}))
    with pytest.raises(RunError, match=r"error\[KD502\] .*does not say which teachers"):
        folder.teachers()


def test_a_run_that_begins_anew_takes_away_what_the_one_before_has_left(folder: RunFolder) -> None:
    ours = ["scores.json", "edges.csv", "edge_losses.png", "gradient_shares.png", "report.html"]
    ours += ["maps/neck.p3.epoch1.png", "maps/neck.p3.last.png", "weights/learnt.pt"]
    others = ["weights/last.pt", "weights/best.pt", "results.csv", "maps/mine.png", "notes.txt"]
    for name in (*ours, *others):
        (folder.path / name).parent.mkdir(exist_ok=True)
        (folder.path / name).write_text("old")
    folder.write(folder.spec(), {"big": "new.pt"}, "data.yaml")
    files = {str(file.relative_to(folder.path)) for file in folder.path.rglob("*") if file.is_file()}
    assert files == {*others, "kdgraph.json", "spec.yaml"}
    assert folder.teachers() == {"big": "new.pt"}


def test_a_folder_of_an_older_version(folder: RunFolder) -> None:
    facts: dict[str, Any] = folder.facts()
    del facts["teachers"], facts["task"]
    (folder.path / "kdgraph.json").write_text(json.dumps({**facts, "teacher": "t.pt"}))
    assert folder.teachers() == {"teacher": "t.pt"}
    assert folder.task() == "detect"


def test_notes_come_back(folder: RunFolder) -> None:
    before, spec, facts = folder.notes(), folder.spec(), folder.facts()
    shutil.rmtree(folder.path)
    folder.restore(before)
    assert folder.notes() == before
    assert (folder.spec(), folder.facts()) == (spec, facts)
    assert sorted(file.name for file in folder.path.iterdir()) == ["kdgraph.json", "spec.yaml"]


@pytest.mark.filterwarnings("ignore")
def test_a_process_of_a_multi_gpu_run_finds_the_spec(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ultralytics empties the run's folder, and gives each process the trainer's class and its arguments."""
    dataset = folder.spec().data
    overrides = {"data": dataset, "model": "yolo11n.yaml", "save_dir": str(folder.path), "plots": False}
    parent = DistillTrainer(overrides=overrides)
    parent.ddp = True
    given: dict[str, Any] = {}

    def start(trainer: DistillTrainer) -> tuple[list[str], str]:
        shutil.rmtree(trainer.save_dir)
        given.update(vars(trainer.args))
        return ["true"], str(folder.path.parent / "no-such-file")

    monkeypatch.setattr("ultralytics.engine.trainer.generate_ddp_command", start)
    monkeypatch.setattr("ultralytics.engine.trainer.ddp_cleanup", lambda trainer, file: None)
    parent.train()
    child = DistillTrainer(overrides=given)
    assert child.spec == parent.spec
    assert child.teachers == {"big": "b.pt", "old": "o.pt"}
    assert child.folder.notes() == parent.folder.notes()
