"""The section of curves: edges, the student's own losses, validation, learning rates."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from kdgraph.train.edge_log import TASK, EdgeRow
from kdgraph.train.page.charts import Series, areas, lines
from kdgraph.train.page.markup import note
from kdgraph.train.page.outcome import measured_rows, spoken
from kdgraph.train.page.records import Run
from kdgraph.train.training_model import column

__all__ = ["curves", "edge_colours"]

_OWN = "the student's own loss"
_BEFORE, _AFTER = f"train/{column('*')}".split("*")  # an edge's name in results.csv


def curves(run: Run) -> str:
    """Markup of all charts that the folder has numbers for."""
    if not run.results and not run.edges:
        return note("No epoch has ended yet: there is nothing to draw.")
    parts = [_edges(run), _grid("Validation", _validation(run)), _grid("Training", _training(run))]
    return "\n".join(part for part in parts if part)


def edge_colours(run: Run) -> dict[str, int]:
    """Edge -> its colour all over the page; the student's own loss is grey."""
    names = [name for name in (run.edges or _columns(run)) if name != TASK]
    return {TASK: 0, **{name: index + 1 for index, name in enumerate(names)}}


def _edges(run: Run) -> str:
    if not run.edges:
        return _grid("Edges", _weighted_only(run)) + note(
            "edges.csv is not there (no epoch has ended, or the run is of an earlier version): no shares."
        )
    charts = areas("Share of the gradient's norm", _series(run, lambda row: row.share))
    charts += lines("Weighted loss", _series(run, lambda row: row.weighted), log=True)
    return _grid("Edges", charts) + _grid("Each edge's loss, unweighted", _small(run))


def _series(run: Run, value: Callable[[EdgeRow], float]) -> list[Series]:
    """A curve for each edge, the student's own loss at the bottom of a stack."""
    colours = edge_colours(run)
    return [
        Series(_called(name), {epoch: value(row) for epoch, row in run.edges[name].items()}, colours[name])
        for name in sorted(run.edges, key=TASK.__ne__)
    ]


def _small(run: Run) -> str:
    """A chart for each edge, on the epochs of the whole run: so they can be compared."""
    series = [each for each in _series(run, lambda row: row.loss) if each.colour]
    epochs = [epoch for rows in run.edges.values() for epoch in rows]
    return "".join(lines(each.name, [each], alone=True, epochs=epochs) for each in series)


def _called(edge: str) -> str:
    return _OWN if edge == TASK else edge


def _columns(run: Run) -> dict[str, str]:
    """Edge -> its column in results.csv."""
    names = next(iter(run.results.values()), {})
    return {
        name[len(_BEFORE) : -len(_AFTER)]: name
        for name in names
        if name.startswith(_BEFORE) and name.endswith(_AFTER)
    }


def _weighted_only(run: Run) -> str:
    """What an older run kept: the edges' weighted losses in results.csv."""
    colours, columns = edge_colours(run), _columns(run)
    series = [_column(run.results, columns[edge], edge, colours[edge]) for edge in columns]
    return lines("Weighted loss", series, log=True)


def _column(rows: Mapping[int, Mapping[str, float]], column: str, name: str, colour: int) -> Series:
    values = {epoch: row[column] for epoch, row in rows.items() if column in row}
    return Series(name, values, colour)


def _named(rows: Mapping[int, Mapping[str, float]], prefix: str, without: Mapping[str, str]) -> list[Series]:
    """A curve for each column with this prefix, named by the rest of it."""
    first: Mapping[str, float] = next(iter(rows.values()), {})
    names = [name for name in first if name.startswith(prefix) and name not in without.values()]
    return [
        _column(rows, name, spoken(name).removesuffix(" loss"), index + 1) for index, name in enumerate(names)
    ]


def _validation(run: Run) -> str:
    rows = measured_rows(run)
    return lines("Precision, recall, mAP", _named(rows, "metrics/", {})) + lines(
        "Losses on the validation images", _named(rows, "val/", {})
    )


def _training(run: Run) -> str:
    return lines("The student's own losses", _named(run.results, "train/", _columns(run))) + lines(
        "Learning rates", _named(run.results, "lr/", {})
    )


def _grid(title: str, charts: str) -> str:
    return f'<h3>{title}</h3>\n<div class="charts">{charts}</div>\n' if charts else ""
