"""What `kdgraph check` adds to the passes: a teacher must have something to teach."""

from __future__ import annotations

import pytest

from kdgraph.compiler.api import check
from kdgraph.errors import GraphError
from kdgraph.spec.parse import parse

SPEC = "student: yolo11n.yaml\nteacher: yolo11s.yaml\nedges:\n  neck: {taps: neck.*, criterion: cwd}\n"


def test_a_bare_teacher_is_told_beside_the_edges_mistakes() -> None:
    with pytest.raises(GraphError) as caught:
        check(parse(SPEC.replace("neck.*", "neck.p9")))
    assert [fault.code for fault in caught.value.diagnostics] == ["KD301", "KD201"]
    assert "`teacher: {model: yolo11s.yaml, train: {epochs: 100}}`" in str(caught.value)


@pytest.mark.parametrize("teacher", ["yolo11s.pt", "{model: yolo11s.yaml, train: {epochs: 1}}"])
def test_a_teacher_with_weights_or_to_be_trained_passes(teacher: str) -> None:
    text = SPEC.replace("teacher: yolo11s.yaml", f"teacher: {teacher}\ndata: coco8.yaml")
    assert check(parse(text)).accounts


def test_a_dfl_edge_to_a_head_without_bins_is_told_what_to_compare_instead() -> None:
    text = "student: yolo11n.yaml\nteacher: yolo26n.pt\nedges:\n  dfl: {taps: head.dfl, criterion: kl}\n"
    with pytest.raises(GraphError, match=r"no DFL bins: compare distances, `taps: head.box`"):
        check(parse(text))
