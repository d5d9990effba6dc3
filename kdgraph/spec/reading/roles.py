"""Who teaches: the `teacher:` of an edge, and whether teachers and edges belong together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kdgraph.errors import Diagnostic, Span, SpecError, closest, quoted
from kdgraph.spec.nodes import Items, Map, Node, Text
from kdgraph.spec.reading.faults import Faults
from kdgraph.spec.reading.scope import Scope
from kdgraph.spec.reading.values import fail, is_null, text
from kdgraph.spec.schema import STUDENT, TeacherSpec

__all__ = ["check_teachers", "join_teachers", "missing_teacher", "read_roles", "role_names"]


def read_roles(node: Node, scope: Scope) -> tuple[str, ...]:
    """Which teachers an edge has: a name, or a list of names whose average teaches."""
    if not isinstance(node, Items):
        return (_role(node, scope, (*scope.teachers, STUDENT)),)
    if not node.items:
        raise fail("KD103", node, "an empty list is no teacher", _choice((*scope.teachers, STUDENT)))
    faults = Faults()
    names: list[str] = []
    for item in node.items:
        with faults.gathered():
            names.append(_member(item, names, scope))
    faults.check()
    return tuple(names)


def missing_teacher(edge: Node, holder: Span, scope: Scope) -> Diagnostic:
    """The fault of an edge that names no teacher where there are several."""
    message = f"{edge.path}: an edge names its teacher where there are several"
    return Diagnostic("KD101", message, holder, f"add `teacher: …`, one of {', '.join(scope.teachers)}")


def role_names(mapping: Map) -> tuple[str, ...] | None:
    """The names that edges may use, before the teachers are read; None when these cannot be known."""
    if "teachers" in mapping.entries:
        several = mapping.get("teachers")
        return tuple(several.entries) if isinstance(several, Map) and several.entries else None
    one = mapping.get("teacher")
    if isinstance(one, Items) or (one is None and closest("teachers", mapping.entries)):
        return None  # teachers, written in another way
    model = one.get("model") if isinstance(one, Map) else one
    return () if isinstance(model, Text) and model.value == STUDENT else ("teacher",)


def join_teachers(mapping: Map, values: dict[str, Any]) -> None:
    """Put what was read of `teacher:` under `teachers`: nothing, where it is the student."""
    one = values.pop("teacher", None)
    if "teacher" in mapping.entries and "teachers" in mapping.entries:
        hint = "write `teachers` alone, with all of them"
        raise fail("KD111", mapping.entries["teachers"].key, "teacher and teachers in one spec", hint)
    if one is not None:
        values["teachers"] = {} if one.model == STUDENT else {"teacher": one}


def check_teachers(mapping: Map, values: Mapping[str, Any]) -> None:
    """Each teacher has to teach; one that has to be trained needs the data."""
    teachers = values.get("teachers", {})
    several = "teachers" in mapping.entries
    faults = [] if _has_data(mapping) else _untrainable(teachers, several)
    if "edges" in values:
        used = {role for edge in values["edges"].values() for role in edge.teacher}
        faults += _idle(teachers, used, several)
    if faults:
        raise SpecError(*faults)


def _has_data(mapping: Map) -> bool:
    data = mapping.get("data")
    return data is not None and not is_null(data)


def _untrainable(teachers: Mapping[str, TeacherSpec], several: bool) -> list[Diagnostic]:
    hint = "add `data: …`, or use a teacher that is trained already"
    found = []
    for name, teacher in teachers.items():
        if teacher.train is not None:
            place = f"teachers.{name}" if several else name
            message = f"{place}.train: the teacher is to be trained, but the spec has no data"
            found.append(Diagnostic("KD101", message, teacher.span("train"), hint))
    return found


def _idle(teachers: Mapping[str, TeacherSpec], used: set[str], several: bool) -> list[Diagnostic]:
    alone = "write `teacher: student` here, or an edge without a `teacher`"
    hint = "delete it, or name it in an edge" if several else alone
    return [
        Diagnostic("KD111", f"no edge has the teacher '{name}'", teacher.span(), hint)
        for name, teacher in teachers.items()
        if name not in used
    ]


def _member(node: Node, before: list[str], scope: Scope) -> str:
    """A name in a list of teachers."""
    if isinstance(node, Text) and node.value == STUDENT:
        hint = "write an edge of its own for it, `teacher: student`"
        raise fail("KD111", node, "the student is in no average of teachers", hint)
    name = _role(node, scope, scope.teachers)
    if name in before:
        raise fail("KD111", node, f"{quoted(name)} is in the list twice", "delete one of the two")
    return name


def _role(node: Node, scope: Scope, known: tuple[str, ...]) -> str:
    name = text(node, "the name of a teacher, or a list of names", _choice(known))
    if scope.teachers_known and name not in known:
        raise fail("KD105", node, f"no teacher is named {quoted(name)}", _meant(name, known))
    return name


def _choice(known: tuple[str, ...]) -> str:
    if set(known) <= {STUDENT}:
        return "the student teaches itself: write `teacher: student`, or delete the key"
    return f"the teachers are {', '.join(known)}"


def _meant(name: str, known: tuple[str, ...]) -> str:
    if "." in name:
        way = f"write `teachers: {{large: {name}}}` there, and here `teacher: large`"
        return f"models get names at the top of the spec: {way}"
    near = closest(name, known, n=1)
    return f"did you mean '{near[0]}'? {_choice(known)}" if near else _choice(known)
