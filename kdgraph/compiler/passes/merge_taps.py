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
        while merged := _merge_equal(graph):  # vertices may be equal only once their inputs are one
            notes += merged
        return PassResult(graph, tuple(notes))


def _merge_equal(graph: DistillGraph) -> list[str]:
    """Merge vertices whose inputs are the same; what was merged."""
    groups: dict[Hashable, list[str]] = {}
    for key in graph:
        vertex = graph[key]
        if isinstance(vertex, _MERGED) or (isinstance(vertex, Op) and vertex.splice):
            groups.setdefault((_nameless(vertex), _inputs(graph, key)), []).append(key)
    notes = []
    for keys in groups.values():
        kept = next((key for key in keys if _reads_tap(graph, key)), keys[0])
        for key in keys:
            if key != kept:
                graph.replace_with(key, kept)
                notes.append(f"{key} is {kept}")
    return notes


def _inputs(graph: DistillGraph, key: str) -> tuple[tuple[str, str], ...]:
    """What a vertex reads; an alignment reads the same through a tap as from the tapped operation."""
    inputs = graph.inputs(key)
    if isinstance(graph[key], Align):
        inputs = [(port, graph.source(source, "value") or source) for port, source in inputs]
    return tuple(inputs)


def _reads_tap(graph: DistillGraph, key: str) -> bool:
    return any(isinstance(graph[source], Tap) for _, source in graph.inputs(key))


_MERGED = (Tap, Align, Signal, Adapter, Splice)


def _nameless(vertex: Vertex) -> Hashable:
    """What makes a vertex equal to another, whatever edge it was made for."""
    if isinstance(vertex, Op):
        return vertex.node, vertex.role
    if isinstance(vertex, Splice):
        return Splice, vertex.standardise
    return replace(vertex, name="") if isinstance(vertex, (Tap, Align, Signal, Adapter)) else vertex
