from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdgraph.spec import Spec, parse
from kdgraph.spec.schedule import (
    by_level,
    counts,
    ended,
    factor,
    phase_windows,
    turning_points,
    weights_at,
    weights_of,
    window,
)
from kdgraph.spec.schema import (
    Component,
    ConstantWeight,
    EdgeSpec,
    ModelSpec,
    PhaseSpec,
    ScheduleWeight,
    TapSpec,
    TeacherSpec,
)


def edge(**fields: Any) -> EdgeSpec:
    return EdgeSpec(
        name="neck",
        taps=TapSpec(student=("neck.*",), teacher=("neck.*",)),
        criterion=Component(name="mimic"),
        mask=(Component(name="all"),),
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
times = st.floats(-1, 250)


@st.composite
def phased(draw: st.DrawFn) -> Spec:
    """A spec whose edge `neck` is named by some of its phases, in any order of their ends."""
    edge, phases = draw(edges), []
    untils = [*draw(st.lists(moments, max_size=4)), draw(st.none() | moments)]
    for at, until in enumerate(untils[draw(st.integers(0, 1)) :]):
        named = draw(st.sampled_from([("neck",), ("cls",), ("cls", "neck")]))
        phases.append(PhaseSpec(name=f"phase{at}", until=until, edges=named))
    return spec_of(edge, *phases)


def spec_of(edge: EdgeSpec, *phases: PhaseSpec) -> Spec:
    models = {"student": ModelSpec(model="a.yaml"), "teacher": TeacherSpec(model="b.yaml")}
    return Spec(**models, edges={"neck": edge, "cls": edge}, phases=phases)


def by_text(edges: str, phases: str) -> Spec:
    head = "student: a.yaml\nteacher: b.yaml\nedges:\n"
    lines = "".join(f"  {line.strip()}\n" for line in edges.splitlines())
    return parse(f"{head}{lines}phases: [{phases}]\n")


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
    if start >= 0 and start + 1e-3 < end <= epochs:
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


@given(st.lists(st.floats(0.5, 30), min_size=1, max_size=5), runs, st.floats(0, 1, exclude_max=True))
def test_phases_part_the_run(lengths: list[float], epochs: int, share: float) -> None:
    """Every moment lies in exactly one phase, whatever of them the run has room for."""
    untils = [*itertools.accumulate(lengths), None]
    phases = [PhaseSpec(name=f"p{at}", until=until, edges=("neck",)) for at, until in enumerate(untils)]
    windows = phase_windows(phases, epochs)
    assert windows[0][0] == 0.0
    assert windows[-1][1] == epochs
    assert all(end == start for (_, end), (start, _) in itertools.pairwise(windows))
    assert sum(start <= share * epochs < end for start, end in windows) == 1


@given(phased(), runs, times)
def test_an_edge_counts_in_one_phase_at_most(spec: Spec, epochs: int, epoch: float) -> None:
    windows = phase_windows(spec.phases, epochs)
    now = [phase for phase, (start, end) in zip(spec.phases, windows, strict=True) if start <= epoch < end]
    start, end = window(spec.edges["neck"], epochs)
    assert len(now) <= 1
    in_phase = not spec.phases or any("neck" in phase.edges for phase in now)
    assert counts(spec, "neck", epoch, epochs) == (in_phase and start <= epoch < end)


@given(phased(), runs, times)
def test_no_weight_exactly_when_it_does_not_count(spec: Spec, epochs: int, epoch: float) -> None:
    constant = spec.edges["neck"].model_copy(update={"weight": ConstantWeight(value=2.0), "warmup": 0.0})
    spec = spec.model_copy(update={"edges": {"neck": constant}})
    expected = 2.0 if counts(spec, "neck", epoch, epochs) else 0.0
    assert weights_of(spec, "neck", ("p3", "p4"), epoch, epochs) == (expected, expected)


@given(phased(), runs, times)
def test_where_it_counts_its_weight_is_its_own(spec: Spec, epochs: int, epoch: float) -> None:
    calm = spec.edges["neck"].model_copy(update={"warmup": 0.0})
    own = weights_at(calm, ("p3",), epoch, epochs)
    now = weights_of(spec.model_copy(update={"edges": {"neck": calm}}), "neck", ("p3",), epoch, epochs)
    assert now == (own if counts(spec, "neck", epoch, epochs) else (0.0,))


def test_a_warmup_begins_with_the_phase_and_goes_on_over_adjoining_ones() -> None:
    spec = by_text(
        "a: {taps: neck.*, criterion: cwd, warmup: 4}\nb: {taps: neck.*, criterion: pkd}",
        "{name: one, until: 10, edges: [b]}, {name: two, until: 12, edges: [a]}, "
        "{name: three, until: 20, edges: all}, {name: four, until: 30, edges: [b]}, {name: five, edges: [a]}",
    )
    moments = (9, 10, 11, 12, 13, 14, 19, 20, 30, 31, 34)
    found = [weights_of(spec, "a", ("p3",), epoch, 100)[0] for epoch in moments]
    assert found == [0, 0, 0.25, 0.5, 0.75, 1, 1, 0, 0, 0.25, 1]


@given(phased(), runs, times, st.lists(st.floats(0, 250), max_size=8))
def test_what_has_ended_stays_ended_without_weight(
    spec: Spec, epochs: int, epoch: float, later: list[float]
) -> None:
    if ended(spec, "neck", epoch, epochs):
        for moment in [epoch, *(epoch + wait for wait in later)]:
            assert ended(spec, "neck", moment, epochs)
            assert weights_of(spec, "neck", ("p3",), moment, epochs) == (0.0,)


@given(phased(), runs)
def test_every_edge_ends_with_the_run(spec: Spec, epochs: int) -> None:
    assert ended(spec, "neck", float(epochs), epochs)


@given(phased(), runs, times)
def test_an_edge_that_counts_has_not_ended_unless_its_weight_is_gone(
    spec: Spec, epochs: int, epoch: float
) -> None:
    weight = spec.edges["neck"].weight
    assert isinstance(weight, ScheduleWeight)
    if weight.to > 0 and counts(spec, "neck", epoch, epochs):
        assert not ended(spec, "neck", epoch, epochs)


FROM_ONE_TO_NONE = "weight: {linear: {from: 1, to: 0, epochs: [0, 40]}}"


@pytest.mark.parametrize(
    ("extra", "phases", "expected"),
    [
        ("", "{name: a, edges: all}", [(0, 100)]),
        ("until: 50", "{name: a, edges: all}", [(0, 50)]),
        ("", "{name: a, until: 60, edges: b}, {name: b, edges: all}", [(60, 100)]),
        ("", "{name: a, until: 30, edges: e}, {name: b, until: -20, edges: b}, {name: c, edges: all}", None),
        ("from: 10", "{name: a, until: 30, edges: all}", [(10, 30)]),
        (FROM_ONE_TO_NONE, "{name: a, edges: all}", [(0, 40)]),
        ("weight: {linear: {from: 1, to: 0.1, epochs: [0, 40]}}", "{name: a, edges: all}", [(0, 100)]),
    ],
)
def test_phases_by_hand(extra: str, phases: str, expected: list[tuple[float, float]] | None) -> None:
    extra = f", {extra}" if extra else ""
    rest = "b: {taps: neck.*, criterion: mimic, until: 90}"
    spec = by_text(f"e: {{taps: neck.*, criterion: mimic{extra}}}\n{rest}", phases)
    stretches = expected or [(0, 30), (80, 100)]
    for epoch in range(100):
        [weight] = weights_of(spec, "e", ("p3",), epoch, 100)
        assert (weight > 0) == any(start <= epoch < end for start, end in stretches), epoch
        assert ended(spec, "e", epoch, 100) == (epoch >= stretches[-1][1]), epoch


def test_without_phases_an_edge_counts_within_its_own_epochs() -> None:
    spec = spec_of(edge(from_=10, until=20))
    assert [counts(spec, "neck", epoch, 100) for epoch in (9.9, 10, 19.9, 20)] == [False, True, True, False]
    assert [ended(spec, "neck", epoch, 100) for epoch in (0, 19.9, 20)] == [False, False, True]


def test_an_edge_that_has_no_moment_in_this_run_has_ended_from_the_start() -> None:
    spec = spec_of(edge(from_=50))
    assert ended(spec, "neck", 0, 20)
    assert not ended(spec, "neck", 0, 60)
