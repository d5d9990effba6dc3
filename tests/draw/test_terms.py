from __future__ import annotations

import pytest

from kdgraph.compiler.api import plan
from kdgraph.draw.terms import Mark, marks_of, worded
from kdgraph.spec.parse import parse
from kdgraph.spec.schema import Component

MODELS = "student: yolo11n.yaml\nteacher: yolo11s.yaml\nedges:\n"


def marks(edges: str, models: str = MODELS) -> list[Mark]:
    return marks_of(plan(parse(models + edges), weights=False).graph)


def one(edges: str, models: str = MODELS) -> Mark:
    [mark] = marks(edges, models)
    return mark


def test_a_term_says_what_the_spec_says() -> None:
    mark = one("  a: {taps: head.cls.p4, criterion: {bce: {temperature: 2}}, mask: [foreground, top_k]}\n")
    assert (mark.name, mark.edge, mark.level) == ("a.p4", "a", "p4")
    assert (mark.criterion, mark.options, mark.weight, mark.span) == ("bce", "temperature: 2", "1", "")
    assert mark.mask == "foreground (of: student, topk: 10) · top_k (k: 100)"
    assert mark.title == "a: head.cls.p4"


@pytest.mark.parametrize(
    ("written", "weights"),
    [
        ("2", ["2", "2", "2"]),
        ("{p3: 0.4, p4: 0.3, p5: 0.2}", ["0.4", "0.3", "0.2"]),
        ("[1, 2, 3]", ["1", "2", "3"]),
        ("{cosine: {from: 1, to: 0.1}}", ["cosine 1 → 0.1"] * 3),
        ("{linear: {from: 0, to: 2, epochs: [5, 20]}}", ["linear 0 → 2 over epochs 5 to 20"] * 3),
    ],
)
def test_weights_in_words(written: str, weights: list[str]) -> None:
    found = marks(f"  a: {{taps: neck.*, criterion: pkd, weight: {written}}}\n")
    assert [mark.weight for mark in found] == weights


def test_when_an_edge_counts() -> None:
    assert one("  a: {taps: neck.p3, criterion: pkd, from: 5}\n").span == "from epoch 5"
    mark = one("  a: {taps: neck.p3, criterion: pkd, from: 2, until: -10}\n")
    assert mark.span == "from epoch 2 until 10 epochs before the end"
    warm = one("  a: {taps: neck.p3, criterion: pkd, until: 9, warmup: 1}\n")
    assert warm.span == "until epoch 9, warming up over 1 epoch"


def test_phases_in_which_an_edge_counts() -> None:
    phases = "phases: [{name: first, until: 5, edges: [a]}, {name: rest, edges: all}]\n"
    edges = "  a: {taps: neck.p3, criterion: pkd}\n  b: {taps: neck.p4, criterion: pkd}\n"
    assert [mark.span for mark in marks(edges + phases)] == ["", "in phase rest"]


def test_an_adapter_costs_what_it_costs_in_the_distiller() -> None:
    planned = plan(parse(f"{MODELS}  a: {{taps: neck.p4, criterion: mgd}}\n"), weights=False)
    [mark] = marks_of(planned.graph)
    adapters = planned.lower().adapters
    assert mark.adapter_params == sum(p.numel() for p in adapters.parameters()) > 0
    assert mark.adapter == "conv1x1 128 → 256"
    assert mark.adapter_flops == 2 * 128 * 256 * 40 * 40
    assert not one("  a: {taps: head.dfl, criterion: kl}\n").adapter


def test_taps_are_the_nodes_that_are_compared() -> None:
    mark = one("  a: {taps: {student: model.10, teacher: backbone.p5}, criterion: pkd}\n")
    assert [(tap.role, tap.node.name, tap.name) for tap in mark.taps] == [
        ("student", "model_10_cv2_act", "model.10"),
        ("teacher", "model_10_cv2_act", "backbone.p5"),
    ]
    assert mark.title == "a: model.10 ← backbone.p5"


def test_behind_a_splice_the_students_tap_is_where_it_enters() -> None:
    mark = one("  a: {taps: head.cls.p3, splice: head.cls.p3.0, criterion: qfl}\n")
    assert [(tap.role, tap.name) for tap in mark.taps] == [
        ("student", "head.cls.p3.0"),
        ("teacher", "head.cls.p3"),
    ]


def test_a_splice_at_several_levels_is_one_side() -> None:
    mark = one("  a: {taps: head.cls, splice: head.cls.*.0, criterion: qfl}\n")
    assert mark.names("student") == ["head.cls.p3.0", "head.cls.p4.0", "head.cls.p5.0"]
    assert mark.title == "a: head.cls.p3.0, … ← head.cls"
    assert mark.adapter_params > 0  # in front of the splice


def test_an_average_has_a_tap_of_each_teacher() -> None:
    models = "student: yolo11n.yaml\nteachers: {a: yolo11s.yaml, b: yolov8n.yaml}\nedges:\n"
    mark = one("  e: {taps: head.cls, criterion: qfl, teacher: [a, b]}\n", models)
    assert [tap.role for tap in mark.taps] == ["student", "a", "b"]


def test_across_families_alignments_are_looked_through() -> None:
    models = "student: yolo11n.yaml\nteacher: {model: yolo26s-p2.yaml, imgsz: 960}\nedges:\n"
    mark = one("  e: {taps: head.cls, criterion: qfl}\n", models)
    assert [(tap.role, tap.name) for tap in mark.taps] == [("student", "head.cls"), ("teacher", "head.cls")]


def test_a_component_in_words() -> None:
    assert worded(Component(name="all")) == "all"
    assert worded(Component(name="top_k", options={"k": 5})) == "top_k (k: 5)"
