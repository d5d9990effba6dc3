"""Edges that send the student's features through the rest of the frozen teacher."""

from __future__ import annotations

from dataclasses import replace

from kdgraph.compiler.passes.base import Pass, PassResult
from kdgraph.errors import Diagnostic
from kdgraph.graph.ir import DistillGraph, Op, Tap, Term, op_key


class SpliceTeacher(Pass):
    """Computes the teacher's nodes behind a splice once more, on what comes from the student.

    before: tap head.cls.p3.0 ─▶ splice ─▶ term     after: tap head.cls.p3.0 ─▶ splice ─▶ conv' ─▶ tap ─▶ term
            conv ─▶ tap head.cls.p3 ─────▶                 conv ─▶ tap head.cls.p3 ──────────────────────▶

    The weights are those of the teacher, and frozen; gradients pass through them into the student. Source:
    Wang et al., *CrossKD: Cross-Head Knowledge Distillation for Object Detection*, CVPR 2024, section 3.2.
    """

    name = "splice_teacher"
    needs_valid = False

    def run(self, graph: DistillGraph) -> PassResult:
        graph, notes = graph.copy(), []
        faults: dict[str, Diagnostic] = {}
        for key, term in graph.of(Term).items():
            entries = graph.sources(key, "splice")
            if not entries:
                continue
            inside = _between(graph, entries, key)
            if not inside:
                faults.setdefault(term.edge.name, _unreached(graph, term, entries[0], key))
                graph.remove([key])
                continue
            notes.append(_splice(graph, key, term, entries, inside))
            needed = graph.ancestors([key])
            for entry in entries:
                if entry not in needed:
                    faults.setdefault(term.edge.name, _covered(graph, term, entry))
        return PassResult(graph, tuple(notes), tuple(faults.values()))


def _between(graph: DistillGraph, entries: list[str], term: str) -> list[str]:
    """The teacher's nodes behind an entry on which the term's tap depends, in topological order."""
    starts = [_entered(graph, entry) for entry in entries]
    end = graph.source(graph.source(term, "teacher") or "", "value")
    needed = graph.ancestors([end] if end else [])
    behind = graph.descendants(starts) & needed
    return [key for key in graph.order() if key in behind and key not in starts]


def _entered(graph: DistillGraph, entry: str) -> str:
    """The teacher's node whose place the student takes at an entry."""
    return graph.source(graph.source(entry, "teacher") or "", "value") or ""


def _splice(graph: DistillGraph, key: str, term: Term, entries: list[str], inside: list[str]) -> str:
    label = f"spliced:{term.name}"
    for entry in entries:
        vertex = graph[_entered(graph, entry)]
        assert isinstance(vertex, Op)
        graph.alias[op_key(vertex.role, vertex.node, label)] = entry
    for old in inside:
        vertex = graph[old]
        assert isinstance(vertex, Op)
        # its weights are counted where the teacher has them
        twin = replace(vertex, splice=label, facts=replace(vertex.facts, params=0))
        new = graph.add(op_key(vertex.role, vertex.node, label), twin)
        for source in vertex.node.all_input_nodes:
            graph.connect(graph.argument(twin, source), new, "arg")
    return _connect(graph, key, term, entries, inside)


def _connect(graph: DistillGraph, key: str, term: Term, entries: list[str], inside: list[str]) -> str:
    """Let the term read the end of the spliced nodes as the student's side."""
    tap = graph[graph.source(key, "teacher") or ""]
    assert isinstance(tap, Tap)
    end = graph.tapped(graph.source(key, "teacher") or "")
    value = op_key(end.role, end.node, f"spliced:{term.name}")
    spliced = graph.add(f"tap:spliced:{term.name}", tap, value=value)
    graph.disconnect(key, "splice")
    graph.connect(spliced, key, "student")
    names = [_tap_name(graph, entry) for entry in entries]
    nodes = "node" if len(inside) == 1 else "nodes"
    return f"{term.name}: {', '.join(names)} through {len(inside)} {nodes} of the teacher to {tap.name}"


def _tap_name(graph: DistillGraph, entry: str) -> str:
    ours, theirs = (graph[graph.source(entry, role) or ""] for role in ("student", "teacher"))
    assert isinstance(ours, Tap)
    assert isinstance(theirs, Tap)
    return ours.name if ours.name == theirs.name else f"{ours.name} as {theirs.name}"


def _covered(graph: DistillGraph, term: Term, entry: str) -> Diagnostic:
    return _fault(
        term,
        f"the splice at '{_tap_name(graph, entry)}' has no effect: another one stands between it and "
        f"'{term.taps[1]}'",
        "splice at one depth only",
    )


def _unreached(graph: DistillGraph, term: Term, entry: str, key: str) -> Diagnostic:
    at, tap = (graph[graph.source(k, "teacher") or ""] for k in (entry, key))
    assert isinstance(at, Tap)
    assert isinstance(tap, Tap)
    return _fault(
        term,
        f"the teacher's '{tap.name}' does not come after '{at.name}', where the student is spliced in",
        "splice at a node before the one that is compared, such as head.cls.*.0 for head.cls.*",
    )


def _fault(term: Term, what: str, mend: str) -> Diagnostic:
    assert term.edge.splice is not None
    span = term.edge.splice.at.span() or term.edge.span("splice")
    return Diagnostic("KD203", f"edge '{term.edge.name}': {what}", span, hint=mend)
