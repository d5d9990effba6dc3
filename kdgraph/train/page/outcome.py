"""What a run came to, in numbers."""

from __future__ import annotations

from collections.abc import Sequence

from kdgraph.compiler.api import Plan
from kdgraph.train.page.records import Run
from kdgraph.train.report import MEASURES, Score

__all__ = ["best_epoch", "measured_rows", "models", "reached", "spoken"]


def measured_rows(run: Run) -> dict[int, dict[str, float]]:
    """The rows of results.csv whose epoch was validated: without that, Ultralytics writes zeros."""
    return {
        epoch: row
        for epoch, row in run.results.items()
        if any(value != 0 for name, value in row.items() if name.startswith(("metrics/", "val/")))
    }


def best_epoch(run: Run) -> int | None:
    """The first epoch with the highest fitness as Ultralytics defines it: mAP50-95, summed over boxes and
    masks or poses. None before the first validation."""
    rows = measured_rows(run)
    fitness = {
        epoch: sum(value for name, value in row.items() if name.startswith("metrics/mAP50-95("))
        for epoch, row in rows.items()
    }
    return max(sorted(fitness), key=fitness.__getitem__) if fitness else None


def models(run: Run, planned: Plan | None) -> Sequence[Score]:
    """As measured at the end of the run; before that the sizes that the compiler has found, if it could."""
    if run.scores or planned is None:
        return run.scores
    traced = next(account for account in planned.accounts if account.name == "infer_shapes").after
    known = {"student": reached(run)}
    none = (None,) * len(MEASURES[run.task])
    found = [
        Score(role, size.params, size.flops, known.get(role, none))
        for role, size in zip(planned.graph.models, traced, strict=True)
    ]
    return [*found[1:], found[0]]


def reached(run: Run) -> tuple[float | None, ...]:
    """The student's measures in its best epoch."""
    row = run.results.get(best_epoch(run) or 0, {})
    return tuple(row.get(f"metrics/{name}") for name in MEASURES[run.task].values())


def spoken(column: str) -> str:
    """`metrics/mAP50(M)` as `mAP50 of masks`, `val/box_loss` as `box loss`."""
    name = column.partition("/")[2].replace("_", " ")
    for kind, whose in (("(B)", ""), ("(M)", " of masks"), ("(P)", " of poses")):
        name = name.replace(kind, whose)
    return name
