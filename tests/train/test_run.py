"""`kdgraph run`, as a user starts it: one run of two epochs, looked at from all sides."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.conftest import command

pytestmark = pytest.mark.filterwarnings("ignore")  # Ultralytics and its plotting warn at will

SPEC = """\
student: yolo11n.yaml
teacher: {{model: yolo11s.yaml, train: {{epochs: 1, imgsz: 64, batch: 4, val: false}}}}
data: {data}
edges:
  neck: {{taps: neck.*, criterion: cwd, weight: {{linear: {{from: 1.0, to: 0.5}}}}}}
  cls: {{taps: head.cls, criterion: qfl, mask: foreground}}
train: {{epochs: 2, imgsz: 64, batch: 4, optimizer: AdamW, lr0: 0.001, plots: true}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, squares: Path, user_environment: dict[str, str]) -> Path:
    """The folder of a finished run, its output in `printed.txt`."""
    place = tmp_path_factory.mktemp("run")
    (place / "tiny.yaml").write_text(SPEC.format(data=squares))
    settings = subprocess.run(
        [command("yolo"), "settings", "tensorboard=True"],
        env=user_environment,
        capture_output=True,
        text=True,
    )
    assert settings.returncode == 0, settings.stderr
    done = subprocess.run(
        [command("kdgraph"), "run", "tiny.yaml"],
        cwd=place,
        env=user_environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (place / "runs/tiny/printed.txt").write_text(done.stdout + done.stderr)
    return place / "runs/tiny"


def columns(folder: Path) -> dict[str, list[str]]:
    rows = list(csv.DictReader((folder / "results.csv").open()))
    return {name: [row[name] for row in rows] for name in rows[0]}


def test_every_edge_is_a_column_of_results(folder: Path) -> None:
    found = columns(folder)
    for name in ("train/kd_neck_loss", "train/kd_cls_loss"):
        assert len(found[name]) == 2
        assert all(float(value) > 0 for value in found[name])


def test_validation_has_no_columns_of_zeros_for_edges(folder: Path) -> None:
    found = columns(folder)
    assert "val/box_loss" in found
    assert not [name for name in found if name.startswith("val/kd_")]


def test_every_edge_is_in_the_progress_line(folder: Path) -> None:
    heads = [line.split() for line in (folder / "printed.txt").read_text().splitlines() if "GPU_mem" in line]
    assert any({"box_loss", "kd_neck", "kd_cls"} <= set(head) for head in heads)


def test_every_edge_is_in_tensorboard(folder: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    assert {"train/kd_neck_loss", "train/kd_cls_loss", "train/box_loss"} <= set(events.Tags()["scalars"])


def test_the_final_table_shows_teacher_and_student(folder: Path) -> None:
    printed = (folder / "printed.txt").read_text()
    assert "mAP50-95" in printed.rsplit("model", 1)[0] or "mAP50-95" in printed
    lines = [line.split() for line in printed.splitlines() if line.startswith(("teacher ", "student "))]
    assert [line[0] for line in lines] == ["teacher", "student"]


@pytest.mark.parametrize("name", ["best.pt", "last.pt"])
def test_checkpoints_are_plain_students_without_kdgraph(
    folder: Path, name: str, squares: Path, user_environment: dict[str, str]
) -> None:
    program = f"""
import sys
sys.modules["kdgraph"] = None  # any import of it fails
from ultralytics import YOLO
from ultralytics.utils import ASSETS
model = YOLO({str(folder / "weights" / name)!r})
assert type(model.model).__name__ == "DetectionModel", type(model.model)
assert sum(p.numel() for p in model.model.parameters()) < 3e6
assert model.names == {{0: "square", 1: "bar"}}
model.predict(ASSETS / "bus.jpg", imgsz=64, verbose=False, save=False)
model.val(data={str(squares)!r}, imgsz=64, plots=False, verbose=False)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], env=user_environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("name", ["best.pt", "last.pt"])
def test_a_student_exports_to_onnx_and_runs(
    folder: Path, name: str, user_environment: dict[str, str], tmp_path: Path
) -> None:
    import onnxruntime

    copy = tmp_path / name
    copy.write_bytes((folder / "weights" / name).read_bytes())
    done = subprocess.run(
        [command("yolo"), "export", f"model={copy}", "format=onnx", "imgsz=64"],
        env=user_environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    session = onnxruntime.InferenceSession(str(copy.with_suffix(".onnx")))
    (result,) = session.run(None, {session.get_inputs()[0].name: torch.rand(1, 3, 64, 64).numpy()})
    assert result.shape == (1, 6, 84)


def test_a_finished_run_keeps_nothing_that_only_training_needs(folder: Path) -> None:
    assert not (folder / "weights/learnt.pt").exists()
    facts = json.loads((folder / "kdgraph.json").read_text())
    assert Path(facts["teachers"]["teacher"]).is_file()
    assert "criterion: cwd" in (folder / "spec.yaml").read_text()


def test_a_teacher_is_trained_once_for_the_same_data(folder: Path, squares: Path) -> None:
    import kdgraph
    from kdgraph.train.teachers import ensure_teachers

    spec = kdgraph.load(folder.parent.parent / "tiny.yaml")
    teacher = Path(json.loads((folder / "kdgraph.json").read_text())["teachers"]["teacher"])
    trained = teacher.stat().st_mtime_ns
    assert ensure_teachers(spec, str(squares)) == {"teacher": str(teacher)}
    assert teacher.stat().st_mtime_ns == trained


def test_a_finished_run_is_not_resumed(folder: Path, user_environment: dict[str, str]) -> None:
    done = subprocess.run(
        [command("kdgraph"), "run", "--resume", str(folder)],
        env=user_environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error[KD502]")
    assert "Traceback" not in done.stderr
