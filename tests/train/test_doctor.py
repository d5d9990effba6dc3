"""The doctor: what fits, what does not with its mend, and that broken packages do not stop it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kdgraph.errors import CODES
from kdgraph.train.devices import serves
from kdgraph.train.doctor import diagnose, match_fault, version_faults

FINE = {"torch": "2.9.1", "torchvision": "0.24.1", "ultralytics": "8.4.190", "kdgraph": "0.1.0"}


def doctor_with(folder: Path) -> str:
    """What the doctor says in a process where the packages in `folder` come first."""
    code = (
        "from kdgraph.train.doctor import diagnose; report = diagnose(); print(report); exit(not report.ok)"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    result = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (1, "")
    return result.stdout


def test_this_environment_fits() -> None:
    report = diagnose()
    assert report.ok, str(report)
    assert [name for name, _ in report.facts][:5] == [
        "python",
        "kdgraph",
        "torch",
        "torchvision",
        "ultralytics",
    ]
    assert str(report).endswith("\nall fits")
    assert re.search(r"^torch +\d+\.\d+", str(report), re.MULTILINE)


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        (
            {"torch": "2.7.1+cpu"},
            "torch 2.7.1+cpu does not fit: kdgraph needs torch>=2.8\n  hint: pip install",
        ),
        ({"torch": "1.13.1"}, "torch 1.13.1 does not fit: kdgraph needs torch>=2.8\n"),
        (
            {"ultralytics": "8.4.189"},
            "ultralytics 8.4.189 does not fit: kdgraph needs ultralytics>=8.4.190,<9\n",
        ),
        ({"ultralytics": "9.0.0"}, '  hint: pip install --upgrade "ultralytics>=8.4.190,<9"'),
        (
            {"torchvision": None},
            'error[KD511] torchvision is not installed\n  hint: pip install "torchvision"',
        ),
    ],
)
def test_versions_out_of_range(changed: dict[str, str | None], text: str) -> None:
    (fault,) = version_faults({**FINE, **changed})
    assert fault.code in CODES
    assert text in fault.render()


@pytest.mark.parametrize("torch", ["2.8.0", "2.8.0+cu128", "2.10.0.dev20250901", "2.15.0"])
def test_versions_in_range(torch: str) -> None:
    assert version_faults({**FINE, "torch": torch}) == []


@pytest.mark.parametrize(
    ("torch", "torchvision", "wanted", "text"),
    [
        (
            "2.8.0+cpu", "0.24.1", "==2.9.1",
            "error[KD512] torchvision 0.24.1 is made for torch ==2.9.1, but torch is 2.8.0+cpu\n"
            '  hint: pip uninstall -y torchvision && pip install "torch==2.8.0" torchvision '
            "--index-url https://download.pytorch.org/whl/cpu",
        ),
        (
            "2.13.0", "0.29.2", ">=2.14.0",
            "error[KD512] torchvision 0.29.2 is made for torch >=2.14.0, but torch is 2.13.0\n"
            '  hint: pip uninstall -y torchvision && pip install "torch==2.13.0" torchvision',
        ),
        (
            "2.8.0+cu128", "0.23.0+cpu", "==2.8.0",
            "error[KD512] torchvision 0.23.0+cpu and torch 2.8.0+cu128 are built for different devices\n"
            '  hint: pip uninstall -y torchvision && pip install "torch==2.8.0" torchvision '
            "--index-url https://download.pytorch.org/whl/cu128",
        ),
    ],
)  # fmt: skip
def test_a_torchvision_for_another_torch(torch: str, torchvision: str, wanted: str, text: str) -> None:
    fault = match_fault(torch, torchvision, wanted)
    assert fault is not None
    assert fault.render() == text


@pytest.mark.parametrize(
    ("torch", "torchvision", "wanted"),
    [
        ("2.8.0+cpu", "0.23.0+cpu", "==2.8.0"),
        ("2.15.0", "0.29.2", ">=2.14.0"),
        ("2.9.1", "0.24.1", ">=2.9,!=2.9.0"),
        ("2.8.0", None, ""),
        ("2.8.0", "0.23.0", ""),
    ],
)
def test_a_torchvision_that_fits(torch: str, torchvision: str | None, wanted: str) -> None:
    assert match_fault(torch, torchvision, wanted) is None


def test_a_torchvision_that_cannot_be_imported(tmp_path: Path) -> None:
    (tmp_path / "torchvision").mkdir()
    code = "raise RuntimeError('operator torchvision::nms does not exist')"
    (tmp_path / "torchvision" / "__init__.py").write_text(code)
    text = doctor_with(tmp_path)
    assert (
        "error[KD513] torchvision cannot be used: RuntimeError: operator torchvision::nms does not exist\n"
        "  hint: pip uninstall -y torchvision && pip install" in text
    )
    assert text.count("error[") == 1  # ultralytics cannot be imported either, for the same reason
    assert re.search(r"^device ", text, re.MULTILINE)


def test_a_torchvision_without_its_compiled_part(tmp_path: Path) -> None:
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").touch()
    (tmp_path / "torchvision" / "ops.py").write_text(
        "def nms(*a):\n    raise NotImplementedError('no kernel')\n"
    )
    assert "error[KD513] torchvision cannot be used: NotImplementedError: no kernel\n" in doctor_with(
        tmp_path
    )


def test_an_opencv_without_libgl(tmp_path: Path) -> None:
    message = "libGL.so.1: cannot open shared object file: No such file or directory"
    (tmp_path / "cv2.py").write_text(f"raise ImportError('{message}')")
    assert (
        f"error[KD513] OpenCV cannot be used: ImportError: {message}\n  hint: pip uninstall -y opencv-python "
        "&& pip install --force-reinstall opencv-python-headless\n" in doctor_with(tmp_path)
    )


def test_a_broken_torch(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise OSError('libcudart.so.13: cannot open shared object file')")
    text = doctor_with(tmp_path)
    assert (
        "error[KD513] torch cannot be used: OSError: libcudart.so.13: cannot open shared object file\n"
        in text
    )
    assert '  hint: pip install --force-reinstall "torch>=2.8"\n' in text


@pytest.mark.parametrize(
    ("architectures", "capability", "result"),
    [
        (["sm_80", "sm_90"], (9, 0), True),
        (["sm_80", "sm_86"], (8, 9), True),
        (["sm_80", "sm_90"], (7, 5), False),
        (["sm_80", "sm_90"], (12, 0), False),
        (["sm_80", "compute_90"], (12, 0), True),
        (["sm_90a", "sm_120"], (12, 0), True),
        ([], (8, 0), True),
    ],
)
def test_which_cards_a_build_serves(
    architectures: list[str], capability: tuple[int, int], result: bool
) -> None:
    assert serves(architectures, capability) is result


def test_a_card_that_torch_does_not_use_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver's tool that lists a card, with a torch that finds none: as on a machine with a wrong build."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA X100, 600.10'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    (tmp_path / "empty").mkdir()
    text = doctor_with(tmp_path / "empty")
    assert re.search(r"^driver +NVIDIA X100, 600.10$", text, re.MULTILINE)
    assert re.search(r"error\[KD514\].*NVIDIA X100, 600.10", text)
