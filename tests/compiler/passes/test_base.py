"""How passes are run: verified, accounted for, their findings gathered."""

from __future__ import annotations

from itertools import pairwise

import pytest

from kdgraph.compiler.passes.base import Pass, PassResult, Sequential, Stats
from kdgraph.compiler.passes.infer_shapes import InferShapes
from kdgraph.compiler.pipeline import PIPELINE, run_passes
from kdgraph.errors import Diagnostic, GraphError
from kdgraph.graph.ir import DistillGraph
from kdgraph.graph.verify import InvariantError
from tests.toys import graph

EDGES = "  neck: {taps: neck.*, criterion: cwd}"


class Finds(Pass):
    """Finds a fault."""

    name = "finds"
    needs_valid = False

    def run(self, graph: DistillGraph) -> PassResult:
        return PassResult(graph, ("looked",), (Diagnostic("KD203", f"fault of {type(self).__name__}"),))


class FindsMore(Finds):
    """Finds another."""


class Breaks(Pass):
    """Loses the output."""

    name = "breaks"

    def run(self, graph: DistillGraph) -> PassResult:
        graph = graph.copy()
        graph.remove([graph.output("student") or ""])
        return PassResult(graph)


def test_findings_are_gathered_until_a_pass_needs_a_valid_graph() -> None:
    with pytest.raises(GraphError) as caught:
        Sequential([Finds(), FindsMore(), Breaks(), Finds()]).run(graph(EDGES))
    assert [d.message for d in caught.value.diagnostics] == ["fault of Finds", "fault of FindsMore"]


def test_findings_of_the_last_pass_are_raised_too() -> None:
    with pytest.raises(GraphError, match="fault of Finds"):
        Sequential([Finds()]).run(graph(EDGES))


def test_a_pass_that_breaks_the_graph_is_named() -> None:
    with pytest.raises(InvariantError, match="after breaks: the student's output is gone"):
        Sequential([Breaks()]).run(graph(EDGES))


def test_accounts_tell_what_each_pass_did() -> None:
    _, accounts = run_passes(graph(EDGES))
    assert [a.name for a in accounts] == [
        "infer_shapes", "resolve_taps", "splice_teacher", "insert_adapters", "check_edges", "merge_taps",
        "prune", "fold_teacher", "overwrite_teacher", "fuse_student", "place",
    ]  # fmt: skip
    assert all(one.after == two.before for one, two in pairwise(accounts))
    assert all(a.summary.endswith(".") and a.seconds >= 0 for a in accounts)
    by_name = {a.name: a for a in accounts}
    student, teacher = by_name["infer_shapes"].after
    assert by_name["prune"].after[1].params < teacher.params
    assert by_name["fold_teacher"].after[1].nodes < by_name["prune"].after[1].nodes
    assert by_name["fold_teacher"].after[0].params == student.params
    assert by_name["infer_shapes"].before == (Stats(student.nodes, 0, 0), Stats(teacher.nodes, 0, 0))


def test_every_pass_says_what_it_does() -> None:
    for step in PIPELINE:
        doc = type(step).__doc__ or ""
        assert "before:" in doc or step.name == "check_edges"
    assert isinstance(PIPELINE[0], InferShapes)
