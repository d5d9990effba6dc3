"""Whether the signals that a term reads fit it: they must have its cells."""

from __future__ import annotations

from kdgraph.compiler.frames import shape_of
from kdgraph.errors import Diagnostic
from kdgraph.graph.ir import DistillGraph, Signal, Term

__all__ = ["signal_fault"]

Shape = tuple[int, ...]

_NOT_BY_CELL = frozenset({"student", "teacher", "student_proto", "teacher_proto", "maps"})


def signal_fault(graph: DistillGraph, key: str, term: Term) -> Diagnostic | None:
    """Why a term cannot use what it reads: it is of other cells (KD203)."""
    if _alike(graph, key):
        return _own_scores(term)
    theirs = shape_of(graph, graph.source(key, "teacher") or "")
    for port, source in graph.inputs(key):
        cells = None if port in _NOT_BY_CELL else _cells(graph, source)
        if cells and theirs and cells != theirs[2:]:
            return _other_cells(term, port, cells, theirs)
    return None


def _alike(graph: DistillGraph, key: str) -> bool:
    """Whether something before a term weighs by how far scores are from themselves: by 0."""
    pairs = ((graph.source(k, "student_cls"), graph.source(k, "teacher_cls")) for k in graph.ancestors([key]))
    return any(ours is not None and ours == theirs for ours, theirs in pairs)


def _own_scores(term: Term) -> Diagnostic:
    names = ", ".join(
        dict.fromkeys([term.criterion.name, *(m.name for m in term.edge.mask if m.name != "all")])
    )
    what = f"{names} weighs by the gap between two models' scores, and these are one: always 0"
    span = term.edge.span("mask") or term.edge.span("criterion")
    hint = "use another criterion or mask, or let `student.ema` teach"
    return Diagnostic("KD203", f"edge '{term.edge.name}': {what}", span, hint)


def _cells(graph: DistillGraph, key: str) -> Shape | None:
    vertex = graph[key]
    if isinstance(vertex, Signal):
        return vertex.cells
    shape = shape_of(graph, key)
    return shape[2:] if shape else None


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


def _shown(shape: Shape) -> str:
    return "×".join(str(size) for size in shape)
