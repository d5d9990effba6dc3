"""Whether the signals that a term reads fit it and each other: their cells, and the classes of the heads."""

from __future__ import annotations

from collections.abc import Iterator

from kdgraph.errors import Diagnostic
from kdgraph.graph.ir import DistillGraph, Op, Signal, Term

__all__ = ["signal_fault"]

Shape = tuple[int, ...]


def signal_fault(graph: DistillGraph, key: str, term: Term) -> Diagnostic | None:
    """The first reason why a term cannot use what it reads: other cells (KD203), other classes (KD204)."""
    theirs = graph.tapped(graph.source(key, "teacher") or "").facts.shape
    for port, source in graph.inputs(key):
        cells = None if port in ("student", "teacher") else _cells(graph, source)
        if cells and theirs and cells != theirs[2:]:
            return _other_cells(term, port, cells, theirs)
    return next(_level_faults(graph, key, term), None) or next(_class_faults(graph, key, term), None)


def _cells(graph: DistillGraph, key: str) -> Shape | None:
    vertex = graph[key]
    if isinstance(vertex, Signal):
        return vertex.cells
    return vertex.facts.shape[2:] if isinstance(vertex, Op) and vertex.facts.shape else None


def _other_cells(term: Term, port: str, cells: Shape, theirs: Shape) -> Diagnostic:
    tap = f"{_shown(cells)} cells, and the teacher's tap is {_shown(theirs[1:])}"
    if port == "mask":
        names = " * ".join(mask.name for mask in term.edge.mask)
        what, mend = f"mask '{names}' weighs {tap}", "use `mask: all`, or tap"
    else:
        what, mend = f"criterion '{term.criterion.name}' reads {port} of {tap}", "tap"
    span = term.edge.span("mask" if port == "mask" else "criterion") or term.edge.span("taps")
    hint = f"{mend} maps of the head's levels on both sides"
    return Diagnostic("KD203", f"edge '{term.edge.name}': {what}", span, hint)


def _level_faults(graph: DistillGraph, key: str, term: Term) -> Iterator[Diagnostic]:
    """What compares the two heads anchor by anchor needs heads of the same levels."""
    for reader in _readers(graph, key):
        outputs = [source for port, source in graph.inputs(reader) if port in ("student_cls", "teacher_cls")]
        if len({_cells(graph, source) for source in outputs}) > 1:
            heads = (graph.models[role].head for role in ("student", "teacher"))
            ours, theirs = (", ".join(head.levels) if head else "none" for head in heads)
            yield Diagnostic(
                "KD204",
                f"edge '{term.edge.name}': both heads are compared anchor by anchor, and the student's has "
                f"the levels {ours}, the teacher's {theirs}",
                term.edge.span("mask") or term.edge.span("criterion"),
                hint="use another mask or criterion, or models whose heads have the same levels",
            )


def _class_faults(graph: DistillGraph, key: str, term: Term) -> Iterator[Diagnostic]:
    """Scores are compared class by class, and labels are classes of the student."""
    student, teacher = (graph.models[role].head for role in ("student", "teacher"))
    if student is None or teacher is None or student.classes == teacher.classes:
        return
    for reader in _readers(graph, key):
        ports = {port for port, _ in graph.inputs(reader)}
        vertex = graph[reader]
        assigns = isinstance(vertex, Signal) and vertex.kind == "assign" and vertex.role == "teacher"
        if assigns or ports >= {"student_cls", "teacher_cls"}:
            what = (
                "labels are assigned by the teacher's scores" if assigns else "scores are compared by class"
            )
            yield Diagnostic(
                "KD204",
                f"edge '{term.edge.name}': {what}, and the student has {student.classes} classes, "
                f"the teacher {teacher.classes}",
                term.edge.span("mask") or term.edge.span("criterion"),
                hint="train the teacher on the same data (`teacher: {model: …, train: {epochs: …}}`), or use "
                "another mask or criterion",
            )


def _readers(graph: DistillGraph, key: str) -> Iterator[str]:
    """The term, and the signals behind what it reads."""
    yield key
    for _, source in graph.inputs(key):
        if isinstance(graph[source], Signal):
            yield from _readers(graph, source)


def _shown(shape: Shape) -> str:
    return "×".join(str(size) for size in shape)
