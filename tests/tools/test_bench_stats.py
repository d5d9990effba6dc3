from __future__ import annotations

import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

seconds = st.lists(st.floats(0.01, 10), min_size=1, max_size=30)


def test_summary_is_that_of_the_standard_library() -> None:
    from bench_stats import summary

    times = [random.Random(0).random() for _ in range(41)]
    quartiles = statistics.quantiles(times, n=4, method="inclusive")
    found = summary(times)
    assert [found.q25_s, found.median_s, found.q75_s] == pytest.approx(quartiles)
    assert found.steps == 41


@given(seconds, st.floats(0.1, 10))
def test_what_slows_all_steps_alike_is_the_ratio_itself(base: list[float], factor: float) -> None:
    """Rounds are drawn as pairs: with each of them times the factor there is nothing left to spread."""
    from bench_stats import ratio

    found = ratio([factor * value for value in base], base, resamples=50)
    assert list(found) == pytest.approx([factor] * 3)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    from bench_stats import ratio

    random_ = random.Random(1)
    held = 0
    for _ in range(200):
        speed = [random_.lognormvariate(0, 0.5) for _ in range(40)]  # of the machine, round by round
        ours = [0.8 * s * random_.lognormvariate(0, 0.05) for s in speed]
        base = [s * random_.lognormvariate(0, 0.05) for s in speed]
        low, high = ratio(ours, base, resamples=300)[1:]
        held += low <= 0.8 <= high
    assert 0.88 * 200 <= held <= 200


def test_steps_that_are_no_pairs() -> None:
    from bench_stats import ratio

    with pytest.raises(ValueError, match="2 and 3 steps"):
        ratio([1.0, 2.0], [1.0, 2.0, 3.0])
