"""`kdgraph init --from-flags`: flags of moded_YOLO in, a spec that fits out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kdgraph.spec import parse
from kdgraph.spec.moded_yolo import convert
from tests.cli.test_app import call

FLAGS = [f"{name}=True" for name in ("cls_dist", "cls_dist_kl", "dfl_dist", "dfl_fg_mask", "M2D2", "l2_dist")]
METHODS = ("use_cwd", "use_crd", "use_mmd", "use_spatial_att", "use_channel_att")
NECK = [f"{name}=True" for name in ("feat", "feat_att", *METHODS)]


def test_it_prints_what_the_converter_makes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "init", "--from-flags", *FLAGS) == 0
    assert capsys.readouterr().out == convert(FLAGS)


@pytest.mark.parametrize(
    "options", [["--teacher", "yolo11s.pt"], ["--teacher", "yolo11m.pt", "--data", "coco.yaml"]]
)
@pytest.mark.parametrize("mask", ["original", "pyramid"])
def test_what_it_prints_fits(
    options: list[str],
    mask: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = [*FLAGS, *NECK, "feat_mask=True", "cls_fg_mask=True", "l2_fg_mask=True", f"mask_type={mask}"]
    assert call(monkeypatch, "init", "--from-flags", *words, *options) == 0
    written = tmp_path / "my-spec.yaml"
    written.write_text(capsys.readouterr().out, encoding="utf-8")
    assert call(monkeypatch, "check", written) == 0
    assert capsys.readouterr().out.startswith(f"{written}: 11 edges, 33 terms, all fit\n")


def test_options_stand_for_flags(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--student", "yolov8n.yaml", "--teacher", "yolov8s.pt", "--data", "builtin:glyphs"]
    assert call(monkeypatch, "init", *options, "--from-flags", "dfl_dist=True", "epochs=3") == 0
    spec = parse(capsys.readouterr().out)
    assert (spec.student.model, spec.teacher.model, spec.data) == (
        "yolov8n.yaml",
        "yolov8s.pt",
        "builtin:glyphs",
    )
    assert spec.train == {"epochs": 3}


def test_a_model_given_both_ways_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "init", "--student", "a.pt", "--from-flags", "cls_dist=True", "model=b.pt") == 2
    assert "error[KD005] the flag 'model' is given twice" in capsys.readouterr().err


def test_every_mistake_is_told_and_ends_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "init", "--from-flags", "cls_dits=True", "dfl_t=0") == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == (
        "--from-flags:1:1: error[KD102] there is no flag 'cls_dits'\n"
        "    1 | cls_dits=True dfl_t=0\n"
        "      | ^^^^^^^^\n"
        "  hint: did you mean 'cls_dist' or 'cls_dist_t'?\n"
        "--from-flags:1:21: error[KD104] dfl_t: must be above 0; got the number 0\n"
        "    1 | cls_dits=True dfl_t=0\n"
        "      |                     ^\n"
        "  hint: 1.0 leaves the logits as they are\n"
    )


def test_without_flags_no_loss_is_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "init", "--from-flags") == 2
    assert "switch no distillation loss on" in capsys.readouterr().err


def test_words_alone_are_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "init", "cls_dist=True") == 2
    assert "go behind --from-flags" in capsys.readouterr().err


def test_a_conversion_takes_no_torch(user_environment: dict[str, str]) -> None:
    program = (
        "import sys; sys.argv = ['kdgraph', 'init', '--from-flags', 'cls_dist=True']\n"
        "from kdgraph.cli.app import main\ntry: main()\nexcept SystemExit: pass\n"
        "assert not {'torch', 'ultralytics', 'numpy'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=user_environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == convert(["cls_dist=True"])
