from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.cli.test_app import call

ROOT = Path(__file__).parent.parent.parent
SPEC = """\
student: yolo11n.yaml
teacher: yolo11s.yaml
edges:
  neck: {taps: neck.*, criterion: cwd}
"""
UNTRACEABLE = """\
from torch import nn


class Picky(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


def picky():
    return Picky()
"""

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spec.yaml").write_text(SPEC)
    return tmp_path


def test_a_model_is_drawn_beside_where_one_stands(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    assert call(monkeypatch, "graph", "yolo11n.yaml") == 0
    assert capsys.readouterr().out == "yolo11n.svg: yolo11n.yaml\n"
    said = [
        text.text for text in ElementTree.parse(folder / "yolo11n.svg").iter() if text.tag.endswith("text")
    ]
    assert {"neck.p3", "neck.p4", "neck.p5", "head.dfl.p3", "head.cls"} <= set(said)


def test_a_spec_is_drawn_with_its_edges(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    assert call(monkeypatch, "graph", "spec.yaml", "--detail", "stages", "--out", "a/b.svg") == 0
    assert capsys.readouterr().out == "a/b.svg: yolo11s.yaml → yolo11n.yaml\n"
    assert "neck: neck.p3" in (folder / "a" / "b.svg").read_text().replace("&#160;", " ")


@pytest.mark.parametrize(
    "text",
    ["{student: yolo11n.yaml, teacher: yolo11s.yaml, edges: default}", SPEC.replace("student", '"student"')],
    ids=["flow style", "quoted keys"],
)
def test_a_spec_is_one_however_it_is_written(
    text: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    (folder / "spec.yaml").write_text(text)
    assert call(monkeypatch, "graph", "spec.yaml", "--out", "x.svg") == 0
    assert capsys.readouterr().out == "x.svg: yolo11s.yaml → yolo11n.yaml\n"


@pytest.mark.parametrize("other", ["yolov8n-p6.yaml", "yolo11n.yaml"])
def test_two_models_are_drawn_side_by_side(
    other: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    arguments = ("graph", "yolo11n.yaml", "--diff", other, "--out", "x.dot", "--imgsz", 100)
    assert call(monkeypatch, *arguments) == 0
    text = (folder / "x.dot").read_text()
    assert "teacher:model.16" in text
    assert "student:model.16" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("yolo11n.yaml", "--out", "x.bmp"), "KD601"),
        (("yolo11n.yaml", "--out", "spec.yaml/x.svg"), "KD602"),
        (("yolo11q.yaml",), "KD302"),
        (("missing/yolo.yaml",), "KD301"),
        (("spec.yaml", "--diff", "yolo11n.yaml"), "--diff is for models"),
        (("spec.yaml", "--imgsz", "320"), "--imgsz is for models"),
        (("yolo11n.yaml", "--imgsz", "0"), "--imgsz"),
        (("yolo11n.yaml", "--detail", "rows"), "--detail"),
        (("wrong.yaml",), "wrong.yaml:4:16: error[KD201]"),
        (("broken.yaml",), "KD30"),
        (("half.yaml",), "KD101"),
        (("untraceable.yaml",), "KD205"),
    ],
)
def test_mistakes_are_told_and_nothing_is_written(
    arguments: tuple[str, ...], said: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    (folder / "wrong.yaml").write_text(SPEC.replace("neck.*", "neck.p9"))
    (folder / "broken.yaml").write_text("backbone: [[-1, 1, Conv")
    (folder / "half.yaml").write_text("teacher: yolo11m.pt")
    (folder / "my_models.py").write_text(UNTRACEABLE)
    (folder / "untraceable.yaml").write_text(
        SPEC.replace("teacher: yolo11s.yaml", "plugins: [my_models]\nteacher: {python: 'my_models:picky'}")
    )
    before = set(folder.iterdir())
    assert call(monkeypatch, "graph", *arguments) == 2
    told = capsys.readouterr()
    assert said in told.err
    assert "Traceback" not in told.err
    assert {path for path in folder.iterdir() if path.name != "__pycache__"} == before


def test_the_tool_is_the_command(folder: Path) -> None:
    tool = [sys.executable, str(ROOT / "tools" / "visualize-graph")]
    done = subprocess.run(
        [*tool, "spec.yaml", "--out", "x.html"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (folder / "x.html").read_text(encoding="utf-8").lower().startswith("<!doctype html>")
    wrong = subprocess.run(
        [*tool, "spec.yaml", "--out", "x.bmp"], capture_output=True, text=True, check=False
    )
    assert wrong.returncode == 2
    assert "KD601" in wrong.stderr
