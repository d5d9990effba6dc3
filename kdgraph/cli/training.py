"""The command that trains: run."""

from __future__ import annotations

from pathlib import Path

from kdgraph.cli.console import console, flops, table
from kdgraph.draw.numbers import count
from kdgraph.spec.parse import load
from kdgraph.train.report import MEASURES, Score, note_scores, scores
from kdgraph.train.run import RunResult, resume, run


def run_command(spec: Path | None, folder: Path | None) -> None:
    result = resume(folder) if folder is not None else run(load(spec or ""))
    found = scores(result)
    _print_result(result, found)
    note_scores(result.folder, found)


def _print_result(result: RunResult, found: list[Score]) -> None:
    names = ("parameters", "GFLOPs", *MEASURES[result.task])
    comparison = table("model", *names, numeric=names)
    for score in found:
        values = ["-" if value is None else f"{value:.3f}" for value in score.measures]
        comparison.add_row(score.name, count(score.params), flops(score.flops), *values)
    console.print()
    console.print(comparison)
    for score in found:
        if score.why:
            console.print(f"{score.name} is not measured: {score.why}")
    console.print(f"\nthe student: {_shown(result.best)}")
    console.print(f"use it:      yolo predict model={_shown(result.best)} source=...")


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
