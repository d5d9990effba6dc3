from __future__ import annotations

import pytest

from kdgraph.compiler.api import plan
from kdgraph.compiler.passes.infer_shapes import InferShapes
from kdgraph.errors import GraphError
from kdgraph.graph.ir import Op
from kdgraph.graph.shapes import Facts, infer_facts
from tests.compiler.passes.helpers import applied
from tests.toys import SIZE, graph, spec, toy

EDGES = "  neck: {taps: neck.*, criterion: cwd}"


def test_every_operation_of_both_models_gets_its_facts() -> None:
    fresh = graph(EDGES)
    assert {op.facts for op in fresh.of(Op).values()} == {Facts()}
    result = applied(InferShapes(), fresh)
    for role in ("student", "teacher"):
        expected = infer_facts(fresh.models[role].module, SIZE)
        assert {op.node: op.facts for op in result.graph.ops(role).values()} == dict(expected)
    counts = [len(fresh.models[role].module.graph.nodes) for role in ("student", "teacher")]
    assert result.notes == (
        f"student: {counts[0]} nodes at images of 3\N{MULTIPLICATION SIGN}64\N{MULTIPLICATION SIGN}96",
        f"teacher: {counts[1]} nodes at images of 3\N{MULTIPLICATION SIGN}64\N{MULTIPLICATION SIGN}96",
    )


def test_an_image_size_that_does_not_fit_is_told_once_for_each_model() -> None:
    with pytest.raises(GraphError) as caught:
        plan(spec(EDGES, train="{imgsz: 72}"), student=toy(), teacher=toy(16))
    ours, theirs = caught.value.diagnostics
    assert ours.code == theirs.code == "KD204"
    assert ours.message.startswith("the student cannot take images of 3\N{MULTIPLICATION SIGN}72")
    assert theirs.message.startswith("the teacher cannot take images")
    assert ours.span is not None
    assert ours.span.line == 1
    assert ours.hint == "use 64 or 80"
