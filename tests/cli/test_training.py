"""`kdgraph run` says before anything is written that data and student do not go together."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kdgraph.cli.app import main
from tests.train.tiny import data, network

SPEC = """\
student: {student}
teacher: {{model: {student}, train: {{epochs: 1}}}}
data: {data}
edges: {{neck: {{taps: neck.*, criterion: cwd}}}}
train: {{epochs: 1, imgsz: 64}}
"""


def refused(place: Path, kind: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    Path("spec.yaml").write_text(text.format(student=network(place, kind), data=data(place, "detect", 2, 1)))
    monkeypatch.setattr(sys, "argv", ["kdgraph", "run", "spec.yaml"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert not Path("runs").exists()


def test_poses_without_keypoints_are_shown_in_the_spec(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(tmp_path, "pose", SPEC, monkeypatch)
    told = capsys.readouterr().err
    assert told.startswith(
        "spec.yaml:3:7: error[KD405] data has no keypoints, which a pose student learns from"
    )
    assert told.endswith("or use builtin:glyphs-pose\n")


def test_the_data_must_do_for_a_teacher_that_learns_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    teacher = network(tmp_path, "segment")
    text = SPEC.replace("{{model: {student}", f"{{{{model: {teacher}")
    refused(tmp_path, "detect", text, monkeypatch)
    told = capsys.readouterr().err
    assert "error[KD405]" in told
    assert "of the train labels cannot be used: 5 numbers where a polygon has 7, 9 or more" in told
