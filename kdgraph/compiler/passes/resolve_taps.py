"""From names to nodes."""

from __future__ import annotations

from collections.abc import Mapping

from kdgraph.compiler.passes.base import Pass, PassResult
from kdgraph.compiler.signals import connect_signals
from kdgraph.compiler.taps import Pair, Unresolved, pairs_of, splice_pairs_of
from kdgraph.errors import Diagnostic, closest
from kdgraph.graph.ir import DistillGraph, Op, Role, Splice, Tap, Term, op_key
from kdgraph.graph.names import Named, find, tap_names
from kdgraph.graph.verify import overwritten
from kdgraph.spec.schema import EdgeSpec, TapSpec


class ResolveTaps(Pass):
    """Finds the nodes that the edges name: one term per edge and level, with its mask and signals.

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
                entries = _entries(edge, names)
                for pair, suffix in zip(pairs, _suffixes(pairs), strict=True):
                    _add_term(graph, edge, pair, suffix, entries)
                notes.append(f"{edge.name}: " + ", ".join(_told(pair) for pair in pairs))
            except Unresolved as unresolved:
                faults.extend(unresolved.diagnostics)
        faults.extend(_share(graph, names["student"]))
        return PassResult(graph, tuple(notes), tuple(faults))


def names_of(graph: DistillGraph, role: Role) -> dict[str, Named]:
    """Every tap name of one side, with what is known of its node."""
    ops = {op.node: op for op in graph.of(Op).values() if op.role == role}
    return tap_names(graph.models[role], lambda node: ops[node].facts.shape, graph.image_size)


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


def _suffixes(pairs: list[Pair]) -> list[str]:
    """What tells the terms of one edge apart: their levels, or the taps where a level comes twice."""
    levels = [pair.level for pair in pairs]
    return [p.level if p.level and levels.count(p.level) == 1 else p.student.name for p in pairs]


def _entries(edge: EdgeSpec, names: Mapping[Role, Mapping[str, Named]]) -> dict[str, Pair]:
    """Where the student enters the teacher, by what tells the entries of one edge apart."""
    pairs = splice_pairs_of(edge, names) if edge.splice is not None else []
    return dict(zip(_suffixes(pairs), pairs, strict=True))


def _add_term(
    graph: DistillGraph, edge: EdgeSpec, pair: Pair, suffix: str, entries: Mapping[str, Pair]
) -> None:
    name = f"{edge.name}.{suffix}"
    ours, own = pair.student.name, _entries_for(pair, entries)
    inputs = [("splice", _add_splice(graph, edge, suffix, entry)) for suffix, entry in own.items()]
    if own:
        ours = f"{'+'.join(entry.student.name for entry in own.values())}>{pair.teacher.name}"
    else:
        inputs = [("student", _add_tap(graph, edge, edge.taps, "student", pair.student))]
    inputs.append(("teacher", _add_tap(graph, edge, edge.taps, "teacher", pair.teacher)))
    vertex = Term(edge, name, pair.level, edge.criterion, (ours, pair.teacher.name))
    term = graph.add(f"term:{name}", vertex)
    for port, source in inputs:
        graph.connect(source, term, port)
    connect_signals(graph, term, anchors=len(pair.student.shape or ()) == 3)


def _entries_for(pair: Pair, entries: Mapping[str, Pair]) -> Mapping[str, Pair]:
    """The entries at the level of a term; for one of no level, such as `head.cls`, those of all levels."""
    own = {suffix: entry for suffix, entry in entries.items() if entry.teacher.level == pair.teacher.level}
    return own or entries


def _add_splice(graph: DistillGraph, edge: EdgeSpec, suffix: str, entry: Pair) -> str:
    assert edge.splice is not None
    name = f"{edge.name}.{suffix}"
    if f"splice:{name}" in graph:  # two terms of the edge come through it
        return f"splice:{name}"
    student = _add_tap(graph, edge, edge.splice.at, "student", entry.student)
    teacher = _add_tap(graph, edge, edge.splice.at, "teacher", entry.teacher)
    vertex = Splice(edge, name, edge.splice.standardise)
    return graph.add(f"splice:{name}", vertex, student=student, teacher=teacher)


def _check_kept(edge: EdgeSpec, taps: TapSpec, role: Role, named: Named) -> None:
    """Raise Unresolved (KD203) for a node whose value does not last until a criterion reads it."""
    if overwritten(named.node):
        raise Unresolved(
            Diagnostic(
                "KD203",
                f"edge '{edge.name}': the {role} overwrites '{named.name}' in place right after computing it",
                taps.span(role) or taps.span() or edge.span("taps"),
                hint="tap the node after it",
            )
        )


def _add_tap(graph: DistillGraph, edge: EdgeSpec, taps: TapSpec, role: Role, named: Named) -> str:
    _check_kept(edge, taps, role, named)
    key = f"tap:{edge.name}:{role}.{named.name}"
    tap = Tap(role, named.name, named.layout, named.level)
    return key if key in graph else graph.add(key, tap, value=op_key(role, named.node))


def _told(pair: Pair) -> str:
    ours, theirs = pair.student.name, pair.teacher.name
    return ours if ours == theirs else f"{ours} ↔ {theirs}"
