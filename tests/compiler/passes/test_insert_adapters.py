# ruff: noqa: E501 - rows of tables, with specs and texts as users write and see them
from __future__ import annotations

import pytest

from kdgraph.compiler.passes.insert_adapters import InsertAdapters, tap_of, tap_shape
from kdgraph.graph.ir import Adapter, DistillGraph, Tap, Term
from tests.compiler.passes.helpers import applied, until
from tests.toys import graph, toy

X = "\N{MULTIPLICATION SIGN}"


def adapted(edges: str, width: int = 16) -> tuple[DistillGraph, tuple[str, ...]]:
    result = applied(InsertAdapters(), until(InsertAdapters, graph(edges, teacher=toy(width, seed=1))))
    return result.graph, result.notes


def chain(graph: DistillGraph, term: str) -> list[Adapter]:
    """The adapters between the student's tap and the term, the tap's first."""
    found, key = [], graph.source(f"term:{term}", "student")
    while key is not None and isinstance(vertex := graph[key], Adapter):
        found.insert(0, vertex)
        key = graph.source(key, "student")
    return found


def test_before_and_after() -> None:
    before = until(InsertAdapters, graph("  neck: {taps: neck.p3, criterion: cwd}"))
    assert before.inputs("term:neck.p3")[0] == ("student", "tap:neck:student.neck.p3")
    result = applied(InsertAdapters(), before)
    after = result.graph
    assert after.source("term:neck.p3", "student") == "adapter:neck.p3.conv1x1"
    assert after.inputs("adapter:neck.p3.conv1x1") == [
        ("student", "tap:neck:student.neck.p3"), ("teacher", "tap:neck:teacher.neck.p3"),
    ]  # fmt: skip
    assert after.source("term:neck.p3", "teacher") == "tap:neck:teacher.neck.p3"
    assert after.of(Adapter)["adapter:neck.p3.conv1x1"] == Adapter("neck.p3.conv1x1", "conv1x1", (), (16, 32))
    assert result.notes == (f"neck.p3: conv1x1, 16{X}8{X}12 → 32{X}8{X}12",)


def test_equal_shapes_need_nothing() -> None:
    graph, notes = adapted(
        "  neck: {taps: neck.*, criterion: cwd}\n  cls: {taps: head.cls, criterion: qfl}", 8
    )
    assert (graph.of(Adapter), notes) == ({}, ())


@pytest.mark.parametrize(
    ("edge", "kinds"),
    [
        ("{taps: neck.p3, criterion: cwd}", [("conv1x1", (), (16, 32))]),
        ("{taps: neck.p3, criterion: sl2}", [("mlp", (), (16, 32))]),
        ("{taps: neck.p3, criterion: cwd, adapter: {conv1x1: {norm: true}}}", [("conv1x1", (("norm", True),), (16, 32))]),
        ("{taps: neck.p3, criterion: cwd, adapter: mlp}", [("mlp", (), (16, 32))]),
        ("{taps: {student: [model.4, model.2], teacher: [model.2, model.4]}, criterion: cwd}", [("conv1x1", (), (32, 64))]),
        ("{taps: head.cls.p3, criterion: bce}", []),
    ],
)  # fmt: skip
def test_kinds(edge: str, kinds: list[object]) -> None:
    graph, _ = adapted(f"  e: {edge}")
    (*_, term) = graph.of(Term)
    found = chain(graph, term.removeprefix("term:"))
    assert [(a.kind, a.options, a.channels) for a in found] == kinds


def test_other_sizes_are_resized_on_the_smaller_side_of_the_convolution() -> None:
    taps = "{student: [model.2, model.4, neck.p3], teacher: [model.4, model.2, neck.p3]}"
    # two at one level, so that they are paired in their order
    graph, notes = adapted(f"  e: {{taps: {taps}, criterion: mimic}}", 24)
    assert [a.kind for a in chain(graph, "e.model.2")] == ["resize", "conv1x1"]
    assert [a.kind for a in chain(graph, "e.p4")] == ["conv1x1", "resize"]
    assert notes[0] == f"e.model.2: resize and conv1x1, 16{X}8{X}12 → 96{X}4{X}6"


def test_identity_is_taken_at_its_word_and_left_to_be_checked() -> None:
    graph, _ = adapted("  e: {taps: neck.p3, criterion: cwd, adapter: identity}")
    assert not graph.of(Adapter)


def test_logits_keep_their_channels() -> None:
    student, teacher = toy(nc=3), toy(16, nc=5)
    pair = until(InsertAdapters, graph("  e: {taps: head.cls.*, criterion: bce}", student, teacher))
    assert not applied(InsertAdapters(), pair).graph.of(Adapter)


def test_taps_and_shapes_behind_adapters() -> None:
    graph, _ = adapted("  e: {taps: neck.p3, criterion: cwd}")
    tap = graph[tap_of(graph, "term:e.p3", "student")]
    assert isinstance(tap, Tap)
    assert tap.role == "student"
    assert tap_shape(graph, "term:e.p3", "student") == (2, 16, 8, 12)
    assert tap_shape(graph, "term:e.p3", "teacher") == (2, 32, 8, 12)
