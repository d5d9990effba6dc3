"""Whatever several edges need is there once."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

from kdgraph.compiler.passes.base import Pass, PassResult
from kdgraph.graph.ir import Adapter, Align, DistillGraph, Op, Signal, Splice, Tap, Vertex


class MergeTaps(Pass):
    """Merges equal taps, signals, adapters and splices, so that each is read, computed or built once.

    before: tap neck.p3 ─▶ term a               after: tap neck.p3 ─┬▶ term a
            tap neck.p3 ─▶ term b                                   └▶ term b
    """

    name = "merge_taps"

    def run(self, graph: DistillGraph) -> PassResult:
        graph, notes = graph.copy(), []
        seen: dict[Hashable, str] = {}
        # Inputs come first in this order, so equal inputs are one by the time their users are compared.
        for key in list(graph.order()):
            vertex = graph[key]
            if not (isinstance(vertex, _MERGED) or (isinstance(vertex, Op) and vertex.splice)):
                continue
            first = seen.setdefault((_nameless(vertex), tuple(graph.inputs(key))), key)
            if first != key:
                graph.replace_with(key, first)
                notes.append(f"{key} is {first}")
        return PassResult(graph, tuple(notes))


_MERGED = (Tap, Align, Signal, Adapter, Splice)


def _nameless(vertex: Vertex) -> Hashable:
    """What makes a vertex equal to another, whatever edge it was made for."""
    if isinstance(vertex, Op):
        return vertex.node, vertex.role
    if isinstance(vertex, Splice):
        return Splice, vertex.standardise
    return replace(vertex, name="") if isinstance(vertex, (Tap, Align, Signal, Adapter)) else vertex
