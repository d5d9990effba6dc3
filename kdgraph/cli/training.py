"""The command that trains: run."""

from __future__ import annotations

from pathlib import Path

from kdgraph.cli.console import console, count, flops, table
from kdgraph.spec.parse import load
from kdgraph.train.report import Score, scores
from kdgraph.train.run import RunResult, resume, run


def run_command(spec: Path | None, folder: Path | None) -> None:
    result = resume(folder) if folder is not None else run(load(spec or ""))
    _print_result(result, scores(result))


def _print_result(result: RunResult, found: list[Score]) -> None:
    comparison = table(
        "model",
        "parameters",
        "GFLOPs",
        "mAP50",
        "mAP50-95",
        numeric=("parameters", "GFLOPs", "mAP50", "mAP50-95"),
    )
    for score in found:
        values = ("-", "-") if score.map50 is None else (f"{score.map50:.3f}", f"{score.map50_95:.3f}")
        comparison.add_row(score.name, count(score.params), flops(score.flops), *values)
    console.print()
    console.print(comparison)
    console.print(f"\nthe student: {_shown(result.best)}")
    console.print(f"use it:      yolo predict model={_shown(result.best)} source=...")


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
