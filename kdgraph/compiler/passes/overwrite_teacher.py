"""The frozen teacher may overwrite what it does not need any more."""

from __future__ import annotations

from torch import nn

from kdgraph.compiler.passes.base import Pass, PassResult
from kdgraph.graph.ir import DistillGraph, Op, Role

_FRESH = (nn.Conv2d, nn.BatchNorm2d)
"""Modules whose output is memory of their own, and not read again by a backward: a teacher has none."""


class OverwriteTeacher(Pass):
    """Lets a teacher's activations work in place, where nothing else reads what they overwrite.

    before: conv ─▶ y ─▶ act ─▶ z           after: conv ─▶ y ─▶ act ─▶ y

    That saves the memory of z, and the time to write where no cache holds it yet. What is tapped, spliced
    or read twice stays as it is.
    """

    name = "overwrite_teacher"

    def run(self, graph: DistillGraph) -> PassResult:
        graph, notes = graph.copy(), []
        for role in graph.teachers:
            keys = _overwriting(graph, role)
            for key in keys:
                graph.update(key, inplace=True)
            if keys:
                notes.append(f"{role}: {len(keys)} activations in place")
        return PassResult(graph, tuple(notes))


def _overwriting(graph: DistillGraph, role: Role) -> list[str]:
    """The activations of a teacher that may; a module that is called several times only if each call may."""
    calls: dict[str, list[str]] = {}
    for key, op in graph.ops(role).items():
        if op.module is not None and hasattr(op.module, "inplace"):
            calls.setdefault(str(op.node.target), []).append(key)
    return [key for keys in calls.values() if all(_may(graph, key) for key in keys) for key in keys]


def _may(graph: DistillGraph, key: str) -> bool:
    op, source = graph[key], graph.source(key, "arg")
    before = graph[source] if source is not None else None
    return (
        isinstance(op, Op)
        and isinstance(before, Op)
        and isinstance(before.module, _FRESH)
        and op.splice is None
        and graph.users(source or "") == [key]
    )
