"""The command line: what it prints, and how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from kdgraph.cli.app import main
from tests.conftest import command

SPEC = """\
student: yolo11n.yaml
teacher: yolo11s.pt
edges:
  neck: {taps: neck.*, criterion: cwd}
  dfl: {taps: head.dfl.*, criterion: kl}
train: {imgsz: 64}
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    file = tmp_path / "spec.yaml"
    file.write_text(SPEC)
    return file


def call(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Run `kdgraph ARGUMENTS` in this process; its exit code."""
    monkeypatch.setattr(sys, "argv", ["kdgraph", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_check_says_that_a_spec_fits(
    spec: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "check", spec) == 0
    assert capsys.readouterr().out == f"{spec}: 2 edges, 6 terms, all fit\n"


def test_check_tells_every_mistake_and_ends_with_2(
    spec: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec.write_text(SPEC.replace("neck.*", "neck.p33").replace("criterion: kl", "criterion: cwd"))
    assert call(monkeypatch, "check", spec) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == (
        f"{spec}:4:16: error[KD201] edge 'neck': unknown tap 'neck.p33'\n"
        "    4 |   neck: {taps: neck.p33, criterion: cwd}\n"
        "      |                ^^^^^^^^\n"
        "  hint: did you mean 'neck.p3'? this model has neck.p3, neck.p4, neck.p5\n"
        f"{spec}:5:38: error[KD203] edge 'dfl': criterion 'cwd' does not compare DFL logits, "
        "which 'head.dfl.p3' is\n"
        "    5 |   dfl: {taps: head.dfl.*, criterion: cwd}\n"
        "      |                                      ^^^\n"
        "  hint: criteria for it: box_l2, ddf, iou, kl, ld, m2d2, mimic\n"
    )


@pytest.mark.parametrize("models", [("yolo11n.yaml", "yolo11s.yaml"), ("yolo11n.pt", "yolo11m.pt")])
def test_init_prints_a_spec_that_fits(
    models: tuple[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert call(monkeypatch, "init", "--student", models[0], "--teacher", models[1]) == 0
    written = tmp_path / "my-spec.yaml"
    written.write_text(capsys.readouterr().out)
    assert call(monkeypatch, "check", written) == 0


def test_init_trains_a_teacher_of_other_classes_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call(
        monkeypatch, "init", "--student", "yolo11n.pt", "--teacher", "yolo11m.pt", "--data", "builtin:glyphs"
    )
    assert "train: {epochs: 100}" in capsys.readouterr().out.split("data:")[0]
    call(monkeypatch, "init", "--student", "yolo11n.pt", "--teacher", "yolo11m.pt", "--data", "coco8.yaml")
    assert "teacher: yolo11m.pt\n" in capsys.readouterr().out


def test_schema_is_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "schema") == 0
    assert json.loads(capsys.readouterr().out)["title"] == "kdgraph spec"


def test_run_wants_a_spec_or_a_folder(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "run") == 2
    assert "give a spec, or --resume" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("teacher: yolo11s.pt", "teacher: yolo11z.yaml"), "KD302"),
        (("teacher: yolo11s.pt", "teacher: nowhere/best.pt"), "KD301"),
        (("builtin:glyphs", "nowhere.yaml"), "KD401"),
        (("data: builtin:glyphs\n", ""), "KD401"),
        (("edges:", "edgse:"), "KD102"),
        (("teacher: yolo11s.pt", "teacher: yolo11s.yaml"), "KD301"),  # a teacher without weights
        (("student: yolo11n.yaml", "student: yolo11n-cls.yaml"), "KD305"),
    ],
)
def test_what_is_wrong_with_the_input_ends_with_2_and_writes_nothing(
    change: tuple[str, str],
    code: str,
    spec: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(spec.parent)
    spec.write_text(SPEC.replace("edges:", "data: builtin:glyphs\nedges:").replace(*change))
    assert call(monkeypatch, "run", spec) == 2
    told = capsys.readouterr().err
    assert f"error[{code}]" in told
    assert "hint:" in told
    assert not (spec.parent / "runs").exists()


def test_weights_that_cannot_be_downloaded_are_said(
    spec: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(spec.parent)
    spec.write_text(
        SPEC.replace("yolo11s.yaml", "yolo11s.pt").replace("edges:", "data: builtin:glyphs\nedges:")
    )
    spec.write_text(spec.read_text().replace("dfl: {taps: head.dfl.*, criterion: kl}", ""))
    assert call(monkeypatch, "check", spec) == 0  # needs no weights
    assert call(monkeypatch, "run", spec) == 2
    assert "error[KD303]" in capsys.readouterr().err


def test_help_and_import_take_no_torch(user_environment: dict[str, str]) -> None:
    for program in (
        "import kdgraph",
        "import sys; sys.argv = ['kdgraph', '--help']\n"
        "from kdgraph.cli.app import main\ntry: main()\nexcept SystemExit: pass",
    ):
        asked = f"{program}\nimport sys; assert not {{'torch', 'ultralytics', 'numpy'}} & set(sys.modules)"
        done = subprocess.run(
            [sys.executable, "-c", asked], env=user_environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr


def test_the_installed_command_answers(user_environment: dict[str, str]) -> None:
    done = subprocess.run(
        [command("kdgraph"), "--version"], env=user_environment, capture_output=True, text=True
    )
    assert done.stdout == "kdgraph 0.1.0\n"


def test_the_very_first_command_prints_nothing_but_its_own(
    user_environment: dict[str, str], tmp_path: Path
) -> None:
    """Ultralytics announces its settings file on its first import ever, which would end up in the spec."""
    fresh = {**user_environment, "YOLO_CONFIG_DIR": str(tmp_path)}
    done = subprocess.run(
        [command("kdgraph"), "init", "--student", "yolo11n.yaml"], env=fresh, capture_output=True, text=True
    )
    assert done.stdout.startswith("# Distils yolo11m.pt into yolo11n.yaml")
    assert list(tmp_path.rglob("settings.json"))
