"""From names to nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from kdgraph.compiler.classes import class_map_faults, strangers
from kdgraph.compiler.frames import before, shape_of
from kdgraph.compiler.passes.base import Pass, PassResult
from kdgraph.compiler.taps import Pair, Unresolved, pairs_of, splice_pairs_of
from kdgraph.compiler.terms import add_term
from kdgraph.errors import Diagnostic, closest
from kdgraph.graph.ir import Align, DistillGraph, Op, Role, op_key
from kdgraph.graph.names import Named, find, tap_names
from kdgraph.spec.schema import EdgeSpec


class ResolveTaps(Pass):
    """Finds the nodes that the edges name: one term per edge and level, with its mask and signals.

    before: neck: {taps: neck.*, criterion: cwd}     after: tap neck.p3 ─┐
                                                            tap neck.p3 ─┴▶ term neck.p3, and so on
    """

    name = "resolve_taps"

    def run(self, graph: DistillGraph) -> PassResult:
        graph, notes = graph.copy(), []
        faults: list[Diagnostic] = []
        wrong_maps = list(class_map_faults(graph))
        names = {role: names_of(graph, role) for role in graph.models}
        for edge in graph.spec.edges.values():
            try:
                pairs = pairs_of(edge, names)
                entries = _entries(edge, names)
                for pair, suffix in zip(pairs.found, _suffixes(pairs.found), strict=True):
                    add_term(graph, edge, pair, suffix, entries)
                notes.append(f"{edge.name}: " + ", ".join(_told(pair) for pair in pairs.found))
                graph.left_out += (*pairs.left_out, *_unknown_classes(graph, edge))
            except Unresolved as unresolved:
                faults.extend(_explained(graph, edge, fault) for fault in unresolved.diagnostics)
        faults = [*wrong_maps, *(f for f in faults if not (wrong_maps and f.code == "KD204"))]
        faults.extend(_share(graph, names["student"]))
        graph.left_out = tuple(dict.fromkeys(graph.left_out))
        notes += [_aligned(graph, key, align) for key, align in graph.of(Align).items()]
        return PassResult(graph, (*notes, *graph.left_out), tuple(faults))


def _explained(graph: DistillGraph, edge: EdgeSpec, fault: Diagnostic) -> Diagnostic:
    """A tap of a head that is not in the graph: why it is not."""
    why = next((why for role in edge.teacher if (why := graph.models[role].beheaded)), "")
    if fault.code != "KD201" or "teacher.head" not in fault.message or not why:
        return fault
    return replace(fault, hint=f"the teacher's graph ends at its neck, tap that: {why}")


def _unknown_classes(graph: DistillGraph, edge: EdgeSpec) -> list[str]:
    """What an edge leaves out because a teacher does not know it."""
    own = [align for align in graph.of(Align).values() if align.name.startswith(f"{edge.name}.")]
    told = strangers(graph, edge.teacher) if any(align.kind == "classes" for align in own) else None
    return [told] if told else []


def names_of(graph: DistillGraph, role: Role) -> dict[str, Named]:
    """Every tap name of one side, with what is known of its node."""
    ops = {op.node: op for op in graph.of(Op).values() if op.role == role}
    return tap_names(graph.models[role], lambda node: ops[node].facts.shape, graph.views[role].size)


_WORDS = {
    "classes": "classes",
    "gathered": "cells",
    "regridded": "cells",
    "rebinned": "bins",
    "scaled": "strides",
    "scaled_keypoints": "strides",
    "averaged": "average",
}
"""What an alignment changes."""


def _aligned(graph: DistillGraph, key: str, align: Align) -> str:
    """What is changed of whose tensor, and its shapes before and after, without the batch."""
    first = before(graph, key)
    shapes = [shape[1:] if (shape := shape_of(graph, each)) else () for each in (first, key)]
    while isinstance(graph[first], Align):
        first = before(graph, first)
    sizes = " → ".join("×".join(map(str, shape)) for shape in shapes)
    return f"{align.name}: {_WORDS[align.kind]} of the {graph.tapped(first).role}, {sizes}"


def _share(graph: DistillGraph, names: Mapping[str, Named]) -> list[Diagnostic]:
    """Note where the edges are balanced, if the spec says so."""
    balance = graph.spec.balance
    pattern = balance.options.get("at") if balance else None
    if balance is None or pattern is None:
        return []
    found = find(pattern, names)
    graph.shared = tuple(dict.fromkeys(op_key("student", names[name].node) for name in found))
    if found:
        return []
    near = closest(pattern, names) or ["neck.*"]
    message = f"balance.{balance.name}.at: '{pattern}' names nothing in the student"
    span = balance.span("at") or graph.spec.span("balance")
    return [Diagnostic("KD201", message, span, f"did you mean {' or '.join(near)}?")]


def _suffixes(pairs: Sequence[Pair]) -> list[str]:
    """What tells the terms of one edge apart: their levels, or the taps where a level comes twice."""
    levels = [pair.level for pair in pairs]
    return [p.level if p.level and levels.count(p.level) == 1 else p.student.name for p in pairs]


def _entries(edge: EdgeSpec, names: Mapping[Role, Mapping[str, Named]]) -> dict[str, Pair]:
    """Where the student enters the teacher, by what tells the entries of one edge apart."""
    pairs = splice_pairs_of(edge, names).found if edge.splice is not None else ()
    return dict(zip(_suffixes(pairs), pairs, strict=True))


def _told(pair: Pair) -> str:
    ours, theirs = pair.student.name, pair.teacher.name
    return ours if ours == theirs else f"{ours} ↔ {theirs}"
