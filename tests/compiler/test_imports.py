"""What compiling does not import, since it would take longer than everything else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMPILED = """
import sys
from tests.toys import spec, toy
from kdgraph.compiler.api import plan
from kdgraph.graph.models import build_model
from kdgraph.spec.schema import ModelSpec
student, teacher = toy(), toy(16)
before = set(sys.modules)
made = spec("  neck: {taps: neck.*, criterion: sl2}\\n  dfl: {taps: head.dfl, criterion: kl}")
plan(made, student=student, teacher=teacher).lower()
build_model(ModelSpec(model="yolo11n"), nc=2, meta=True)
print("late:", *sorted({"sympy", "torch._dynamo"} & set(sys.modules) - before))
"""


def test_compiling_imports_neither_sympy_nor_dynamo() -> None:
    run = [sys.executable, "-W", "ignore", "-c", COMPILED]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].split() == ["late:"]
