"""From a spec's tap patterns to pairs of nodes: one pair for each level of an edge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from kdgraph.errors import Diagnostic, Span, closest
from kdgraph.graph.ir import Role
from kdgraph.graph.names import Named, find, is_raw
from kdgraph.spec.schema import EdgeSpec, TapSpec

__all__ = ["Pair", "Unresolved", "pairs_of", "splice_pairs_of"]

Names = Mapping[str, Named]


@dataclass(frozen=True)
class Pair:
    """A student's and a teacher's tap that one term compares."""

    student: Named
    teacher: Named

    @property
    def level(self) -> str | None:
        return self.student.level


class Unresolved(Exception):
    """The mistakes that keep an edge's taps from being found."""

    def __init__(self, *diagnostics: Diagnostic) -> None:
        super().__init__(*diagnostics)
        self.diagnostics = diagnostics


def pairs_of(edge: EdgeSpec, names: Mapping[Role, Names]) -> list[Pair]:
    """The pairs of an edge, finest level first, after its `level:` selection.

    With a splice both sides are the teacher's. Raises Unresolved when a pattern finds nothing (KD201), the
    sides differ in levels (KD202), or an edge with a splice names taps of the student (KD111).
    """
    if edge.splice is not None:
        names = {"student": names["teacher"], "teacher": names["teacher"]}
        if edge.taps.student != edge.taps.teacher:
            raise Unresolved(_no_student(edge))
    student, teacher = _sides(edge, edge.taps, names)
    if edge.level is not None:
        student, teacher = (_select(edge, side) for side in (student, teacher))
    return _match(edge, edge.taps, student, teacher)


def splice_pairs_of(edge: EdgeSpec, names: Mapping[Role, Names]) -> list[Pair]:
    """Where the student enters the teacher: pairs of an edge's `splice:`, finest level first.

    Raises Unresolved as `pairs_of`.
    """
    assert edge.splice is not None
    return _match(edge, edge.splice.at, *_sides(edge, edge.splice.at, names))


def _sides(edge: EdgeSpec, taps: TapSpec, names: Mapping[Role, Names]) -> tuple[list[Named], list[Named]]:
    student, faults = _side(edge, taps, "student", names["student"])
    teacher, more = _side(edge, taps, "teacher", names["teacher"])
    if faults or more:
        raise Unresolved(*_joined(taps, faults, more))
    return student, teacher


def _side(edge: EdgeSpec, taps: TapSpec, role: Role, names: Names) -> tuple[list[Named], list[Diagnostic]]:
    found: dict[str, Named] = {}
    faults = []
    patterns: tuple[str, ...] = getattr(taps, role)
    for pattern in patterns:
        matches = find(pattern, names)
        found.update({name: names[name] for name in matches})
        if not matches:
            faults.append(_unknown(edge, taps, role, pattern, names))
    return list(found.values()), faults


def _joined(taps: TapSpec, ours: list[Diagnostic], theirs: list[Diagnostic]) -> list[Diagnostic]:
    """Both sides' mistakes; told once where one text names both sides and both answer alike."""
    if taps.student != taps.teacher or [d.hint for d in ours] != [d.hint for d in theirs]:
        return [*ours, *theirs]
    return [replace(d, message=d.message.replace("'student.", "'")) for d in ours]


def _unknown(edge: EdgeSpec, taps: TapSpec, role: Role, pattern: str, names: Names) -> Diagnostic:
    what = f"edge '{edge.name}': unknown tap '{role}.{pattern}'"
    return Diagnostic("KD201", what, _span(edge, taps, role), _way_out(pattern, names))


def _way_out(pattern: str, names: Names) -> str:
    if pattern.startswith("head.dfl") and "head.box" in names and "head.dfl" not in names:
        return "this head has no DFL bins: compare distances, `taps: head.box` with `criterion: box_l2`"
    near = closest(pattern, names)
    near = [name for name in near if is_raw(name) == is_raw(pattern)] or near
    hint = f"did you mean {_quoted(near)}? " if near else ""
    family = sorted({n for n in names if n.split(".")[0] == pattern.split(".")[0] and n.count(".") < 3})
    if family and not is_raw(pattern):
        return hint + f"this model has {', '.join(family)}"
    return hint + "`kdgraph nodes MODEL` lists every name"


def _select(edge: EdgeSpec, side: list[Named]) -> list[Named]:
    wanted = edge.level or ()
    have = {tap.level for tap in side}
    missing = [level for level in wanted if level not in have]
    if missing:
        levels = ", ".join(sorted(level for level in have if level)) or "no levels"
        raise Unresolved(
            Diagnostic(
                "KD202",
                f"edge '{edge.name}': no tap at level {_quoted(missing)}",
                edge.span("level"),
                hint=f"its taps have {levels}",
            )
        )
    return [tap for tap in side if tap.level in wanted]


def _match(edge: EdgeSpec, taps: TapSpec, student: list[Named], teacher: list[Named]) -> list[Pair]:
    """By level where all taps have one and none twice; else in the order written."""
    ours, theirs = [t.level for t in student], [t.level for t in teacher]
    if _distinct(ours) and _distinct(theirs):
        if set(ours) != set(theirs):
            raise Unresolved(_different(edge, taps, student, teacher))
        by_level = {tap.level: tap for tap in teacher}
        ordered = sorted(student, key=lambda tap: int((tap.level or "p0")[1:]))
        return [Pair(tap, by_level[tap.level]) for tap in ordered]
    if len(student) != len(teacher):
        raise Unresolved(_different(edge, taps, student, teacher))
    return [Pair(s, t) for s, t in zip(student, teacher, strict=True)]


def _distinct(levels: list[str | None]) -> bool:
    return None not in levels and len(set(levels)) == len(levels)


def _different(edge: EdgeSpec, taps: TapSpec, student: list[Named], teacher: list[Named]) -> Diagnostic:
    sides = [", ".join(f"{t.name} ({t.level})" if t.level else t.name for t in s) for s in (student, teacher)]
    return Diagnostic(
        "KD202",
        f"edge '{edge.name}': the student has {sides[0]}, the teacher {sides[1]}",
        taps.span() or edge.span("taps"),
        hint="name taps of the same levels on both sides, or pick levels with `level: [p3, p4]`",
    )


def _no_student(edge: EdgeSpec) -> Diagnostic:
    return Diagnostic(
        "KD111",
        f"edge '{edge.name}': behind a splice both sides are the teacher's, and `taps` names the student's",
        edge.taps.span("student") or edge.span("taps"),
        hint="write `taps: head.cls.*`; where the student comes in is said by `splice`",
    )


def _span(edge: EdgeSpec, taps: TapSpec, role: Role) -> Span | None:
    return taps.span(role) or taps.span() or edge.span("taps") or edge.span()


def _quoted(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
