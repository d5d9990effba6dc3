from __future__ import annotations

import pytest

from kdgraph.compiler.passes.merge_taps import MergeTaps
from kdgraph.graph.ir import Adapter, Align, DistillGraph, Signal, Splice, Tap, Term
from tests.compiler.passes.helpers import applied, until
from tests.toys import graph, toy


def merged(edges: str) -> tuple[DistillGraph, tuple[str, ...]]:
    result = applied(MergeTaps(), until(MergeTaps, graph(edges)))
    return result.graph, result.notes


def test_two_edges_on_one_tap_read_it_once() -> None:
    edges = "  a: {taps: neck.p3, criterion: cwd}\n  b: {taps: neck.p3, criterion: pkd}"
    before = until(MergeTaps, graph(edges))
    assert (len(before.of(Tap)), len(before.of(Adapter))) == (4, 2)
    graph_, notes = merged(edges)
    assert list(graph_.of(Tap)) == ["tap:a:student.neck.p3", "tap:a:teacher.neck.p3"]
    assert list(graph_.of(Adapter)) == ["adapter:a.p3.conv1x1"]
    assert graph_.inputs("term:b.p3") == [
        ("teacher", "tap:a:teacher.neck.p3"), ("student", "adapter:a.p3.conv1x1"),
    ]  # fmt: skip
    assert notes == (
        "tap:b:student.neck.p3 is tap:a:student.neck.p3",
        "tap:b:teacher.neck.p3 is tap:a:teacher.neck.p3",
        "adapter:b.p3.conv1x1 is adapter:a.p3.conv1x1",
    )
    assert graph_.resolve("adapter:b.p3.conv1x1") == "adapter:a.p3.conv1x1"


def test_a_node_under_two_names_is_one_tap() -> None:
    graph, _ = merged("  a: {taps: neck.p3, criterion: cwd}\n  b: {taps: model.7.cv2.act, criterion: pkd}")
    assert len(graph.of(Tap)) == 2


def test_equal_masks_are_computed_once() -> None:
    graph, _ = merged(
        "  a: {taps: neck.*, criterion: mimic, mask: foreground}\n"
        "  b: {taps: head.cls.*, criterion: bce, mask: foreground}\n"
        "  c: {taps: head.cls, criterion: qfl, mask: foreground}\n"
        "  d: {taps: head.dfl.*, criterion: kl, mask: teacher_score}\n"
        "  e: {taps: neck.*, criterion: cosine, mask: teacher_score}"
    )
    kinds = [signal.kind for signal in graph.of(Signal).values()]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "assign": 1, "level": 2, "foreground": 3, "teacher_score": 2,
    }  # fmt: skip
    assert graph.sources("foreground:c.head.cls", "target") == ["assign:a.p3"]
    assert graph.source("term:b.p4", "mask") == graph.source("term:a.p4", "mask")


def test_one_assignment_serves_masks_labels_and_boxes_of_all_edges() -> None:
    graph, _ = merged(
        "  a: {taps: neck.*, criterion: mimic, mask: [foreground, teacher_score]}\n"
        "  b: {taps: head.cls, criterion: dkd}\n"
        "  c: {taps: head.dfl, criterion: ddf, mask: background}\n"
        "  d: {taps: head.cls.*, criterion: rank, mask: pyramid}"
    )
    assert [s.kind for s in graph.of(Signal).values()].count("assign") == 1


def test_equal_splices_are_computed_once() -> None:
    edge = "{taps: head.cls.*, splice: head.cls.*.0"
    graph, notes = merged(
        f"  a: {edge}, criterion: qfl}}\n  b: {edge}, criterion: bce}}\n"
        "  c: {taps: head.cls.p3, splice: {at: head.cls.p3.0, standardise: false}, criterion: bce}"
    )
    assert list(graph.of(Splice)) == ["splice:a.p3", "splice:a.p4", "splice:c.p3"]
    assert graph.source("term:a.p3", "student") == graph.source("term:b.p3", "student")
    spliced = [key for key, op in graph.ops("teacher").items() if op.splice]
    assert len(spliced) == len({key for key in spliced if "b." not in key})
    assert "splice:b.p3 is splice:a.p3" in notes


def test_what_differs_stays_apart() -> None:
    graph, _ = merged(
        "  a: {taps: neck.p3, criterion: mimic, mask: {foreground: {topk: 5}}}\n"
        "  b: {taps: neck.p3, criterion: mimic, mask: foreground, adapter: {conv1x1: {norm: true}}}\n"
        "  c: {taps: neck.p3, criterion: mimic, mask: {foreground: {of: teacher}}, adapter: mlp}\n"
        "  d: {taps: {student: neck.p3, teacher: backbone.p3}, criterion: mimic}"
    )
    assert [signal.kind for signal in graph.of(Signal).values()].count("assign") == 3
    assert len(graph.of(Adapter)) == 4
    assert len(graph.of(Tap)) == 3


def test_terms_are_never_merged() -> None:
    graph, _ = merged("  a: {taps: neck.p3, criterion: cwd}\n  b: {taps: neck.p3, criterion: cwd}")
    assert list(graph.of(Term)) == ["term:a.p3", "term:b.p3"]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_what_a_tap_and_a_signal_bring_together_is_brought_once(order: tuple[int, int]) -> None:
    lines = (
        "  cls: {taps: head.cls, criterion: bce}",
        "  box: {taps: head.box, criterion: iou, mask: top_k}",
    )
    pair = graph("\n".join(lines[i] for i in order), teacher=toy(16, p5=True, seed=1))
    before = until(MergeTaps, pair)
    result = applied(MergeTaps(), before).graph
    kinds = [align.kind for align in result.of(Align).values()]
    assert (len(before.of(Align)), kinds) == (4, ["gathered", "gathered"])  # scores and boxes, once each
    scores = result.source("term:cls.head.cls", "teacher") or ""
    assert result.source("top_k:box.head.box", "teacher_cls") == scores
    assert isinstance(result[result.source(scores, "values") or ""], Tap), "a term knows its tap"
