"""The frozen teacher needs no batch norms."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from kdgraph.compiler.passes.base import Pass, PassResult
from kdgraph.graph.ir import DistillGraph, Op, Role
from kdgraph.spec.schema import follows_student


class FoldTeacher(Pass):
    """Moves the teacher's batch norms into the convolutions before them, where nothing else reads those.

    before: conv ─▶ bn ─▶ act              after: conv' ─▶ act

    The student's batch norms stay: they learn. So do those of its moving average, whose weights follow it.
    A convolution has one weight for all its calls, those of a splice among them: it is folded if each call is
    followed by a call of the one batch norm.
    """

    name = "fold_teacher"

    def run(self, graph: DistillGraph) -> PassResult:
        graph, notes = graph.copy(), []
        for role in graph.teachers:
            folded = 0 if follows_student(graph.spec, role) else _fold_all(graph, role)
            if folded:
                notes.append(f"{role}: {folded} batch norms folded into convolutions")
        return PassResult(graph, tuple(notes))


def _fold_all(graph: DistillGraph, role: Role) -> int:
    """Fold what can be folded of one teacher; how many batch norms that was."""
    calls = _calls(graph, role)
    folded = 0
    for norm in list(calls):
        convs = _convolutions(graph, calls, norm) if _foldable(norm) else []
        for conv, key in zip(convs, calls[norm], strict=False):
            _fold(graph, conv, key, norm)
        folded += bool(convs)
    return folded


def _calls(graph: DistillGraph, role: Role) -> dict[nn.Module, list[str]]:
    """Each module of a teacher, and the operations that call it."""
    calls: dict[nn.Module, list[str]] = {}
    for key, op in graph.ops(role).items():
        if op.module is not None:
            calls.setdefault(op.module, []).append(key)
    return calls


def _foldable(norm: nn.Module) -> bool:
    return isinstance(norm, nn.BatchNorm2d) and norm.running_var is not None


def _convolutions(graph: DistillGraph, calls: dict[nn.Module, list[str]], norm: nn.Module) -> list[str]:
    """The calls of the one convolution that `norm` reads, if nothing but `norm` reads any of them."""
    sources = [graph.source(key, "arg") or "" for key in calls[norm]]
    first = graph[sources[0]]
    if not (isinstance(first, Op) and isinstance(first.module, nn.Conv2d)) or first.folded is not None:
        return []
    alone = all(graph.users(s) == [key] for s, key in zip(sources, calls[norm], strict=True))
    return sources if alone and sorted(sources) == sorted(calls[first.module]) else []


def _fold(graph: DistillGraph, conv: str, key: str, norm: nn.Module) -> None:
    before = graph[conv]
    assert isinstance(before, Op)
    assert isinstance(before.module, nn.Conv2d)
    params = before.module.weight.numel() + before.module.out_channels if before.splice is None else 0
    graph.update(conv, folded=norm, facts=replace(before.facts, params=params))
    graph.replace_with(key, conv)
