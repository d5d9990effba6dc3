"""The frozen teacher needs no batch norms."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from kdgraph.compiler.passes.base import Pass, PassResult
from kdgraph.graph.ir import DistillGraph, Op


class FoldTeacher(Pass):
    """Moves the teacher's batch norms into the convolutions before them, where nothing else reads those.

    before: conv ─▶ bn ─▶ act              after: conv' ─▶ act

    The student's batch norms stay: they learn.
    """

    name = "fold_teacher"

    def run(self, graph: DistillGraph) -> PassResult:
        graph = graph.copy()
        folded = 0
        for key, op in graph.ops("teacher").items():
            source = graph.source(key, "arg")
            if (
                isinstance(op.module, nn.BatchNorm2d)
                and op.module.running_var is not None
                and source
                and _foldable(graph, source)
            ):
                _fold(graph, source, key, op.module)
                folded += 1
        return PassResult(graph, (f"{folded} batch norms folded into convolutions",) if folded else ())


def _foldable(graph: DistillGraph, key: str) -> bool:
    op = graph[key]
    if not (isinstance(op, Op) and isinstance(op.module, nn.Conv2d)) or op.folded is not None:
        return False
    calls = [other for other in graph.ops("teacher").values() if other.module is op.module]
    # A convolution that is called twice has one weight for both calls.
    return len(graph.users(key)) == 1 and len(calls) == 1


def _fold(graph: DistillGraph, conv: str, norm: str, module: nn.BatchNorm2d) -> None:
    op, before = graph[norm], graph[conv]
    assert isinstance(op, Op)
    assert isinstance(before, Op)
    assert isinstance(before.module, nn.Conv2d)
    params = before.module.weight.numel() + before.module.out_channels
    graph.update(conv, folded=module, facts=replace(before.facts, params=params))
    graph.replace_with(norm, conv)
