"""Students of every task train through Ultralytics' own trainer, with Ultralytics' own losses."""

from __future__ import annotations

import copy
import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ultralytics import YOLO
from ultralytics.cfg import get_cfg
from ultralytics.data import build_yolo_dataset
from ultralytics.data.utils import check_det_dataset

import kdgraph
from kdgraph.compiler.api import compile
from kdgraph.errors import DataError, RunError
from kdgraph.graph.models import build_model
from kdgraph.nn.place import channels_last
from kdgraph.spec.parse import parse
from kdgraph.spec.schema import ModelSpec, Spec
from kdgraph.train.distilling import Distilling
from kdgraph.train.report import scores
from kdgraph.train.run import RunResult, run
from kdgraph.train.trainer import plain_trainer_for, trainer_for
from kdgraph.train.training_model import TrainingModel
from tests.train.tiny import HEADS, TASKS, data, network, task_of

pytestmark = pytest.mark.filterwarnings("ignore")  # Ultralytics and its plotting warn at will

SPEC = """\
student: {student}
teacher: {teacher}
data: {data}
edges: default
train: {{epochs: 1, imgsz: 64, batch: 4, plots: false, optimizer: AdamW, lr0: 0.001}}
"""
LOSSES = {
    "segment": ["box_loss", "seg_loss", "cls_loss", "dfl_loss", "sem_loss"],
    "pose": ["box_loss", "pose_loss", "kobj_loss", "cls_loss", "dfl_loss"],
    "obb": ["box_loss", "cls_loss", "dfl_loss", "angle_loss"],
}
OWN_EDGE = {"segment": "mask", "pose": "kpt", "obb": "angle"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tasks")


def spec_of(place: Path, kind: str, **changes: Any) -> Spec:
    """The spec of a student with this head, whose teacher is a wider network of its kind."""
    teacher = place / f"{kind}.pt"
    if not teacher.is_file():
        YOLO(network(place, kind, 16)).save(teacher)
    values = {
        "student": network(place, kind),
        "teacher": teacher,
        "data": data(place, task_of(kind)),
        **changes,
    }
    file = place / f"spec-{kind}.yaml"
    file.write_text(SPEC.format(**values))
    return kdgraph.load(file)


def batch_of(file: Path, task: str) -> dict[str, Any]:
    """The first four pictures of a dataset, as Ultralytics' loader gives them to the training."""
    content = check_det_dataset(str(file))
    arguments = get_cfg(overrides={"task": task, "imgsz": 64, "mosaic": 0.0})
    dataset = build_yolo_dataset(arguments, content["train"], 4, content, mode="train", stride=32)
    batch: dict[str, Any] = dataset.collate_fn([dataset[index] for index in range(4)])
    return {**batch, "img": batch["img"].float() / 255}


@pytest.mark.parametrize("kind", HEADS)
def test_the_task_loss_is_the_one_of_the_student_alone(kind: str, place: Path) -> None:
    task = task_of(kind)
    batch = batch_of(data(place, task), task)
    student: Any = build_model(ModelSpec(model=str(network(place, kind))), nc=None)
    student.args = get_cfg(overrides={"task": task})
    alone = copy.deepcopy(student).train()
    wanted, items = alone.loss({**batch, "img": channels_last(batch["img"])})

    text = "student: s.yaml\nteacher: t.yaml\nedges: default\ntrain: {imgsz: 64}\n"
    teacher = build_model(ModelSpec(model=str(network(place, kind, 16))), nc=None)
    model = TrainingModel(compile(parse(text), student=student, teacher=teacher)).train()
    found, columns = model(batch)

    edges = {name: value for name, value in columns.items() if name not in items}
    assert len(edges) == (3 if task == "detect" else 4)
    assert all(value > 0 for value in edges.values())
    torch.testing.assert_close(found[:-1].sum(), wanted.sum())
    for name, value in items.items():
        torch.testing.assert_close(columns[name], value)
    found.sum().backward()
    assert all(p.grad is not None for p in model.student.model[-1].parameters() if p.requires_grad)


@pytest.fixture(scope="module", params=["segment", "pose", "obb"])
def finished(request: pytest.FixtureRequest, place: Path) -> RunResult:
    """A run of each task; the poses' yaml has other keypoints than the data."""
    student = network(place, request.param, 12)
    student.write_text(student.read_text().replace("kpt_shape: [5, 3]", "kpt_shape: [17, 3]"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        return run(spec_of(place, request.param, student=student))


def test_a_run_has_the_losses_of_its_task_and_of_its_edges(finished: RunResult) -> None:
    (row,) = csv.DictReader((finished.folder / "results.csv").open())
    found = [name.removeprefix("train/") for name in row if name.startswith("train/")]
    edges = [f"kd_{name}_loss" for name in ("neck", "cls", "box", OWN_EDGE[finished.task])]
    assert found == [*LOSSES[finished.task], *edges]
    assert all(float(row[f"train/{name}"]) > 0 for name in edges)
    assert [name for name in row if name.startswith("val/")] == [f"val/{x}" for x in LOSSES[finished.task]]


def test_its_checkpoint_is_a_plain_model_of_the_task(finished: RunResult, place: Path) -> None:
    model = YOLO(finished.best)
    assert model.task == finished.task
    assert type(model.model).__module__ == "ultralytics.nn.tasks"
    assert model.names[4] == "star"
    picture = next((Path(finished.data).parent / "images" / "val").glob("*.png"))
    (result,) = model.predict(picture, imgsz=64, conf=0.0, max_det=3, verbose=False, save=False)
    got = {"segment": result.masks, "pose": result.keypoints, "obb": result.obb}[finished.task]
    assert got is not None
    assert len(got) > 0
    metrics = model.val(data=finished.data, imgsz=64, plots=False, verbose=False, save_dir=str(place / "val"))
    assert metrics.results_dict.keys() >= finished.metrics.keys() - {
        "val/" + name for name in LOSSES[finished.task]
    }


def test_it_exports(finished: RunResult, tmp_path: Path) -> None:
    import onnxruntime

    copied = tmp_path / "student.pt"
    copied.write_bytes(finished.best.read_bytes())
    exported = YOLO(copied).export(format="onnx", imgsz=64, verbose=False)
    session = onnxruntime.InferenceSession(exported)
    result = session.run(None, {session.get_inputs()[0].name: torch.rand(1, 3, 64, 64).numpy()})
    columns = {"segment": 4 + 8 + 4, "pose": 4 + 8 + 15, "obb": 4 + 8 + 1}[finished.task]
    assert result[0].shape == (1, columns, 80)


def test_teacher_and_student_are_measured_by_their_task(finished: RunResult) -> None:
    teacher, student = scores(finished)
    assert (teacher.name, student.name) == ("teacher", "student")
    assert len(student.measures) == len(teacher.measures) == (2 if finished.task == "obb" else 3)
    assert None not in teacher.measures + student.measures
    assert teacher.params > student.params


# -- what is refused --


def test_poses_need_keypoints(place: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"error\[KD405\] .* has no keypoints") as caught:
        run(spec_of(place, "pose", data=data(place, "detect")))
    assert "builtin:glyphs-pose" in str(caught.value)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("kind", "wanted"), [("segment", "a polygon has 7, 9"), ("obb", "a rotated box has 9")]
)
def test_boxes_are_not_enough(
    kind: str, wanted: str, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=rf"error\[KD405\] .* cannot be used: 5 numbers where {wanted}"):
        run(spec_of(place, kind, data=data(place, "detect")))
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("task", ["classify", None])
def test_a_task_without_trainer(task: str | None) -> None:
    with pytest.raises(RunError, match=r"error\[KD504\] `kdgraph run` trains no student "):
        trainer_for(task)
    with pytest.raises(RunError, match=r"trains no teacher "):
        plain_trainer_for(task)


@pytest.mark.parametrize("task", TASKS)
def test_a_trainer_can_be_pickled_by_name(task: str) -> None:
    """As Ultralytics does for the processes of a multi-GPU run."""
    import pickle

    trainer = trainer_for(task)
    assert pickle.loads(pickle.dumps(trainer)) is trainer
    assert issubclass(trainer, Distilling)
    assert issubclass(trainer, plain_trainer_for(task))


@pytest.mark.parametrize(
    ("device", "amp", "kept"), [("cuda", True, False), ("cuda", False, True), ("cpu", True, True)]
)
def test_amp_decides_what_a_teacher_computes_in(device: str, amp: bool, kept: bool) -> None:
    teacher, edges = "{model: t.yaml, precision: bfloat16}", "{n: {taps: neck.*, criterion: cwd}}"
    text = f"student: s.yaml\nteacher: {teacher}\nedges: {edges}\n"
    trainer = Distilling.__new__(Distilling)
    trainer.spec, trainer.args = parse(text), SimpleNamespace(amp=amp)
    trainer.device = torch.device(device)
    trainer._leave_precision_to_amp()
    assert (trainer.spec.teacher.precision == "bfloat16") == kept
