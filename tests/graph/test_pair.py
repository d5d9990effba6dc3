"""The two models of a spec: classes, channels, what is built and what is taken as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from ultralytics.utils import IterableSimpleNamespace

from kdgraph.errors import DataError, ModelError
from kdgraph.graph.pair import build_models, build_student, build_teacher
from kdgraph.spec.parse import parse
from kdgraph.spec.schema import Spec
from tests.toys import toy

EDGES = "edges:\n  neck: {taps: neck.*, criterion: cwd}\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "five.yaml").write_text("train: images\nval: images\nnames: [a, b, c, d, e]\n")
    return tmp_path


def spec(
    student: str = "yolo11n.yaml", teacher: str = "yolov8n.yaml", data: str | None = "five.yaml"
) -> Spec:
    return parse(f"student: {student}\nteacher: {teacher}\n" + f"data: {data}\n" * (data is not None) + EDGES)


def saved(path: Path, nc: int) -> Path:
    torch.save({"model": toy(nc=nc), "ema": None, "train_args": {}}, path)
    return path


def classes(model: object) -> int:
    return model.model[-1].nc  # type: ignore[attr-defined, no-any-return]


def test_models_given_are_taken_as_they_are(here: Path) -> None:
    student, teacher = toy(nc=3), toy(16, nc=4)
    pair = build_models(spec(), student=student, teachers={"teacher": teacher})
    assert (pair.student, pair.teachers, pair.channels) == (student, {"teacher": teacher}, 3)
    assert isinstance(student.args, IterableSimpleNamespace), "the detection loss reads attributes"
    assert student.args.box == 7.5


def test_a_student_that_teaches_itself_does_not_move_its_teacher(here: Path) -> None:
    model = toy()
    pair = build_models(spec(), student=model, teachers={"teacher": model})
    assert pair.teachers["teacher"] is not model
    ours, theirs = (next(m.parameters()) for m in (pair.student, pair.teachers["teacher"]))
    assert torch.equal(ours, theirs)
    assert ours.data_ptr() != theirs.data_ptr()


def test_architectures_get_the_classes_of_the_data(here: Path) -> None:
    pair = build_models(spec(), weights=False)
    assert classes(pair.student) == classes(pair.teachers["teacher"]) == 5
    models = (pair.student, pair.teachers["teacher"])
    assert {p.device.type for model in models for p in model.parameters()} == {"meta"}


def test_a_student_takes_the_channels_of_the_data(here: Path) -> None:
    (here / "grey.yaml").write_text("train: images\nval: images\nnames: [a, b, c]\nchannels: 1\n")
    student: Any = build_student(spec(str(saved(here / "colour.pt", 3)), data="grey.yaml"))
    old, new = toy(nc=3).model[3].cv1.conv.weight, student.model[3].cv1.conv.weight
    assert student.model[0].conv.in_channels == 1
    torch.testing.assert_close(new, old)


def test_without_data_the_yaml_decides() -> None:
    assert classes(build_student(spec(data=None), weights=False)) == 80


def test_a_student_s_checkpoint_is_refitted_to_the_classes_of_the_data(here: Path) -> None:
    file = saved(here / "three.pt", nc=3)
    written, student = toy(nc=3), build_student(spec(student=str(file)))
    assert classes(student) == 5
    ours, theirs = student.state_dict(), written.state_dict()
    same = (
        [name for name in theirs if torch.equal(ours[name], theirs[name])]
        if ours.keys() == theirs.keys()
        else []
    )
    different = [name for name in theirs if ours[name].shape != theirs[name].shape]
    assert sorted(same + different) == sorted(theirs)
    assert different
    assert all(".cv3." in name for name in different)
    assert student.names == dict(enumerate("abcde"))  # type: ignore[comparison-overlap]


def test_a_trained_teacher_keeps_its_own_classes(here: Path) -> None:
    file = saved(here / "three.pt", nc=3)
    assert classes(build_teacher(spec(teacher=str(file)))) == 3
    assert classes(build_teacher(spec(teacher=f"{{model: {file}, train: {{epochs: 1}}}}"))) == 5


def test_a_checkpoint_with_the_classes_of_the_data_is_not_rebuilt(here: Path) -> None:
    student = build_student(spec(student=str(saved(here / "five.pt", nc=5))))
    assert all(torch.equal(t, student.state_dict()[name]) for name, t in toy(nc=5).state_dict().items())


def test_faults_of_models_and_data_are_told(here: Path) -> None:
    with pytest.raises(ModelError, match="KD302"):
        build_models(spec(student="yolo12345.yaml"), weights=False)
    with pytest.raises(DataError, match="KD401"):
        build_models(spec(data="nowhere.yaml"), weights=False)
