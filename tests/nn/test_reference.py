"""Published loss vectors, and the tool that checks a folder of them."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT.parent / "shared" / "reference"
TOOL = ROOT / "tools" / "check-reference"

BUILT = [
    "at",
    "bckd_box",
    "bckd_cls",
    "crosskd_cls",
    "crosskd_reg",
    "cwd",
    "cwd_bn",
    "ddf",
    "dist",
    "dkd",
    "fgd",
    "kl",
    "l2_mmrazor",
    "ld",
    "logit_std",
    "logit_std_dkd",
    "mgd",
    "mimic",
    "nkd",
    "pkd",
    "seed_attn",
    "seed_box_l2",
    "seed_channel_att",
    "seed_cls_bce",
    "seed_cls_kl",
    "seed_dfl_kl",
    "seed_feat",
    "seed_masks",
    "seed_gap_mse",
    "seed_gram_mse",
    "seed_mmd",
    "seed_spatial_att",
    "sl2",
]

FILES = [p for p in sorted(REFERENCE.glob("*.npz")) if p.stem.split("__")[0] in BUILT]


@pytest.fixture(scope="module", autouse=True)
def tools_are_importable() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(TOOL.parent)
        yield


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="needs the vectors of ../shared/reference")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_published_vector(path: Path) -> None:
    from reference_cases import check

    verdict = check(path)
    assert verdict.status == "ok", verdict


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="needs the vectors of ../shared/reference")
def test_every_built_method_has_vectors() -> None:
    assert {path.stem.split("__")[0] for path in FILES} == set(BUILT)


def save_mimic(path: Path, **changes: Any) -> None:
    """A vector of the mean squared difference, right unless `changes` say otherwise."""
    student, teacher = np.random.default_rng(0).normal(size=(2, 2, 3, 4, 5))
    arrays: dict[str, Any] = {
        "student": student,
        "teacher": teacher,
        "loss": np.mean((student - teacher) ** 2),
        "grad_student": 2 * (student - teacher) / student.size,
        "config": np.array(json.dumps({"method": "mimic"})),
    }
    np.savez(path, **{**arrays, **changes})


def run_tool(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", [str(TOOL), *map(str, arguments)])
    monkeypatch.setattr(sys, "path", [*sys.path])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(TOOL), run_name="__main__")
    assert isinstance(stopped.value.code, int)
    return stopped.value.code


def test_the_tool_passes_good_vectors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_mimic(tmp_path / "mimic__right.npz")
    save_mimic(tmp_path / "other__later.npz", config=np.array(json.dumps({"method": "other"})))
    assert run_tool(monkeypatch, tmp_path) == 0
    first, second, total = capsys.readouterr().out.splitlines()
    assert first.startswith("mimic__right")
    assert first.endswith("ok")
    assert second.startswith("other__later")
    assert second.endswith("not built yet")
    assert total == "1 ok, 0 FAIL, 1 not built yet"


ALTERED = {
    "loss": {"loss": np.float64(2.0)},
    "gradient": {"grad_student": np.zeros((2, 3, 4, 5))},
    "input": {"student": np.zeros((2, 3, 4, 5))},
    "shape": {"teacher": np.zeros((2, 3, 5, 4))},
    "nan": {"loss": np.float64("nan")},
    "no-config": {"config": np.array("{")},
}


@pytest.mark.parametrize("altered", ALTERED)
def test_the_tool_names_an_altered_vector(
    altered: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_mimic(tmp_path / "mimic__right.npz")
    save_mimic(tmp_path / "mimic__wrong.npz", **ALTERED[altered])
    assert run_tool(monkeypatch, tmp_path) == 1
    right, wrong, total = capsys.readouterr().out.splitlines()
    assert right.endswith("ok")
    assert wrong.startswith("mimic__wrong")
    assert "FAIL" in wrong
    assert total == "1 ok, 1 FAIL, 0 not built yet"


def save_masks(path: Path, **changes: Any) -> None:
    """One positive cell of an 8 x 8 level in a corner that sampling at every second cell loses."""
    sizes = {8: 8, 16: 4, 32: 2}
    levels = {stride: np.zeros((1, 1, size, size), dtype=bool) for stride, size in sizes.items()}
    arrays: dict[str, Any] = {}
    for stride, level in levels.items():
        own, lost = level.copy(), level.copy()
        own[..., 1, 1], lost[..., 0, 0] = stride == 8, stride > 8
        arrays |= {f"original_{stride}": own, f"pyramid_{stride}": own, f"dropped_{stride}": lost}
    arrays["fg_mask"] = np.concatenate([arrays[f"original_{s}"].reshape(1, -1) for s in sizes], 1)
    arrays["config"] = np.array(json.dumps({"method": "seed_masks", "strides": list(sizes)}))
    np.savez(path, **{**arrays, **changes})


def test_masks_are_compared_cell_by_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_masks(tmp_path / "masks__right.npz")
    save_masks(tmp_path / "masks__sampled.npz", dropped_16=np.zeros((1, 1, 4, 4), dtype=bool))
    assert run_tool(monkeypatch, tmp_path) == 1
    right, sampled, total = capsys.readouterr().out.splitlines()
    assert right.endswith("-  ok")
    assert sampled.endswith("FAIL (pyramid_16: 1 cells differ)")
    assert total == "1 ok, 1 FAIL, 0 not built yet"


def test_the_tool_fails_on_a_file_that_is_no_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "torn.npz").write_bytes(b"PK\x03\x04 and no more")
    assert run_tool(monkeypatch, tmp_path) == 1
    assert "FAIL (unreadable: " in capsys.readouterr().out


def test_a_wider_tolerance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    student, teacher = np.random.default_rng(0).normal(size=(2, 2, 3, 4, 5))
    save_mimic(tmp_path / "mimic__near.npz", loss=np.mean((student - teacher) ** 2) * (1 + 1e-6))
    assert run_tool(monkeypatch, tmp_path) == 1
    assert run_tool(monkeypatch, tmp_path, "--rtol", "1e-5") == 0


@pytest.mark.parametrize("exists", [True, False], ids=["empty", "missing"])
def test_the_tool_has_nothing_to_check(
    exists: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "vectors"
    if exists:
        folder.mkdir()
    assert run_tool(monkeypatch, folder) == 2
    assert f"no .npz in {folder}" in capsys.readouterr().err


def test_the_tool_runs_from_anywhere(tmp_path: Path) -> None:
    save_mimic(tmp_path / "mimic__wrong.npz", loss=np.float64(2.0))
    done = subprocess.run(
        [sys.executable, str(TOOL), str(tmp_path)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "mimic__wrong" in done.stdout
    assert not done.stderr
    assert TOOL.stat().st_mode & 0o111
