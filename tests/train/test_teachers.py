"""Several teachers of one student, its own average among them; and teachers of every task, trained first."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from ultralytics import YOLO

import kdgraph
from kdgraph.train.distilling import Distilling
from kdgraph.train.report import scores
from kdgraph.train.run import RunResult, run
from kdgraph.train.teachers import ensure_teachers
from tests.train.runs import Killed, killed, seen_at
from tests.train.tiny import data, network

pytestmark = pytest.mark.filterwarnings("ignore")

SPEC = """\
student: {student}
teachers:
  big: {teacher}
  stranger: {{model: STRANGER, imgsz: 96}}
  mean: student.ema
data: {data}
edges:
  ours: {{taps: head.cls, criterion: bce, teacher: big}}
  theirs: {{taps: neck.*, criterion: mimic, teacher: stranger}}
  own: {{taps: head.box, criterion: mimic, teacher: mean}}
train: {{epochs: 3, imgsz: 64, batch: 4, nbs: 4, optimizer: AdamW, lr0: 0.001, plots: false, val: false}}
"""


def averages(trainer: Distilling) -> dict[str, Tensor]:
    learnt = trainer.distiller.learnt()
    return {name: value.clone() for name, value in learnt.items() if name.startswith("teachers.")}


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run that was killed in its second epoch, and the averages at its first batch and at its last."""
    place = tmp_path_factory.mktemp("several")
    stranger = place / "stranger.pt"
    YOLO(network(place, "detect", 12, nc=3)).save(stranger)
    seen: list[dict[str, Tensor]] = []

    def look(running: Distilling) -> None:
        seen.append(averages(running))
        if running.epoch == 1:
            raise Killed

    models = str(network(place, "detect")), str(network(place, "detect", 16))
    spec = SPEC.replace("STRANGER", str(stranger))
    return killed(spec, place, data(place, "detect"), look, models), seen


def test_only_those_with_a_checkpoint_are_noted(stopped: Any) -> None:
    trainer, _ = stopped
    place = trainer.folder.path.parent
    assert trainer.folder.teachers() == {
        "big": str(place / "teacher.pt"),
        "stranger": str(place / "stranger.pt"),
    }


def test_every_teacher_teaches(stopped: Any) -> None:
    trainer, _ = stopped
    (row,) = csv.DictReader((trainer.folder.path / "results.csv").open())
    assert all(float(row[f"train/kd_{name}_loss"]) > 0 for name in ("ours", "theirs", "own"))


def test_the_average_follows_the_student_after_each_step(stopped: Any) -> None:
    _, seen = stopped
    assert len(seen) == 3  # two steps in an epoch, one in the next
    floats = [name for name, value in seen[0].items() if value.is_floating_point()]
    assert all(set(each) == set(seen[0]) for each in seen)
    for before, after in itertools.pairwise(seen):
        moved = [name for name in floats if not torch.equal(before[name], after[name])]
        assert len(moved) > len(floats) / 2


@pytest.fixture(scope="module")
def resumed(stopped: Any) -> Any:
    """The averages with which the run goes on, and what it comes to."""
    trainer, _ = stopped
    results: list[RunResult] = []
    again = seen_at("on_train_start", averages, trainer.folder.path, results.append)
    return again, results[0]


def test_a_resumed_run_has_the_average_that_was_saved(stopped: Any, resumed: Any) -> None:
    _, seen = stopped
    again, result = resumed
    assert again.keys() == seen[1].keys()
    assert all(torch.equal(value, seen[1][name]) for name, value in again.items())
    assert len(list(csv.DictReader((result.folder / "results.csv").open()))) == 3


def test_each_teacher_with_a_checkpoint_has_its_line(resumed: Any) -> None:
    big, stranger, student = scores(resumed[1])
    assert (big.name, stranger.name, student.name) == ("big", "stranger", "student")
    assert None not in big.measures
    assert stranger.why == "its classes are not those of the data"


@pytest.mark.parametrize("task", ["segment", "pose", "obb"])
def test_a_teacher_is_trained_by_the_trainer_of_its_task(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KDGRAPH_CACHE", str(tmp_path / "cache"))
    model = network(tmp_path, task)
    model.write_text(model.read_text().replace("kpt_shape: [5, 3]", "kpt_shape: [17, 3]"))
    train = "train: {epochs: 1, imgsz: 64, batch: 4, val: false}"
    file = tmp_path / "spec.yaml"
    file.write_text(
        f"student: {model}\nteachers:\n  a: {{model: {model}, {train}}}\n  b: {{model: {model}, {train}}}\n"
        f"data: {data(tmp_path, task)}\nedges: {{n: {{taps: neck.*, criterion: cwd, teacher: [a, b]}}}}\n"
    )
    spec = kdgraph.load(file)
    paths = ensure_teachers(spec, str(spec.data))
    assert paths["a"] == paths["b"], "the same teacher is trained once"
    teacher = YOLO(paths["a"])
    assert teacher.task == task
    assert teacher.names[4] == "star"
    if task == "pose":
        assert list(teacher.model.kpt_shape) == [5, 3]
        assert list(teacher.model.model[-1].kpt_shape) == [5, 3]


def test_a_trained_teacher_is_the_same_whatever_came_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "spec.yaml"
    model, train = network(tmp_path, "detect"), "{epochs: 1, imgsz: 64, batch: 4, val: false}"
    file.write_text(
        f"student: {model}\nteacher: {{model: {model}, train: {train}}}\n"
        f"data: {data(tmp_path, 'detect')}\nedges: {{n: {{taps: neck.*, criterion: cwd}}}}\n"
    )
    spec, weights = kdgraph.load(file), []
    for seed in (1, 2):
        monkeypatch.setenv("KDGRAPH_CACHE", str(tmp_path / f"cache{seed}"))
        torch.manual_seed(seed)
        [path] = ensure_teachers(spec, str(spec.data)).values()
        weights.append(YOLO(path).model.state_dict())
    one, other = weights
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_a_student_may_have_no_teacher_but_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "own.yaml"
    file.write_text(
        f"student: {network(tmp_path, 'detect')}\nteacher: student\ndata: {data(tmp_path, 'detect')}\n"
        "edges: {deep: {taps: {student: backbone.p4, teacher: neck.p4}, criterion: attention}}\n"
        "train: {epochs: 1, imgsz: 64, batch: 4, plots: false}\n"
    )
    result = run(kdgraph.load(file))
    assert result.teachers == {}
    (row,) = csv.DictReader((result.folder / "results.csv").open())
    assert float(row["train/kd_deep_loss"]) > 0
    (student,) = scores(result)
    assert student.name == "student"
