# ruff: noqa: E501 - rows of tables, with specs and texts as users write and see them
"""Every way in which an edge can make no sense, with its words and its place."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from kdgraph.compiler.passes.check_edges import CheckEdges
from kdgraph.errors import CODES
from kdgraph.graph.ir import DistillGraph
from kdgraph.graph.yolo import trace_model
from tests.compiler.passes.helpers import applied, description, faults, marked, until
from tests.toys import SIZE, graph, spec, toy

X = "\N{MULTIPLICATION SIGN}"
CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any], tuple[str, str, str, str | None]]] = {
    # name: (edge, student, teacher, (code, message, mark, hint))
    "layouts-differ": (
        "{taps: {student: head.cls.*, teacher: neck.*}, criterion: mimic}", {}, {},
        ("KD203", "'head.cls.p3' holds class logits, 'neck.p3' features", "{student: head.cls.*, teacher: neck.*}",
         "tap the same kind of tensor on both sides"),
    ),
    "criterion-of-other-layout": (
        "{taps: neck.*, criterion: kl}", {}, {},
        ("KD203", "criterion 'kl' does not compare features, which 'neck.p3' is", "kl",
         "criteria for it: attention, channel_softmax, cosine, cwd, fgd, gap_mse, gi, gram_mse, mgd, mimic, mmd, pfi, pkd, sl2, spatial_softmax"),
    ),
    "criterion-on-dfl": (
        "{taps: head.dfl, criterion: {qfl: {beta: 2}}}", {}, {},
        ("KD203", "criterion 'qfl' does not compare DFL logits, which 'head.dfl' is", "{qfl: {beta: 2}}",
         "criteria for it: box_l2, ddf, iou, kl, ld, m2d2, mimic"),
    ),
    "criterion-on-boxes": (
        "{taps: head.box.*, criterion: kl}", {}, {},
        ("KD203", "criterion 'kl' does not compare box distances, which 'head.box.p3' is", "kl",
         "criteria for it: box_l2, iou, mimic"),
    ),
    "no-tensor-of-the-teacher": (
        "{taps: {student: model.3, teacher: model.3.chunk}, criterion: mimic}", {}, {},
        ("KD203", "the teacher's tap is no tensor", "{student: model.3, teacher: model.3.chunk}",
         "tap a node that `kdgraph nodes` shows a shape for"),
    ),
    "no-tensors": (
        "{taps: model.3.chunk, criterion: mimic}", {}, {},
        ("KD203", "the student's tap is no tensor", "model.3.chunk", "tap a node that `kdgraph nodes` shows a shape for"),
    ),
    "classes": (
        "{taps: head.cls.*, criterion: bce}", {"nc": 3}, {"nc": 5},
        ("KD204", "the student has 3 classes, the teacher 5, and none have one name", "head.cls.*",
         "say which are the same: `teacher: {model: …, classes: {teacher_name: student_name}}`, train the teacher on "
         "the same data (`teacher: {model: …, train: {epochs: …}}`), or use edges of the neck"),
    ),
    "no-map": (
        "{taps: model.11.view, criterion: pkd}", {}, {},
        ("KD203", f"'model.11.view' is 64{X}64, and pkd compares maps C{X}H{X}W", "model.11.view", None),
    ),
    "identity-on-other-shapes": (
        "{taps: neck.*, criterion: cwd, adapter: identity}", {}, {},
        ("KD203", f"the student's 16{X}8{X}8 at 'neck.p3' does not become the teacher's 32{X}8{X}8 with adapter 'identity'",
         "identity", "use `adapter: auto`, or tap tensors of one shape"),
    ),
    "resize-on-other-channels": (
        "{taps: neck.*, criterion: cwd, adapter: {resize: {mode: nearest}}}", {}, {},
        ("KD203", f"the student's 16{X}8{X}8 at 'neck.p3' does not become the teacher's 32{X}8{X}8 with adapter 'resize'",
         "{resize: {mode: nearest}}", "use `adapter: auto`, or tap tensors of one shape"),
    ),
    "lists-of-weights": (
        "{taps: neck.*, criterion: cwd, weight: [1, 2, 3]}", {}, {},
        ("KD202", "3 weights for 2 levels", "[1, 2, 3]", "its levels are p3, p4"),
    ),
    "weight-of-another-level": (
        "{taps: neck.*, criterion: cwd, weight: {p3: 1, p5: 2}}", {}, {},
        ("KD202", "weights for p3, p5, and levels p3, p4", "{p3: 1, p5: 2}",
         "give each level of the edge a weight, and no other"),
    ),
    "weight-without-level": (
        "{taps: head.cls, criterion: qfl, weight: {p3: 1}}", {}, {},
        ("KD202", "weights for p3, and levels unnamed", "{p3: 1}", "give each level of the edge a weight, and no other"),
    ),
    "mask-of-another-size": (
        "{taps: {student: [neck.p3, backbone.p3], teacher: [neck.p4, backbone.p4]}, criterion: mimic, mask: foreground}",
        {}, {},
        ("KD203", f"mask 'foreground' weighs 8{X}8 cells, and the teacher's tap is 64{X}4{X}4", "foreground",
         "use `mask: all`, or tap maps of the head's levels on both sides"),
    ),
    "mask-on-some-sequence": (
        "{taps: model.11.view, criterion: mimic, mask: teacher_score}", {}, {},
        ("KD203", f"mask 'teacher_score' weighs 80 cells, and the teacher's tap is 64{X}64", "teacher_score",
         "use `mask: all`, or tap maps of the head's levels on both sides"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_each_fault(case: str) -> None:
    edge, student, teacher, (code, message, mark, hint) = CASES[case]
    (fault,) = faults(f"  e: {edge}", toy(**student), toy(16, seed=1, **teacher))
    assert (fault.code, fault.message) == (code, f"edge 'e': {message}")
    assert code in CODES
    assert marked(fault) == mark
    assert fault.span is not None
    assert (fault.span.file, fault.span.line) == ("toy.yaml", 4)
    assert fault.hint == hint


def test_a_student_s_tap_before_anything_that_learns() -> None:
    student, teacher = toy(), toy(16)
    for model, width in ((student, 8), (teacher, 16)):
        pool = torch.nn.AvgPool2d(2)
        pool.i, pool.f = 0, -1
        model.model[0] = pool
        model.model[1].conv = torch.nn.Conv2d(3, width, 3, 2, 1)
    (fault,) = faults("  e: {taps: model.0, criterion: mimic}", student, teacher)
    assert fault.message == "edge 'e': nothing that learns comes before the tap 'model.0'"
    assert (marked(fault), fault.hint) == ("model.0", "tap a later node")


def test_several_edges_are_told_at_once_in_the_order_of_the_file() -> None:
    found = faults(
        "  a: {taps: neck.*, criterion: kl}\n"
        "  fine: {taps: neck.*, criterion: cwd}\n"
        "  b: {taps: neck.*, criterion: cwd, adapter: identity, weight: [1]}\n"
        "  c: {taps: neck.p9, criterion: cwd}\n"
        "  d: {taps: head.cls, criterion: qfl}",
        teacher=toy(16, nc=7),
    )
    assert [(f.code, f.message[:8], f.span and f.span.line) for f in found] == [
        ("KD203", "edge 'a'", 4), ("KD203", "edge 'b'", 6), ("KD202", "edge 'b'", 6), ("KD201", "edge 'c'", 7),
        ("KD204", "edge 'd'", 8),
    ]  # fmt: skip


def test_one_fault_for_all_levels_of_an_edge() -> None:
    assert len(faults("  e: {taps: backbone.*, criterion: bce}")) == 1


def test_named_taps_are_pointed_at_where_the_edge_names_them() -> None:
    from kdgraph.compiler.api import plan
    from kdgraph.errors import GraphError

    text = spec("  e: {taps: deep, criterion: kl}", taps="{deep: neck.*}")
    with pytest.raises(GraphError, match="criterion 'kl' does not compare features"):
        plan(text, student=toy(), teacher=toy(16))


def test_a_tap_that_is_compared_with_itself() -> None:
    alone = spec("  e: {taps: neck.*, criterion: cwd}", teacher="student")
    fresh = DistillGraph(alone, {"student": trace_model(toy())}, SIZE)
    (fault,) = applied(CheckEdges(), until(CheckEdges, fresh)).diagnostics
    assert (fault.code, fault.message) == ("KD203", "edge 'e': 'neck.p3' is compared with itself")
    assert fault.hint == "let a deeper tap teach: `taps: {student: backbone.p4, teacher: neck.p4}`"


def test_what_fits_passes_unchanged() -> None:
    edges = (
        "  neck: {taps: neck.*, criterion: cwd, weight: {p3: 1, p4: 2}}\n"
        "  list: {taps: neck.*, criterion: pkd, weight: [1, 2]}\n"
        "  box: {taps: head.box, criterion: box_l2}\n"
        "  mixed: {taps: head.box.*, criterion: mimic, mask: foreground}\n"
        "  dfl: {taps: head.dfl.*, criterion: kl, mask: teacher_score}\n"
        "  logits: {taps: head.cls.*, criterion: cwd}"
    )
    before = until(CheckEdges, graph(edges))
    result = applied(CheckEdges(), before)
    assert result.notes == ("11 terms of 6 edges fit",)
    assert result.diagnostics == ()
    assert description(result.graph) == description(before)


def test_boxes_of_heads_with_and_without_bins_can_be_compared() -> None:
    before = until(
        CheckEdges, graph("  box: {taps: head.box.*, criterion: box_l2}", teacher=toy(16, reg_max=1))
    )
    assert applied(CheckEdges(), before).diagnostics == ()


NEEDS = {
    # a component's need that is not met: (edge, student, teacher, code, part of the message, what is marked)
    "no-level-for-scores": (
        "{taps: model.0, criterion: pfi}", {}, {},
        "KD203", "criterion 'pfi' is given for p3, p4, and this edge has a tap at p1", "pfi",
    ),
    "scores-of-other-classes": (
        "{taps: neck.*, criterion: pfi}", {}, {"nc": 5},
        "KD204", "criterion 'pfi' compares classes, and the two models have none in common", "pfi",
    ),
    "mask-of-other-classes": (
        "{taps: neck.*, criterion: mimic, mask: score_gap}", {}, {"nc": 5},
        "KD204", "mask 'score_gap' compares classes, and the two models have none in common", "score_gap",
    ),
    "instances-of-other-classes": (
        "{taps: neck.*, criterion: gi}", {}, {"nc": 5},
        "KD204", "criterion 'gi' compares classes, and the two models have none in common", "gi",
    ),
    "assignment-of-other-classes": (
        "{taps: head.dfl, criterion: ddf, mask: {foreground: {of: teacher}}}", {}, {"nc": 5},
        "KD204", "assigns labels by the teacher's scores, and the teacher does not know all classes",
        "{foreground: {of: teacher}}",
    ),
    "splice-of-another-width": (
        "{taps: head.cls.*, splice: head.cls.*.0, criterion: qfl, adapter: identity}", {}, {},
        "KD203", f"the student's 16{X}8{X}8 cannot take the place of the teacher's 32{X}8{X}8 with adapter 'identity'",
        "identity",
    ),
    "one-class-by-itself": (
        "{taps: head.cls, criterion: kl}", {"nc": 1}, {"nc": 1},
        "KD203", "kl compares classes with one another, and there is only one", "kl",
    ),
    "no-bins": (
        "{taps: head.dfl, criterion: m2d2}", {"reg_max": 1}, {"reg_max": 1},
        "KD201", "unknown tap 'head.dfl'", "head.dfl",
    ),
    "distances-are-no-distribution": (
        "{taps: head.box, criterion: ld}", {}, {},
        "KD203", "criterion 'ld' does not compare box distances, which 'head.box' is", "ld",
    ),
    "regions-need-maps": (
        "{taps: head.dfl, criterion: m2d2}", {}, {},
        "KD203", f"'head.dfl' is 64{X}80, and m2d2 compares maps C{X}H{X}W", "head.dfl",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", NEEDS)
def test_what_a_component_needs(case: str) -> None:
    from kdgraph.compiler.api import plan
    from kdgraph.errors import GraphError

    edge, student, teacher, code, message, mark = NEEDS[case]
    models = {"student": toy(**student), "teacher": toy(16, seed=1, **teacher)}
    with pytest.raises(GraphError) as caught:
        plan(spec(f"  e: {edge}"), **models)
    fault = caught.value.diagnostics[0]
    assert fault.code == code
    assert message in fault.message
    assert mark in marked(fault)
