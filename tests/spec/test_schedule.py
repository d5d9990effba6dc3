from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdgraph.spec import parse
from kdgraph.spec.schedule import by_level, factor, turning_points, weights_at, window
from kdgraph.spec.schema import Component, ConstantWeight, EdgeSpec, ScheduleWeight, TapSpec


def edge(**fields: Any) -> EdgeSpec:
    return EdgeSpec(
        name="neck",
        taps=TapSpec(student=("neck.*",), teacher=("neck.*",)),
        criterion=Component(name="mimic"),
        mask=Component(name="all"),
        adapter=Component(name="auto"),
        **fields,
    )


def written(text: str) -> EdgeSpec:
    head = "student: a.yaml\nteacher: b.yaml\nedges:\n  e: {taps: neck.*, criterion: mimic, "
    return parse(f"{head}{text}}}").edges["e"]


amounts = st.floats(0, 1e6)
moments = st.floats(-300, 300)
schedules = st.builds(
    ScheduleWeight,
    kind=st.sampled_from(["linear", "cosine"]),
    from_=amounts,
    to=amounts,
    epochs=st.none() | st.tuples(moments, moments),
)
edges = st.builds(edge, weight=schedules, from_=moments, until=st.none() | moments, warmup=st.floats(0, 300))
runs = st.integers(1, 200)


@given(edges, st.floats(-1, 400), runs)
def test_never_negative_and_never_above_the_larger_end(edge: EdgeSpec, epoch: float, epochs: int) -> None:
    assert isinstance(edge.weight, ScheduleWeight)
    top = max(edge.weight.from_, edge.weight.to)
    assert 0.0 <= factor(edge, epoch, epochs) <= top * (1 + 1e-12)


@given(edges, st.floats(-1, 400), runs)
def test_zero_outside_of_its_window(edge: EdgeSpec, epoch: float, epochs: int) -> None:
    start, end = window(edge, epochs)
    if epoch < start or epoch >= end:
        assert factor(edge, epoch, epochs) == 0.0


@given(schedules, st.lists(st.floats(0, 199.99), min_size=2).map(sorted))
def test_monotone_between_its_ends(schedule: ScheduleWeight, epochs: list[float]) -> None:
    values = [factor(edge(weight=schedule), epoch, 200) for epoch in epochs]
    falling = schedule.from_ >= schedule.to
    slack = 1e-9 * (1 + max(schedule.from_, schedule.to))
    for first, second in itertools.pairwise(values):
        assert second <= first + slack if falling else second >= first - slack


@given(schedules, runs)
def test_starts_and_ends_where_it_says(schedule: ScheduleWeight, epochs: int) -> None:
    start, end = turning_points(schedule, epochs)
    if 0 <= start < end <= epochs:
        assert factor(edge(weight=schedule), start, epochs) == schedule.from_
        just_before = factor(edge(weight=schedule), max(0.0, min(end, epochs - 1e-9)), epochs)
        assert just_before == pytest.approx(schedule.to, rel=1e-6, abs=1e-2)


@given(st.floats(1, 50), st.floats(0, 100))
def test_warmup_grows_from_zero_to_one(warmup: float, epoch: float) -> None:
    warming = edge(warmup=warmup, from_=10)
    value = factor(warming, epoch, 200)
    assert value == (min(1.0, max(0.0, (epoch - 10) / warmup)) if epoch >= 10 else 0.0)


@pytest.mark.parametrize(("epoch", "expected"), [(0, 1.0), (45, 0.55), (89.999, 0.1), (90, 0.1), (99, 0.1)])
@pytest.mark.parametrize("epochs", ["[0, 90]", "[0, -10]"])
def test_cosine_by_hand(epochs: str, epoch: float, expected: float) -> None:
    spec = written(f"weight: {{cosine: {{from: 1, to: 0.1, epochs: {epochs}}}}}")
    assert factor(spec, epoch, 100) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("text", "epochs", "expected"),
    [
        ("until: -10", 100, (0, 90)),
        ("until: -10", 10, (0, 10)),  # too short for a last ten epochs: the edge stays on
        ("until: -10", 3, (0, 3)),
        ("from: -10", 100, (90, 100)),
        ("from: -10", 3, (0, 3)),
        ("from: 5, until: 500", 100, (5, 100)),
        ("weight: 1", 7, (0, 7)),
    ],
)
def test_windows(text: str, epochs: int, expected: tuple[float, float]) -> None:
    assert window(written(text), epochs) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("weight: 2", (2.0, 2.0, 2.0)),
        ("weight: [1, 2, 3]", (1.0, 2.0, 3.0)),
        ("weight: {p5: 3, p3: 1}", (1.0, 0.0, 3.0)),
        ("weight: {linear: {from: 4, to: 0}}", (2.0, 2.0, 2.0)),
        ("weight: [1, 2, 3], warmup: 100", (0.5, 1.0, 1.5)),
    ],
)
def test_weights_of_levels_in_mid_run(text: str, expected: tuple[float, ...]) -> None:
    assert weights_at(written(text), ("p3", "p4", "p5"), 50, 100) == pytest.approx(expected)


def test_levels_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="2 weights for 1 levels"):
        by_level(written("weight: [1, 2]"), ("p3",))
    with pytest.raises(ValueError, match="weight for p6"):
        by_level(written("weight: {p3: 1, p6: 1}"), ("p3", "p4"))


def test_a_constant_weight_does_not_move() -> None:
    assert factor(edge(weight=ConstantWeight(value=7.0)), 3, 10) == 1.0
