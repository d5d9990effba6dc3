"""Median, spread, and ratios of medians with confidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

__all__ = ["Ratio", "Times", "ratio", "summary"]


class Times(NamedTuple):
    """Seconds of one step: the median, and the quartiles around it."""

    median_s: float
    q25_s: float
    q75_s: float
    steps: int


class Ratio(NamedTuple):
    """A ratio of two medians, and its interval of 95 %."""

    value: float
    low: float
    high: float


def summary(seconds: Sequence[float]) -> Times:
    low, median, high = np.quantile(np.asarray(seconds), (0.25, 0.5, 0.75)).tolist()
    return Times(median, low, high, len(seconds))


def ratio(ours: Sequence[float], base: Sequence[float], resamples: int = 2000) -> Ratio:
    """median(ours) / median(base), with a percentile bootstrap over rounds.

    `ours[i]` and `base[i]` are of the same round and are drawn together, so that what slows a whole round
    counts on both sides. Raises ValueError when there are not as many of one as of the other.
    """
    one, other = np.asarray(ours, dtype=float), np.asarray(base, dtype=float)
    if one.shape != other.shape or not one.size:
        raise ValueError(f"{one.size} and {other.size} steps cannot be paired")
    rounds = np.random.default_rng(0).integers(0, one.size, (resamples, one.size))
    drawn = np.median(one[rounds], axis=1) / np.median(other[rounds], axis=1)
    low, high = np.quantile(drawn, (0.025, 0.975)).tolist()
    return Ratio(float(np.median(one) / np.median(other)), low, high)
