"""Whatever several edges need is there once."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

from kdgraph.compiler.passes.base import Pass, PassResult
from kdgraph.graph.ir import Adapter, DistillGraph, Mask, Tap, Vertex


class MergeTaps(Pass):
    """Merges equal taps, masks and adapters, so that each is read, computed or built once.

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
            if not isinstance(vertex, (Tap, Mask, Adapter)):
                continue
            first = seen.setdefault((_nameless(vertex), tuple(graph.inputs(key))), key)
            if first != key:
                graph.replace_with(key, first)
                notes.append(f"{key} is {first}")
        return PassResult(graph, tuple(notes))


def _nameless(vertex: Vertex) -> Vertex:
    return replace(vertex, name="") if isinstance(vertex, (Tap, Mask, Adapter)) else vertex
