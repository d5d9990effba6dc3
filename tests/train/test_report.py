"""Teachers and student on the same images: who is measured, on what, and who is not, and why."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from ultralytics import YOLO

from kdgraph.cli.training import _print_result
from kdgraph.errors import RunError
from kdgraph.spec.data import BUILTIN
from kdgraph.spec.parse import parse
from kdgraph.spec.schema import Spec, TeacherSpec
from kdgraph.train.report import Score, note_scores, noted_scores, scores
from kdgraph.train.run import RunResult
from tests.train.tiny import data, network, task_of

pytestmark = pytest.mark.filterwarnings("ignore")

NAMES = dict(enumerate(BUILTIN["builtin:glyphs"]))
Names = dict[int, str]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("report")


def checkpoint(place: Path, kind: str = "detect", names: Names | None = None, width: int = 8) -> Path:
    """A network as a training at 64 pixels leaves it."""
    names = names or NAMES
    model = YOLO(network(place, kind, width, len(names))).model
    model.names = names
    file = place / f"{kind}-{width}-{'-'.join(names.values())}.pt"
    torch.save({"model": model, "train_args": {"imgsz": 64}}, file)
    return file


def result_of(
    place: Path, teachers: dict[str, tuple[Path, dict[str, Any]]], kind: str = "detect"
) -> RunResult:
    """What a run would have left whose student is a fresh network and whose teachers are these."""
    (place / "weights").mkdir(exist_ok=True)
    (place / "weights" / "best.pt").write_bytes(checkpoint(place, kind).read_bytes())
    plain = parse("student: a.yaml\nteacher: b.yaml\nedges: {n: {taps: neck.*, criterion: cwd}}\n")
    parts = {role: TeacherSpec(model=str(file), **more) for role, (file, more) in teachers.items()}
    spec: Spec = plain.model_copy(update={"teachers": parts})
    paths = {role: str(file) for role, (file, _) in teachers.items()}
    metrics = {"metrics/mAP50(B)": 0.5, "metrics/mAP50-95(B)": 0.25, "metrics/mAP50-95(M)": 0.125}
    return RunResult(place, spec, task_of(kind), paths, str(data(place, task_of(kind))), metrics)


def test_every_teacher_with_the_classes_of_the_data_is_measured(place: Path) -> None:
    german = {**NAMES, 4: "Stern"}
    teachers: dict[str, tuple[Path, dict[str, Any]]] = {
        "one": (checkpoint(place), {}),
        "other": (checkpoint(place, names=german, width=16), {"imgsz": 96}),
        "renamed": (checkpoint(place, names=german), {"classes": {"Stern": "star"}}),
    }
    one, other, renamed, student = scores(result_of(place, teachers))
    assert [each.name for each in (one, other, renamed, student)] == ["one", "other", "renamed", "student"]
    assert all(None not in each.measures and not each.why for each in (one, other, renamed))
    assert student.measures == (0.5, 0.25)
    assert other.params > one.params == student.params
    assert one.flops == student.flops


def test_a_teacher_is_measured_at_the_size_that_it_teaches_at(place: Path) -> None:
    file = checkpoint(place)
    small, large, _ = scores(result_of(place, {"a": (file, {}), "b": (file, {"imgsz": 128})}))
    assert large.flops == pytest.approx(4 * small.flops, rel=0.01)


@pytest.mark.parametrize(
    ("kind", "names", "more", "why"),
    [
        ("detect", {0: "cat"}, {}, "its classes are not those of the data"),
        ("detect", {0: "E", 1: "A", **{i: NAMES[i] for i in range(2, 8)}}, {}, "its classes are not those"),
        ("detect", {**NAMES, 4: "H", 2: "x"}, {"classes": {"x": "H", "H": "star"}}, ""),
        ("detect", {**NAMES, 4: "x"}, {"classes": {"x": "ring"}}, "its classes are not those of the data"),
        ("segment", None, {}, "its task is 'segment', the data is for 'detect'"),
        ("detect", None, {"channels": (0,)}, "it sees other channels than the images have"),
    ],
)
def test_who_is_not_measured_and_why(
    kind: str, names: dict[int, str] | None, more: dict[str, Any], why: str, place: Path
) -> None:
    teacher, student = scores(result_of(place, {"t": (checkpoint(place, kind, names), more)}))
    assert teacher.why.startswith(why)
    assert (teacher.measures == (None, None)) == bool(why)
    assert teacher.params > 0
    assert student.measures == (0.5, 0.25)


def test_a_detector_that_teaches_a_segmenter_is_measured_by_its_boxes(place: Path) -> None:
    teacher, student = scores(result_of(place, {"t": (checkpoint(place), {})}, "segment"))
    assert [value is None for value in teacher.measures] == [False, False, True]
    assert student.measures == (0.5, 0.25, 0.125)


def test_upright_boxes_are_not_measured_against_rotated_ones(place: Path) -> None:
    teacher, _ = scores(result_of(place, {"t": (checkpoint(place), {})}, "obb"))
    assert teacher.why == "its task is 'detect', the data is for 'obb'"


def test_a_student_without_other_teachers_stands_alone(place: Path) -> None:
    (student,) = scores(result_of(place, {}))
    assert student.name == "student"


def test_the_student_of_a_multi_gpu_run_is_measured_by_what_its_checkpoint_says(place: Path) -> None:
    result = result_of(place, {})
    saved = torch.load(result.best, weights_only=False)
    torch.save({**saved, "train_metrics": {"metrics/mAP50(B)": 0.75, "fitness": 0.1}}, result.best)
    (student,) = scores(replace(result, metrics={}))
    assert student.measures == (0.75, None)


def test_what_is_printed(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    found = [
        Score("a", 2_000_000, 10**9, (0.5, 0.25, None)),
        Score("coco", 3_000_000, 2 * 10**9, (None, None, None), "its classes are not those of the data"),
        Score("student", 1_000_000, 10**8, (0.4, 0.2, 0.1)),
    ]
    _print_result(result_of(place, {}, "segment"), found)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines() if line]
    assert lines == [
        "model    parameters  GFLOPs  mAP50  mAP50-95  mask mAP50-95",
        "a               2 M    1.00  0.500     0.250              -",
        "coco            3 M    2.00      -         -              -",
        "student         1 M    0.10  0.400     0.200          0.100",
        "coco is not measured: its classes are not those of the data",
        "the student: weights/best.pt",
        "use it:      yolo predict model=weights/best.pt source=...",
    ]


def test_a_teacher_of_an_old_release_does_not_stop_the_report(place: Path) -> None:
    """Ultralytics' own restricted load refuses it, kdgraph's does not."""
    with zipfile.ZipFile(Path(__file__).parents[1] / "graph" / "old" / "8.0.0-detect.zip") as archive:
        (place / "old.pt").write_bytes(archive.read("best.pt"))
    old, student = scores(result_of(place, {"old": (place / "old.pt", {})}))
    assert old.measures == (None, None)
    assert old.why == "its classes are not those of the data"
    assert student.measures == (0.5, 0.25)


def test_scores_are_noted_and_found_again(tmp_path: Path) -> None:
    found = [
        Score("coco", 3_000_000, 2 * 10**9, (None, None), "its classes are not those of the data"),
        Score("student", 1_000_000, 10**8, (0.4, 0.2)),
    ]
    assert noted_scores(tmp_path) == []
    note_scores(tmp_path, found)
    assert noted_scores(tmp_path) == found


@pytest.mark.parametrize(
    "change",
    [
        {"params": "a"},
        {"params": 1.5},
        {"flops": None},
        {"flops": 10**400},
        {"measures": 1},
        {"measures": ["a"]},
        {"measures": None},
        {"name": 1},
        {"why": []},
        {"more": 1},
    ],
)
def test_scores_that_are_broken_are_none(change: dict[str, Any], tmp_path: Path) -> None:
    note_scores(tmp_path, [Score("student", 1_000_000, 10**8, (0.4, 0.2))])
    file = tmp_path / "scores.json"
    (row,) = json.loads(file.read_text())
    file.write_text(json.dumps([row, {**row, **change}]))
    assert noted_scores(tmp_path) == []
    for text in ("{}", "[1]", '[{"name": "a"}]', "1", "["):
        file.write_text(text)
        assert noted_scores(tmp_path) == []


def test_scores_that_cannot_be_noted(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"error\[KD504\] .*scores.json cannot be written"):
        note_scores(tmp_path / "gone", [])
