"""When `compile: auto` compiles, by the clock."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from types import SimpleNamespace

import pytest

from kdgraph.train import compile_choice
from kdgraph.train.compile_choice import Auto, Choice, after, before, obstacle, spoken, wait_for

UNTIMED, TIMED = compile_choice._SKIPPED, compile_choice._TIMED


class Clock:
    """Goes forward by what it is told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def steps(auto: Auto, clock: Clock, seconds: Sequence[float], left: int = 10**6) -> list[Choice]:
    """Ordinary steps that take so long each; what is decided on the way."""
    decided = []
    for taken in seconds:
        choice = auto.begin(True, left, math.inf)
        if choice is not None:
            decided.append(choice)
        clock.now += taken
    return decided


@pytest.mark.parametrize(
    ("left", "wait", "compiled"), [(2000, 100, True), (1999, 100, False), (0, 1, False), (math.inf, 1, True)]
)
def test_a_compilation_may_cost_a_twentieth_of_the_time_left(
    left: float, wait: float, compiled: bool
) -> None:
    assert before(left, wait).compiled is compiled


def test_it_says_what_it_compares() -> None:
    assert before(180, 240).why == (
        "not compiled: about 3 min are left, and compiling would take about 4 min, more than 5 % of that"
    )
    assert before(3.6e4, 240).why == "compiling: about 10.0 h are left, and it takes about 4 min"
    assert after(0.160, 0.120).why == "stays compiled: a step takes 120 ms compiled and 160 ms eager"
    assert after(0.160, 0.158).why == "back to eager: a step takes 158 ms compiled and 160 ms eager"


@pytest.mark.parametrize(("eager", "compiled", "stays"), [(1, 0.96, True), (1, 0.98, False), (1, 1.5, False)])
def test_compiled_steps_must_be_faster_by_more_than_noise(eager: float, compiled: float, stays: bool) -> None:
    assert after(eager, compiled).compiled is stays


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (89, "89 s"), (240, "4 min"), (5399, "90 min"), (9000, "2.5 h")]
)
def test_times_as_one_says_them(seconds: float, words: str) -> None:
    assert spoken(seconds) == words


def test_the_wait_grows_with_the_graph() -> None:
    assert wait_for(600, "cpu") == pytest.approx(210)
    assert 0 < wait_for(600, "cuda") < wait_for(600, "cpu")
    assert math.isnan(wait_for(600, "mps"))


@pytest.mark.parametrize(
    ("given", "device", "why"),
    [
        ({"multi_scale": 0.5}, "cpu", "multi_scale"),
        ({"rect": True}, "cpu", "rect"),
        ({}, "mps", "how long it takes on mps is not known"),
    ],
)
def test_what_speaks_against_it_before_any_step(given: dict[str, object], device: str, why: str) -> None:
    args = SimpleNamespace(**{"multi_scale": 0.0, "rect": False, **given})
    assert why in str(obstacle(args, device))


def test_a_machine_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    args = SimpleNamespace(multi_scale=0.0, rect=False)
    monkeypatch.setattr(compile_choice, "unsupported", lambda device: f"nothing for {device}")
    assert obstacle(args, "cpu") == "nothing for cpu"
    monkeypatch.setattr(compile_choice, "unsupported", lambda device: None)
    assert obstacle(args, "cpu") is None


def test_eager_steps_then_compiled_ones_then_the_faster() -> None:
    clock = Clock()
    auto = Auto(wait=100, clock=clock)
    slow_start = [9.0] * UNTIMED  # the first steps do not count, nor does one that takes far too long
    assert steps(auto, clock, [*slow_start, *[1.0] * (TIMED - 1), 50.0]) == []
    (choice,) = steps(auto, clock, [150.0])  # which compiles
    assert choice.compiled
    assert auto.compiled
    assert not auto.settled
    assert "about 277.8 h are left" in choice.why, "a million steps of a second"
    assert steps(auto, clock, [0.8] * (UNTIMED + TIMED - 1)) == []
    (choice,) = steps(auto, clock, [0.8])
    assert choice.why == "stays compiled: a step takes 800 ms compiled and 1000 ms eager"
    assert auto.compiled
    assert auto.settled


def test_back_to_eager_when_it_gains_nothing() -> None:
    clock = Clock()
    auto = Auto(wait=100, clock=clock)
    first, second = steps(auto, clock, [1.0] * (2 * (UNTIMED + TIMED) + 1))
    assert first.compiled
    assert not second.compiled
    assert auto.settled
    assert not auto.compiled


def test_time_and_steps_that_are_left_both_count() -> None:
    for left, seconds, compiled in [(3000, math.inf, True), (1000, math.inf, False), (3000, 1000, False)]:
        clock = Clock()
        auto = Auto(wait=100, clock=clock)
        decided: list[Choice] = []
        for _ in range(UNTIMED + TIMED + 1):
            choice = auto.begin(True, left, seconds)
            decided += [choice] if choice else []
            clock.now += 1
        assert [choice.compiled for choice in decided] == [compiled]
        assert auto.settled is not compiled


def test_neither_validations_nor_measured_steps_are_timed() -> None:
    clock = Clock()
    auto = Auto(wait=1, clock=clock)
    for number in itertools.count():
        if number % 3 == 2:
            assert auto.pause(10**6) is None
            clock.now += 100  # a validation
        choice = auto.begin(ordinary := number % 3 != 1, 10**6, math.inf)
        if choice is not None:
            break
        clock.now += 1 if ordinary else 30
    assert auto._eager == 1


def test_a_run_of_few_steps_is_told_at_once() -> None:
    auto = Auto(wait=1)
    choice = auto.pause(UNTIMED + TIMED - 1)
    assert choice == Choice(False, f"not compiled: {UNTIMED + TIMED - 1} steps are too few to time them")
    assert auto.settled
    assert Auto(wait=1).pause(UNTIMED + TIMED) is None


def test_what_was_timed_of_an_epoch_counts_in_the_next() -> None:
    clock = Clock()
    auto = Auto(wait=1, clock=clock)
    steps(auto, clock, [1.0] * 11)  # ten of them are over
    assert auto.pause(UNTIMED + TIMED - 10) is None
    assert auto.pause(UNTIMED + TIMED - 11) is not None
