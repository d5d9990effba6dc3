"""Curves over epochs as inline SVG. A band over each epoch tells all its values when the mouse is there."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from kdgraph.train.page.axes import Axis, epochs_axis, shares_axis, values_axis
from kdgraph.train.page.markup import mark, tone

__all__ = ["Series", "areas", "lines"]

_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, 10.0, 8.0, 22.0
_SIZES = {"chart": (460.0, 230.0), "chart small": (300.0, 150.0)}
_DOTS_UP_TO = 20  # epochs that are so few are seen one by one


@dataclass(frozen=True)
class Series:
    """A named curve: epoch -> value. `colour` is for `tone`: 0 is grey."""

    name: str
    values: Mapping[int, float]
    colour: int = 1


def lines(
    title: str, series: Sequence[Series], log: bool = False, alone: bool = False, epochs: Iterable[int] = ()
) -> str:
    """A chart of curves on one axis of values; empty when there is nothing to draw.

    log: the axis may be logarithmic. alone: a small chart of one curve, which the title names. epochs: some
    that the chart has to show even if they have no values.
    """
    frame = _frame(series, alone, log, epochs)
    if frame is None:
        return ""
    x, y, kind = frame
    drawn = [_line(each, x, y, len(_epochs(series)) <= _DOTS_UP_TO) for each in series]
    scale = " (log scale)" if y.log else ""
    return _figure(title + scale, kind, [_grid(x, y), *drawn, _bands(series, x, kind)], series, not alone)


def areas(title: str, series: Sequence[Series]) -> str:
    """Shares from 0 to 1, stacked, the first at the bottom; empty when there is nothing to draw."""
    frame = _frame(series, small=False, log=False)
    if frame is None:
        return ""
    x, _, kind = frame
    y, floor, drawn = shares_axis(_SIZES[kind][1] - _BOTTOM, _TOP), dict.fromkeys(_epochs(series), 0.0), []
    for each in series:
        roof = {epoch: below + _finite(each.values.get(epoch)) for epoch, below in floor.items()}
        drawn.append(_area(each, floor, roof, x, y))
        floor = roof
    return _figure(title, kind, [*drawn, _grid(x, y, percent=True), _bands(series, x, kind)], series, True)


def _frame(
    series: Sequence[Series], small: bool, log: bool, more: Iterable[int] = ()
) -> tuple[Axis, Axis, str] | None:
    epochs, kind = _epochs(series), "chart small" if small else "chart"
    if not epochs:
        return None
    width, height = _SIZES[kind]
    values = [value for each in series for value in each.values.values()]
    x = epochs_axis([*epochs, *more], _LEFT, width - _RIGHT)
    return x, values_axis(values, height - _BOTTOM, _TOP, log), kind


def _epochs(series: Iterable[Series]) -> list[int]:
    return sorted({epoch for each in series for epoch in each.values})


def _finite(value: float | None) -> float:
    return value if value is not None and math.isfinite(value) else 0.0


def _line(series: Series, x: Axis, y: Axis, dots: bool) -> str:
    """The curve, broken where an epoch has no value or one that is not finite."""
    parts: list[str] = []
    places: list[tuple[float, float]] = []
    previous = None
    for epoch, value in sorted(series.values.items()):
        if not math.isfinite(value):
            continue
        places.append((x.at(epoch), y.at(value)))
        parts.append(f"{'L' if previous == epoch - 1 else 'M'}{_place(*places[-1])}")
        previous = epoch
    marks = places if dots else []
    circles = "".join(f'<circle cx="{left:.1f}" cy="{top:.1f}" r="2.5"/>' for left, top in marks)
    return f'<g class="line {tone(series.colour)}"><path d="{" ".join(parts)}"/>{circles}</g>'


def _area(series: Series, floor: Mapping[int, float], roof: Mapping[int, float], x: Axis, y: Axis) -> str:
    epochs = sorted(floor)
    if len(epochs) == 1:  # one epoch has no width of its own
        left, right = x.start, x.end
        upper, lower = y.at(roof[epochs[0]]), y.at(floor[epochs[0]])
        corners = [(left, upper), (right, upper), (right, lower), (left, lower)]
    else:
        corners = [(x.at(epoch), y.at(roof[epoch])) for epoch in epochs]
        corners += [(x.at(epoch), y.at(floor[epoch])) for epoch in reversed(epochs)]
    return f'<path class="area {tone(series.colour)}" d="M{" L".join(_place(*each) for each in corners)} Z"/>'


def _place(left: float, top: float) -> str:
    return f"{left:.1f} {top:.1f}"


def _grid(x: Axis, y: Axis, percent: bool = False) -> str:
    parts = []
    for tick in y.ticks:
        top, text = y.at(tick), f"{tick:.0%}" if percent else y.name(tick)
        parts.append(f'<path d="M{x.start:g} {top:.1f} H{x.end:g}"/>')
        parts.append(f'<text x="{x.start - 6:g}" y="{top + 3.5:.1f}" class="end">{text}</text>')
    for tick in x.ticks:
        parts.append(f'<text x="{x.at(tick):.1f}" y="{y.start + 16:g}" class="mid">{x.name(tick)}</text>')
    return f'<g class="grid">{"".join(parts)}</g>'


def _bands(series: Sequence[Series], x: Axis, kind: str) -> str:
    """Invisible until the mouse is over an epoch; from half-way to its neighbours."""
    epochs, height = _epochs(series), _SIZES[kind][1] - _BOTTOM - _TOP
    middles = [(x.at(one) + x.at(other)) / 2 for one, other in pairwise(epochs)]
    edges = [x.at(epochs[0]) if len(epochs) > 1 else x.start, *middles]
    edges.append(x.at(epochs[-1]) if len(epochs) > 1 else x.end)
    parts = []
    for epoch, (left, right) in zip(epochs, pairwise(edges), strict=True):
        rect = f'<rect x="{left:.1f}" y="{_TOP:g}" width="{right - left:.1f}" height="{height:g}"/>'
        rule = f'<path d="M{x.at(epoch):.1f} {_TOP:g} v{height:g}"/>'
        parts.append(f"<g><title>{escape(_told(epoch, series))}</title>{rect}{rule}</g>")
    return f'<g class="bands">{"".join(parts)}</g>'


def _told(epoch: int, series: Sequence[Series]) -> str:
    known = [f"{each.name}: {each.values[epoch]:.6g}" for each in series if epoch in each.values]
    return "\n".join([f"epoch {epoch}", *known])


def _figure(title: str, kind: str, drawn: Sequence[str], series: Sequence[Series], legend: bool) -> str:
    width, height = _SIZES[kind]
    keys = "".join(mark(each.colour, each.name) for each in series) if legend else ""
    below = f'<div class="legend">{keys}</div>' if legend else ""
    label = escape(title, quote=True)
    return (
        f'<figure class="{kind}"><figcaption>{escape(title)}</figcaption>'
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{label}">{"".join(drawn)}</svg>'
        f"{below}</figure>"
    )
