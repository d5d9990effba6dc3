from __future__ import annotations

import pytest

from kdgraph.compiler.passes.prune import Prune
from kdgraph.graph.ir import DistillGraph, Input, Op, Tap
from tests.compiler.passes.helpers import applied, until
from tests.toys import graph, toy

CLS, BOX = "model.11.cv3.", "model.11.cv2."


def pruned(edges: str, teacher: object = None, **top: str) -> DistillGraph:
    return applied(Prune(), until(Prune, graph(edges, teacher=teacher, **top))).graph  # type: ignore[arg-type]


def paths(graph: DistillGraph, role: str) -> list[str]:
    return [op.path for op in graph.ops(role).values()]  # type: ignore[arg-type]


def test_an_edge_of_the_neck_needs_no_teacher_head() -> None:
    before = until(Prune, graph("  e: {taps: neck.p3, criterion: cwd}"))
    result = applied(Prune(), before)
    left = paths(result.graph, "teacher")
    assert not [p for p in left if p.startswith("model.11")]
    assert left[-1].startswith("model.7"), "nothing after the tap"
    assert result.graph.output("teacher") is None
    gone = len(before.ops("teacher")) - len(result.graph.ops("teacher"))
    assert result.notes[0] == "student: 3 nodes", "the distances that no edge reads"
    assert result.notes[1].startswith(f"teacher: {gone} nodes, with all of ")
    assert {"model.11.cv2", "model.11.cv3"} <= set(result.notes[1].replace(",", "").split())


def test_an_edge_of_the_boxes_needs_no_teacher_class_tower() -> None:
    left = paths(pruned("  e: {taps: head.dfl, criterion: kl}"), "teacher")
    assert not [p for p in left if p.startswith(CLS)]
    assert [p for p in left if p.startswith(BOX)]


def test_a_mask_keeps_what_it_reads() -> None:
    left = paths(pruned("  e: {taps: head.dfl.p3, criterion: kl, mask: teacher_score}"), "teacher")
    assert [p for p in left if p.startswith(CLS + "0")]
    assert not [p for p in left if p.startswith(CLS + "1")]


@pytest.mark.parametrize("edge", ["{taps: neck.p3, criterion: cwd}", "{taps: head.cls, criterion: qfl}"])
def test_the_student_s_head_always_stays(edge: str) -> None:
    before = until(Prune, graph(f"  e: {edge}"))
    left = pruned(f"  e: {edge}").ops("student")
    dead = {key for key, op in before.ops("student").items() if op.path.startswith("head.box")}
    assert set(left) == set(before.ops("student")) - dead


def test_outputs_of_the_spec_are_needs_too() -> None:
    edge = "  e: {taps: neck.p3, criterion: cwd}"
    asked = pruned(edge, outputs="[teacher]")
    assert asked.output("teacher") is not None
    assert [p for p in paths(asked, "teacher") if p.startswith(CLS)]
    assert pruned(edge, outputs="[taps]").of(Tap).keys() == pruned(edge).of(Tap).keys()


def test_one_branch_of_an_end_to_end_teacher_can_go() -> None:
    left = paths(pruned("  e: {taps: {student: head.cls, teacher: head.o2o.cls}, criterion: qfl}",
                        toy(16, end2end=True)), "teacher")  # fmt: skip
    assert not [p for p in left if p.startswith(CLS)]
    assert [p for p in left if p.startswith("model.11.one2one_cv3")]


def test_labels_go_with_the_mask_and_images_stay() -> None:
    assert not pruned("  e: {taps: neck.p3, criterion: cwd}").of(Input)
    kept = pruned("  e: {taps: neck.p3, criterion: mimic, mask: foreground}")
    assert [v.name for v in kept.of(Input).values()] == ["batch_idx", "cls", "bboxes"]
    images = [op for op in kept.of(Op).values() if op.node.op == "placeholder"]
    assert [op.role for op in images] == ["student", "teacher"]


def test_nothing_to_remove_is_said_by_silence() -> None:
    once = pruned("  e: {taps: neck.p3, criterion: cwd}")
    again = applied(Prune(), once)
    assert again.notes == ()
    assert list(again.graph.order()) == list(once.order())
