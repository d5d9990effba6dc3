"""What the student keeps for its backward, it keeps once."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from kdgraph.compiler.passes.base import Pass, PassResult
from kdgraph.graph.ir import DistillGraph, Op


class FuseStudent(Pass):
    """Joins the student's batch norms with the SiLUs behind them, where nothing else reads the norm.

    before: conv ─▶ x ─▶ bn ─▶ y ─▶ act      after: conv ─▶ x ─▶ bn+act

    Between forward and backward a student holds what each step reads. Joined, the two hold x, and y is
    computed again: a third less of what a convolutional student keeps. The modules stay the student's own;
    hooks of an activation are called no more.
    """

    name = "fuse_student"

    def run(self, graph: DistillGraph) -> PassResult:
        graph = graph.copy()
        pairs = [(key, norm) for key in graph.ops("student") if (norm := _norm_before(graph, key))]
        for key, norm in pairs:
            before, after = _op(graph, norm), _op(graph, key)
            params = before.facts.params + after.facts.params
            graph.update(key, norm=str(before.node.target), facts=replace(after.facts, params=params))
            graph.replace_with(norm, graph.sources(norm, "arg")[0])
        notes = (
            (f"student: {len(pairs)} batch norms joined with the activations behind them",) if pairs else ()
        )
        return PassResult(graph, notes)


def _norm_before(graph: DistillGraph, key: str) -> str | None:
    """The batch norm that nothing but this SiLU reads."""
    source = graph.source(key, "arg")
    if source is None or source in graph.shared or graph.users(source) != [key]:
        return None
    kinds = [type(v.module) if isinstance(v := graph[part], Op) else None for part in (source, key)]
    return source if kinds == [nn.BatchNorm2d, nn.SiLU] else None


def _op(graph: DistillGraph, key: str) -> Op:
    op = graph[key]
    assert isinstance(op, Op)
    return op
