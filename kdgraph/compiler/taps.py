"""From a spec's tap patterns to pairs of nodes: one pair for each level of an edge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from kdgraph.errors import Diagnostic, Span, closest
from kdgraph.graph.ir import Role
from kdgraph.graph.names import Named, find, is_raw
from kdgraph.spec.schema import EdgeSpec, TapSpec

__all__ = ["Pair", "Pairs", "Unresolved", "pairs_of", "splice_pairs_of"]

Names = Mapping[str, Named]
Side = Literal["student", "teacher"]


@dataclass(frozen=True)
class Pair:
    """What one term compares: a student's tap with the average of its teachers', which are by role."""

    student: Named
    teachers: Mapping[Role, Named]

    @property
    def level(self) -> str | None:
        return self.student.level

    @property
    def teacher(self) -> Named:
        """The tap of the only teacher, or of the first of several."""
        return next(iter(self.teachers.values()))


@dataclass(frozen=True)
class Pairs:
    """The pairs of an edge, finest level first, and in words what of its taps has no counterpart."""

    found: tuple[Pair, ...]
    left_out: tuple[str, ...] = ()


class Unresolved(Exception):
    """The mistakes that keep an edge's taps from being found."""

    def __init__(self, *diagnostics: Diagnostic) -> None:
        super().__init__(*diagnostics)
        self.diagnostics = diagnostics


def pairs_of(edge: EdgeSpec, names: Mapping[Role, Names]) -> Pairs:
    """The pairs of an edge, after its `level:` selection.

    With a splice both sides are the teacher's. Raises Unresolved when a pattern finds nothing (KD201), the
    sides differ in levels (KD202), or an edge with a splice names taps of the student (KD111).
    """
    if edge.splice is not None:
        names = {**names, "student": names[edge.teacher[0]]}
        if edge.taps.student != edge.taps.teacher:
            raise Unresolved(_no_student(edge))
    by_role = {role: _pairs_with(edge, edge.taps, role, names, edge.level) for role in edge.teacher}
    return _joined_roles(edge, by_role)


def splice_pairs_of(edge: EdgeSpec, names: Mapping[Role, Names]) -> Pairs:
    """Where the student enters the teacher: pairs of an edge's `splice:`, finest level first.

    Raises Unresolved as `pairs_of`.
    """
    assert edge.splice is not None
    return _pairs_with(edge, edge.splice.at, edge.teacher[0], names, None)


def _pairs_with(
    edge: EdgeSpec, taps: TapSpec, role: Role, names: Mapping[Role, Names], level: tuple[str, ...] | None
) -> Pairs:
    student, teacher = _sides(edge, taps, role, names)
    if level is not None:
        student, teacher = (_select(edge, side) for side in (student, teacher))
    pairs, alone = _match(edge, taps, student, teacher)
    found = tuple(Pair(ours, {role: theirs}) for ours, theirs in pairs)
    return Pairs(found, tuple(f"edge '{edge.name}': {told}" for told in alone))


def _joined_roles(edge: EdgeSpec, by_role: Mapping[Role, Pairs]) -> Pairs:
    """The student's taps that have a counterpart in each teacher."""
    taps = [{pair.student.name: pair for pair in pairs.found} for pairs in by_role.values()]
    shared = [name for name in taps[0] if all(name in each for each in taps)]
    if not shared:
        message = (
            f"edge '{edge.name}': no tap of the student has a counterpart in each of {', '.join(by_role)}"
        )
        hint = "give each teacher an edge of its own"
        raise Unresolved(Diagnostic("KD202", message, edge.span("teacher") or edge.span("taps"), hint))
    teachers = {
        name: {role: tap for each in taps for role, tap in each[name].teachers.items()} for name in shared
    }
    found = tuple(Pair(taps[0][name].student, teachers[name]) for name in shared)
    return Pairs(found, tuple(dict.fromkeys(told for pairs in by_role.values() for told in pairs.left_out)))


def _sides(
    edge: EdgeSpec, taps: TapSpec, role: Role, names: Mapping[Role, Names]
) -> tuple[list[Named], list[Named]]:
    student, faults = _side(edge, taps, "student", names["student"])
    teacher, more = _side(edge, taps, "teacher", names[role])
    if faults or more:
        raise Unresolved(*_joined(taps, faults, more))
    return student, teacher


def _side(edge: EdgeSpec, taps: TapSpec, role: Side, names: Names) -> tuple[list[Named], list[Diagnostic]]:
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


def _unknown(edge: EdgeSpec, taps: TapSpec, role: Side, pattern: str, names: Names) -> Diagnostic:
    what = f"edge '{edge.name}': unknown tap '{role}.{pattern}'"
    return Diagnostic("KD201", what, _span(edge, taps, role), _way_out(pattern, names))


_OTHER_HEADS = {
    "mask": "segmentation models",
    "proto": "segmentation models",
    "kpt": "pose models",
    "angle": "models of oriented boxes",
    "o2o": "end-to-end heads, as of v10 and 26: `{student: head.o2o.cls, teacher: head.cls}` may teach one",
}
"""Parts of taps that only some heads have."""


def _way_out(pattern: str, names: Names) -> str:
    if pattern.startswith("head.dfl") and "head.box" in names and "head.dfl" not in names:
        return "this head has no DFL bins: compare distances, `taps: head.box` with `criterion: box_l2`"
    other = next((kind for part, kind in _OTHER_HEADS.items() if part in pattern.split(".")), None)
    if other is not None and pattern.startswith("head.") and "head.cls" in names:
        return f"only {other} have it"
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


def _match(
    edge: EdgeSpec, taps: TapSpec, student: list[Named], teacher: list[Named]
) -> tuple[list[tuple[Named, Named]], list[str]]:
    """The taps in pairs, and in words those without a counterpart.

    By level where all taps have one and the teacher none twice; else in the order written, or all of the
    student's with the teacher's only one.
    """
    ours = [tap.level for tap in student]
    by_level = _distinct([tap.level for tap in teacher]) and None not in ours
    if by_level and (_distinct(ours) or len(student) != len(teacher)):
        return _by_level(edge, taps, student, teacher)
    if len(student) == len(teacher):
        return list(zip(student, teacher, strict=True)), []
    if len(teacher) == 1 and all(
        (t.level, t.layout) == (teacher[0].level, teacher[0].layout) for t in student
    ):
        return [(tap, teacher[0]) for tap in student], []
    raise Unresolved(_different(edge, taps, student, teacher))


def _by_level(
    edge: EdgeSpec, taps: TapSpec, student: list[Named], teacher: list[Named]
) -> tuple[list[tuple[Named, Named]], list[str]]:
    """A glob means the levels that both have; names that are written out must all have a counterpart."""
    by_level = {tap.level: tap for tap in teacher}
    ordered = sorted(student, key=lambda tap: int((tap.level or "p0")[1:]))
    pairs = [(tap, by_level[tap.level]) for tap in ordered if tap.level in by_level]
    ours = {tap.level for tap in student}
    alone = {"student": [t for t in ordered if t.level not in by_level]}
    alone["teacher"] = [tap for tap in teacher if tap.level not in ours]
    if any(alone.values()) and not (pairs and _is_glob(taps)):
        raise Unresolved(_different(edge, taps, student, teacher))
    return pairs, [
        f"the {side}'s {', '.join(tap.name for tap in taps_alone)} left out, without a counterpart"
        for side, taps_alone in alone.items()
        if taps_alone
    ]


def _is_glob(taps: TapSpec) -> bool:
    return any(set(pattern) & set("*?[") for pattern in (*taps.student, *taps.teacher))


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


def _span(edge: EdgeSpec, taps: TapSpec, role: Side) -> Span | None:
    return taps.span(role) or taps.span() or edge.span("taps") or edge.span()


def _quoted(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
