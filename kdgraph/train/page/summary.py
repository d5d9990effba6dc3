"""Tables of models, epochs and edges."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from kdgraph.compiler.api import Plan
from kdgraph.train.edge_log import TASK
from kdgraph.train.page.curves import edge_colours
from kdgraph.train.page.markup import flops, mark, note, number, params, percent, table
from kdgraph.train.page.outcome import best_epoch, measured_rows, models, spoken
from kdgraph.train.page.records import Run
from kdgraph.train.report import MEASURES, Score

__all__ = ["summary"]


def summary(run: Run, planned: Plan | None) -> str:
    """Models, epochs and edges, as far as there is anything to tell of them."""
    return "\n".join(part for part in (_compared(run, planned), _epochs(run), _edges(run)) if part)


def _compared(run: Run, planned: Plan | None) -> str:
    columns = ("model", "parameters", "GFLOPs", *MEASURES[run.task])
    rows = [_row(score) for score in models(run, planned)]
    told = [f"{score.name} is not measured: {score.why}" for score in run.scores if score.why]
    notes = "".join(map(note, [*told, _how_measured(run)]))
    return table(columns, rows, numeric=columns[1:]) + notes if rows else notes


def _how_measured(run: Run) -> str:
    if run.scores:
        return (
            "The student's best checkpoint and its teachers, on the validation images after the run. What "
            "the student reaches without a teacher is not among them: the gain is known once it was trained "
            "alone with the same arguments."
        )
    if run.ended:
        return "The folder has no scores.json: the teachers were not measured. Sizes are the compiler's."
    return "Teachers are measured when the run ends. Sizes are the compiler's."


def _row(score: Score) -> list[str]:
    sizes = [params(score.params), flops(score.flops)]
    return [f"<b>{escape(score.name)}</b>", *sizes, *map(number, score.measures)]


def _epochs(run: Run) -> str:
    """Everything that results.csv says of the best epoch and of the last."""
    best, rows = best_epoch(run), measured_rows(run)
    if best is None:
        return note("No epoch has been validated yet.")
    names = [name for name in rows[best] if name.startswith(("metrics/", "val/"))]
    columns = ("epoch", *map(spoken, names))
    kinds = {best: f"best ({best})", max(rows): f"last ({max(rows)})"}
    if len(kinds) == 1:
        kinds = {best: f"best and last ({best})"}
    body = [[kind, *(number(rows[epoch].get(name)) for name in names)] for epoch, kind in kinds.items()]
    return "<h3>Validation of the student</h3>\n" + table(columns, body, numeric=columns[1:])


def _edges(run: Run) -> str:
    if not run.edges:
        return ""
    columns = ("edge", "criterion", "taps", "first loss", "last loss", "weighted", "gradient share")
    colours = edge_colours(run)
    rows = [_edge(run, name, colours) for name in run.edges]
    told = "Means over the first and the last epoch of each; weighted loss and share are the last one's."
    return "<h3>Edges</h3>\n" + table(columns, rows, numeric=columns[3:]) + note(told)


def _edge(run: Run, name: str, colours: Mapping[str, int]) -> list[str]:
    rows = run.edges[name]
    first, last = rows[min(rows)], rows[max(rows)]
    values = [number(first.loss), number(last.loss), number(last.weighted), percent(last.share)]
    own = "the student's own loss" if name == TASK else name
    return [mark(colours[name], own), *_told(run, name), *values]


def _told(run: Run, name: str) -> tuple[str, str]:
    """Criterion and taps of an edge; empty where the spec has no such edge, as before a recipe is fitted."""
    edge = run.spec.edges.get(name) if run.spec else None
    if edge is None:
        return "", ""
    taps = dict.fromkeys((", ".join(edge.taps.student), ", ".join(edge.taps.teacher)))
    return escape(edge.criterion.name), f"<code>{escape(' ← '.join(taps))}</code>"
