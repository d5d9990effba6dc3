"""Where values stand on a chart, and which of them an axis names."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Axis", "epochs_axis", "shares_axis", "values_axis"]

_LOG_FROM = 40.0  # largest over smallest value: beyond it a linear axis shows only the largest series


@dataclass(frozen=True)
class Axis:
    """Maps values from `low` to `high` onto `start` to `end`, in units of the drawing."""

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]
    log: bool = False

    def at(self, value: float) -> float:
        """The place of a value; one that is below the axis stands at its end."""
        low, high, value = (self._scaled(each) for each in (self.low, self.high, value))
        part = 0.5 if high == low else max(0.0, (value - low) / (high - low))
        return self.start + part * (self.end - self.start)

    def _scaled(self, value: float) -> float:
        return math.log10(max(value, self.low)) if self.log else value

    def name(self, tick: float) -> str:
        return f"{tick:.6g}"


def epochs_axis(epochs: Iterable[int], start: float, end: float) -> Axis:
    """From the first to the last epoch, named at whole epochs."""
    known = sorted(epochs)
    low, high = known[0], known[-1]
    step = max(1, int(_step((high - low) / 6)))
    ticks = tuple(sorted({float(low), *map(float, range(low + -low % step, high + 1, step))}))
    if len(ticks) > 1 and ticks[1] - ticks[0] < step * 0.6:
        ticks = (ticks[0], *ticks[2:])
    return Axis(low, high, start, end, ticks)


def values_axis(values: Iterable[float], start: float, end: float, log: bool) -> Axis:
    """From zero; with `log`, logarithmic where the values differ by too much to be seen side by side."""
    known = [value for value in values if math.isfinite(value)] or [0.0]
    positive = [value for value in known if value > 0]
    if log and positive and min(known) >= 0 and max(known) > _LOG_FROM * min(positive):
        return _log_axis(min(positive), max(known), start, end)
    low, high = min(0.0, *known), max(0.0, *known)
    if low == high:
        high = 1.0
    step = _step((high - low) / 4)
    first, last = math.floor(low / step), math.ceil(high / step - 1e-9)
    ticks = tuple(round(index * step, 12) for index in range(first, last + 1))
    return Axis(ticks[0], ticks[-1], start, end, ticks)


def shares_axis(start: float, end: float) -> Axis:
    """From none to all."""
    return Axis(0.0, 1.0, start, end, (0.0, 0.25, 0.5, 0.75, 1.0))


def _log_axis(low: float, high: float, start: float, end: float) -> Axis:
    low = max(low, high * 1e-6)
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high) - 1e-9)
    every = max(1, math.ceil((last - first) / 5))
    last = first + every * max(1, math.ceil((last - first) / every))
    ticks = tuple(10.0**power for power in range(first, last + 1, every))
    return Axis(10.0**first, 10.0**last, start, end, ticks, log=True)


def _step(rough: float) -> float:
    """The smallest of 1, 2, 5, 10, ... times a power of ten that is not below `rough`."""
    if rough <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * (1 - 1e-9))
