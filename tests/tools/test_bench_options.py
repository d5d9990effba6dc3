"""Wrong flags of tools/bench end with 2 and say what is wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.tools.conftest import TOOLS

WRONG = [
    (["--arms", "plain,fast"], "no arm is called 'fast'; there are plain, builtin"),
    (["--batch", "1"], "--batch: 2 or more"),
    (["--batch", "0"], "0 is no count"),
    (["--amp", "fp16"], "needs --device cuda"),
    (["--device", "tpu9"], "'tpu9' is neither cpu nor cuda"),
    (["--device", "mps"], "'mps' is neither cpu nor cuda"),
    (["--spec", "nowhere.yaml"], "--spec: there is no nowhere.yaml"),
    (["--images", "nowhere"], "--images: there is no nowhere"),
    (["--json", "nowhere/a.json"], "--json: there is no folder"),
    (["--plot", "a.bmp"], "a.bmp is no .png, .svg or .pdf"),
    (["--seconds", "0"], "more than 0"),
    (["--warmup", "-1"], "--warmup: 0 or more"),
    (["--profile", "compiled"], "invalid choice: 'compiled'"),
    (["--scaling", "depth"], "invalid choice: 'depth'"),
    (["--scaling", "batch", "--profile", "eager"], "give one of them"),
    (["--values", "1,2"], "--scaling, which is not given"),
    (["--scaling", "model", "--values", "yolo11n"], "pairs teacher:student"),
    (["--scaling", "edges", "--values", "1,many"], "are counts"),
]


@pytest.mark.parametrize(("flags", "said"), WRONG, ids=lambda value: " ".join(value)[:40])
def test_wrong_flags_end_with_2(flags: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    from bench_options import parsed

    with pytest.raises(SystemExit) as ended:
        parsed(flags)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_where_there_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    from bench_options import parsed

    with pytest.raises(SystemExit):
        parsed(["--device", "cuda"])
    assert "torch sees no CUDA device" in capsys.readouterr().err


def test_what_inductor_compiles_is_not_among_the_default_arms_of_a_cpu() -> None:
    from bench_options import ARMS, parsed

    assert parsed([]).arms == ("plain", "builtin", "eager", "hooks")
    assert parsed(["--arms", "all"]).arms == tuple(ARMS)
    assert parsed(["--arms", "limit,plain,limit"]).arms == ("limit", "plain")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--student", "yolo11q.yaml"], "unknown model"),
        (["--student", "yolo11n-pose.yaml"], "does not detect"),
        (["--imgsz", "100"], "no multiple of the student's stride of 32"),
    ],
)
def test_models_that_cannot_be_measured(
    flags: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from bench_main import main

    assert main(flags) == 2
    assert said in capsys.readouterr().err


def test_the_tool_tells_of_its_arms_from_anywhere(tmp_path: Path) -> None:
    tool = [sys.executable, str(TOOLS / "bench"), "--help"]
    done = subprocess.run(tool, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "torch.compile" in done.stdout
