"""From names to nodes."""

from __future__ import annotations

from kdgraph.compiler.masks import connect_mask
from kdgraph.compiler.passes.base import Pass, PassResult
from kdgraph.compiler.taps import Pair, Unresolved, pairs_of
from kdgraph.errors import Diagnostic
from kdgraph.graph.ir import DistillGraph, Op, Role, Tap, Term, op_key
from kdgraph.graph.names import Named, tap_names
from kdgraph.graph.verify import overwritten
from kdgraph.spec.schema import EdgeSpec


class ResolveTaps(Pass):
    """Finds the nodes that the edges name, and gives each edge one term per level, with its mask.

    before: neck: {taps: neck.*, criterion: cwd}     after: tap neck.p3 ─┐
                                                            tap neck.p3 ─┴▶ term neck.p3, and so on
    """

    name = "resolve_taps"

    def run(self, graph: DistillGraph) -> PassResult:
        graph, notes = graph.copy(), []
        faults: list[Diagnostic] = []
        names = {role: names_of(graph, role) for role in graph.models}
        for edge in graph.spec.edges.values():
            try:
                pairs = pairs_of(edge, names)
                for pair, suffix in zip(pairs, _suffixes(pairs), strict=True):
                    _add_term(graph, edge, pair, suffix)
                notes.append(f"{edge.name}: " + ", ".join(_told(pair) for pair in pairs))
            except Unresolved as unresolved:
                faults.extend(unresolved.diagnostics)
        return PassResult(graph, tuple(notes), tuple(faults))


def names_of(graph: DistillGraph, role: Role) -> dict[str, Named]:
    """Every tap name of one side, with what is known of its node."""
    ops = {op.node: op for op in graph.of(Op).values() if op.role == role}
    return tap_names(graph.models[role], lambda node: ops[node].facts.shape, graph.image_size)


def _suffixes(pairs: list[Pair]) -> list[str]:
    """What tells the terms of one edge apart: their levels, or the taps where a level comes twice."""
    levels = [pair.level for pair in pairs]
    return [p.level if p.level and levels.count(p.level) == 1 else p.student.name for p in pairs]


def _add_term(graph: DistillGraph, edge: EdgeSpec, pair: Pair, suffix: str) -> None:
    name = f"{edge.name}.{suffix}"
    student = _add_tap(graph, edge, "student", pair.student)
    teacher = _add_tap(graph, edge, "teacher", pair.teacher)
    vertex = Term(edge, name, pair.level, edge.criterion, (pair.student.name, pair.teacher.name))
    term = graph.add(f"term:{name}", vertex, student=student, teacher=teacher)
    connect_mask(graph, term, anchors=len(pair.student.shape or ()) == 3)


def _check_kept(edge: EdgeSpec, role: Role, named: Named) -> None:
    """Raise Unresolved (KD203) for a node whose value does not last until a criterion reads it."""
    if overwritten(named.node):
        raise Unresolved(
            Diagnostic(
                "KD203",
                f"edge '{edge.name}': the {role} overwrites '{named.name}' in place right after computing it",
                edge.taps.span(role) or edge.span("taps"),
                hint="tap the node after it",
            )
        )


def _add_tap(graph: DistillGraph, edge: EdgeSpec, role: Role, named: Named) -> str:
    _check_kept(edge, role, named)
    tap = Tap(role, named.name, named.layout, named.level)
    return graph.add(f"tap:{edge.name}:{role}.{named.name}", tap, value=op_key(role, named.node))


def _told(pair: Pair) -> str:
    ours, theirs = pair.student.name, pair.teacher.name
    return ours if ours == theirs else f"{ours} ↔ {theirs}"
