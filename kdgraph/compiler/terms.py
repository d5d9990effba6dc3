"""The terms of an edge: what its taps become in the graph, one term for each pair."""

from __future__ import annotations

from collections.abc import Mapping

from kdgraph.compiler.frames import Frame, frame_of
from kdgraph.compiler.signals import connect_signals
from kdgraph.compiler.sites import Branch
from kdgraph.compiler.taps import Pair, Unresolved
from kdgraph.errors import Diagnostic
from kdgraph.graph.ir import DistillGraph, Role, Splice, Tap, Term, op_key
from kdgraph.graph.ir import named as called
from kdgraph.graph.names import Named
from kdgraph.graph.verify import overwritten
from kdgraph.spec.schema import EdgeSpec, TapSpec

__all__ = ["add_term"]

O2O = "head.o2o"
"""The one-to-one branch of an end-to-end head."""


def add_term(
    graph: DistillGraph, edge: EdgeSpec, pair: Pair, suffix: str, entries: Mapping[str, Pair]
) -> None:
    """Add the term of a pair, `suffix` telling it from the edge's others, with its taps, mask and signals.

    `entries` are the pairs at which the student is spliced into the teacher, by what tells them apart. Raises
    Unresolved (KD202, KD203, KD204) where the two sides cannot be compared.
    """
    name = f"{edge.name}.{suffix}"
    ours, own = pair.student.name, _entries_for(pair, entries)
    frame = frame_of(graph, edge.teacher)
    inputs = [("splice", _add_splice(graph, edge, suffix, entry)) for suffix, entry in own.items()]
    if own:
        ours = f"{'+'.join(entry.student.name for entry in own.values())}>{pair.teacher.name}"
        inputs.append(("teacher", _add_tap(graph, edge, edge.taps, edge.teacher[0], pair.teacher)))
    else:
        _check_average(edge, pair)
        inputs.append(("student", _side(graph, edge, frame, "student", pair.student, name)))
        theirs = [_side(graph, edge, frame, role, tap, name) for role, tap in pair.teachers.items()]
        inputs.append(("teacher", frame.average(theirs, pair.teacher.layout, name)))
    vertex = Term(edge, name, pair.level, edge.criterion, (ours, pair.teacher.name))
    term = graph.add(f"term:{name}", vertex)
    for port, source in inputs:
        graph.connect(source, term, port)
    connect_signals(graph, term, frame, len(pair.student.shape or ()) == 3, _branches(graph, pair, own))


def _check_average(edge: EdgeSpec, pair: Pair) -> None:
    """Raise Unresolved (KD203) for an average of tensors that mean something else in each teacher."""
    if len(pair.teachers) > 1 and pair.teacher.layout in ("features", "mask"):
        what = "features" if pair.teacher.layout == "features" else "mask coefficients"
        raise Unresolved(
            Diagnostic(
                "KD203",
                f"edge '{edge.name}': {what} of several teachers have no common meaning, so no average",
                edge.span("teacher") or edge.span(),
                "give each teacher an edge of its own",
            )
        )


def _side(graph: DistillGraph, edge: EdgeSpec, frame: Frame, role: Role, named: Named, name: str) -> str:
    """A tap, brought to where the two sides can be compared."""
    tap = _add_tap(graph, edge, edge.taps, role, named)
    if named.layout == "cls" and frame.classes is not None and not frame.classes.student:
        raise Unresolved(_no_class(graph, edge, role))
    level = named.level if len(named.shape or ()) == 4 else None
    if level is None and named.layout != "features" and frame.apart:
        raise Unresolved(_no_level(graph, edge))
    return frame.bring(role, tap, named.layout, level, name)


def _no_class(graph: DistillGraph, edge: EdgeSpec, role: Role) -> Diagnostic:
    heads = [graph.models[each].head for each in ("student", edge.teacher[0] if role == "student" else role)]
    ours, theirs = (head.classes if head else "other" for head in heads)
    return Diagnostic(
        "KD204",
        f"edge '{edge.name}': the student has {ours} classes, the teacher {theirs}, and none have one name",
        edge.span("taps") or edge.span(),
        "say which are the same: `teacher: {model: …, classes: {teacher_name: student_name}}`, train the "
        "teacher on the same data (`teacher: {model: …, train: {epochs: …}}`), or use edges of the neck",
    )


def _no_level(graph: DistillGraph, edge: EdgeSpec) -> Diagnostic:
    heads = [graph.models[role].head for role in ("student", edge.teacher[0])]
    ours, theirs = (", ".join(head.levels) if head else "none" for head in heads)
    message = f"edge '{edge.name}': the heads have no level in common: {ours} and {theirs}"
    return Diagnostic("KD202", message, edge.span("taps") or edge.span(), "use edges of other taps")


def _branches(graph: DistillGraph, pair: Pair, entries: Mapping[str, Pair]) -> dict[Branch, str]:
    """The models of which the term taps the one-to-one branch."""
    ours = [entry.student for entry in entries.values()] or [pair.student]
    taps: list[tuple[Branch, Named]] = [(("student", "student"), tap) for tap in ours]
    taps += [(("teacher", role), tap) for role, tap in pair.teachers.items()]
    return {key: O2O for key, tap in taps if _is_one_to_one(graph, key[1], tap)}


def _is_one_to_one(graph: DistillGraph, role: Role, tap: Named) -> bool:
    names = graph.models[role].names.items()
    return any(node is tap.node for name, node in names if name.startswith(f"{O2O}."))


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
    teacher = _add_tap(graph, edge, edge.splice.at, edge.teacher[0], entry.teacher)
    vertex = Splice(edge, name, edge.splice.standardise)
    return graph.add(f"splice:{name}", vertex, student=student, teacher=teacher)


def _check_kept(edge: EdgeSpec, taps: TapSpec, role: Role, named: Named) -> None:
    """Raise Unresolved (KD203) for a node whose value does not last until a criterion reads it."""
    if overwritten(named.node):
        side = "student" if role == "student" else "teacher"
        raise Unresolved(
            Diagnostic(
                "KD203",
                f"edge '{edge.name}': the {called(role)} overwrites '{named.name}' in place right after "
                "computing it",
                taps.span(side) or taps.span() or edge.span("taps"),
                hint="tap the node after it",
            )
        )


def _add_tap(graph: DistillGraph, edge: EdgeSpec, taps: TapSpec, role: Role, named: Named) -> str:
    _check_kept(edge, taps, role, named)
    key = f"tap:{edge.name}:{role}.{named.name}"
    tap = Tap(role, named.name, named.layout, named.level)
    return key if key in graph else graph.add(key, tap, value=op_key(role, named.node))
