"""Curves of the edges over the epochs of a run, drawn from the rows of its `edges.csv`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, PercentFormatter

from kdgraph.train.edge_log import TASK, EdgeRow
from kdgraph.train.figures import COLOURS, GREY, HATCHES, HEADING, figure, quietened

__all__ = ["gradient_shares", "loss_curves"]

_WIDE = 30.0  # a loss whose largest value is that many times the smallest is shown on a logarithmic axis


def loss_curves(rows: Sequence[EdgeRow]) -> Figure:
    """One small plot per edge and one for the task: the loss per image, and what of it enters the sum."""
    edges = by_edge(rows)
    columns = min(len(edges), 5 if len(edges) > 12 else 4 if len(edges) > 6 else 3)
    height = math.ceil(len(edges) / columns)
    drawn = figure(max(3.0 * columns, 5.0), 2.1 * height + 1.0, "Losses of the edges")
    grid = drawn.subplots(height, columns, squeeze=False)
    for axes in grid.flat[len(edges) :]:
        axes.set_visible(False)
    few = len({row.epoch for row in rows}) < 25
    style: dict[str, Any] = {"marker": "o", "markersize": 3, "clip_on": False} if few else {}
    for axes, (name, own) in zip(grid.flat, edges.items(), strict=False):
        _losses(axes, name, own, style)
        axes.set_xlim(*_limits(rows))
    for axes in grid.flat[max(len(edges) - columns, 0) : len(edges)]:  # those with nothing below
        axes.set_xlabel("epoch", fontsize=8)
    lines = [line for axes in grid.flat for line in axes.get_lines()]
    legend = {str(line.get_label()): line for line in lines}
    drawn.legend(
        legend.values(), legend.keys(), loc="outside lower center", ncols=3, frameon=False, fontsize=9
    )
    return drawn


def _losses(axes: Any, name: str, rows: Sequence[EdgeRow], style: Mapping[str, Any]) -> None:
    epochs = [row.epoch for row in rows]
    if name == TASK:
        axes.plot(epochs, [row.loss for row in rows], color=GREY, label="task loss", **style)
    else:
        axes.plot(epochs, [row.loss for row in rows], color=COLOURS[0], label="loss", **style)
        weighted = [row.weighted for row in rows]
        axes.plot(epochs, weighted, color=COLOURS[5], label="weighted", linestyle="--", **style)
    quietened(axes)
    values = [value for row in rows for value in (row.loss, row.weighted) if math.isfinite(value)]
    if values and min(values) > 0 and max(values) > _WIDE * min(values):
        axes.set_yscale("log")
    elif values and min(values) >= 0:
        axes.set_ylim(0, 1.08 * max(values) or 1.0)
    axes.set_title(_short(name), fontsize=9, loc="left")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True, min_n_ticks=1))


def gradient_shares(rows: Sequence[EdgeRow]) -> Figure:
    """Stacked areas: of all gradients that enter the student, the share of each edge and of the task."""
    edges, epochs = by_edge(rows), sorted({row.epoch for row in rows})
    columns = math.ceil(len(edges) / 16)
    drawn = figure(8.5 + 1.6 * (columns - 1), 4.6)
    axes = drawn.subplots()
    found = [{row.epoch: row.share for row in own} for own in edges.values()]
    heights = [[_number(own.get(epoch, 0.0)) for epoch in epochs] for own in found]
    styles = _styles(edges)
    _stack(axes, epochs, heights, styles)
    quietened(axes)
    axes.grid(False)
    axes.set_title("Shares of the gradient at the student's parameters", **HEADING, loc="left", pad=10)
    axes.set(ylim=(0, 1), xlim=_limits(rows))
    axes.set_xlabel("epoch", fontsize=9)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True, min_n_ticks=1))
    patches = [Patch(**style, label=_short(name)) for name, style in zip(edges, styles, strict=True)]
    # the order of the areas, from above
    drawn.legend(handles=patches[::-1], loc="outside right upper", ncols=columns, frameon=False, fontsize=8)
    return drawn


def _stack(
    axes: Any, epochs: Sequence[int], heights: Sequence[Sequence[float]], styles: Sequence[Mapping[str, Any]]
) -> None:
    """Areas over epochs, or columns while there is only one."""
    bottom = [0.0] * len(epochs)
    for own, style in zip(heights, styles, strict=True):
        top = [low + height for low, height in zip(bottom, own, strict=True)]
        if len(epochs) == 1:
            axes.bar(epochs, own, bottom=bottom, width=0.5, **style)
        else:
            axes.fill_between(epochs, bottom, top, **style)
        bottom = top


def by_edge(rows: Sequence[EdgeRow]) -> dict[str, list[EdgeRow]]:
    """The rows of each edge, in the order of the file; those of the task come last."""
    names = dict.fromkeys(row.edge for row in sorted(rows, key=lambda row: row.edge == TASK))
    return {name: [row for row in rows if row.edge == name] for name in names}


def _styles(edges: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Grey for the task, for the edges the colours, and with patterns the colours again."""
    styles: list[dict[str, Any]] = []
    for number, name in enumerate(edges):
        turn, place = divmod(number, len(COLOURS))
        colour = GREY if name == TASK else COLOURS[place]
        hatch = "" if name == TASK else HATCHES[turn % len(HATCHES)]
        styles.append({"facecolor": colour, "hatch": hatch, "edgecolor": "white", "linewidth": 0.5})
    return styles


def _limits(rows: Sequence[EdgeRow]) -> tuple[float, float]:
    epochs = [row.epoch for row in rows]
    first, last = min(epochs), max(epochs)
    return (first, last) if last > first else (first - 0.5, first + 0.5)


def _number(value: float) -> float:
    return value if math.isfinite(value) else 0.0


def _short(name: str, longest: int = 28) -> str:
    """A name cut in its middle: names that are long often differ at their end."""
    half = longest // 2
    return name if len(name) <= longest else f"{name[: half - 1]}…{name[-half:]}"
