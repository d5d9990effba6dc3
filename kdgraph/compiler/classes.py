"""Which classes of a student and its teachers are the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kdgraph.errors import Diagnostic, closest
from kdgraph.graph.ir import DistillGraph, Role, named
from kdgraph.graph.yolo import TracedModel

__all__ = ["Classes", "class_map_faults", "classes_in_common", "strangers"]

Groups = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Classes:
    """The classes in common: the student's numbers of them, and by teacher the numbers that each has there.

    Several of a teacher's classes may be one of the student's. `count` is how many the student has.
    """

    student: tuple[int, ...]
    teachers: Mapping[Role, Groups]
    count: int

    @property
    def whole(self) -> bool:
        """Whether every class of the student is among them."""
        return len(self.student) == self.count

    def groups(self, role: Role) -> Groups:
        return tuple((number,) for number in self.student) if role == "student" else self.teachers[role]


def classes_in_common(graph: DistillGraph, teachers: Sequence[Role]) -> Classes | None:
    """The classes that the student and all of these teachers know; None where one has no classes.

    A teacher's `classes:` says which of its classes is which of the student's; the others go by equal names,
    whatever their case. Where both have as many classes and one of them no names, they go by number.
    """
    models = [graph.models[role] for role in ("student", *teachers)]
    if not all(_names(model) for model in models):
        return None
    found = {role: _matched(graph, role) for role in teachers}
    count = len(_names(graph.models["student"]))
    common = tuple(number for number in range(count) if all(number in match for match in found.values()))
    groups = {role: tuple(match[number] for number in common) for role, match in found.items()}
    return Classes(common, groups, count)


def strangers(graph: DistillGraph, teachers: Sequence[Role]) -> str | None:
    """In words the student's classes that these teachers do not know; None where they know all, or none."""
    common = classes_in_common(graph, teachers)
    if common is None or common.whole or not common.student:
        return None
    names = [n for number, n in enumerate(_names(graph.models["student"])) if number not in common.student]
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return f"classes are compared without {shown}, unknown to the {' and '.join(map(named, teachers))}"


def class_map_faults(graph: DistillGraph) -> Iterator[Diagnostic]:
    """The names in the teachers' `classes:` that a model does not have (KD204)."""
    for role in graph.teachers:
        part = graph.spec.teachers[role]
        for theirs, ours in (part.classes or {}).items():
            for name, owner in ((theirs, role), (ours, "student")):
                names = _names(graph.models[owner])
                if _number(names, name) is None:
                    near = closest(name, names)
                    have = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
                    mend = f"did you mean '{near[0]}'?" if near else f"its classes are {have}"
                    mend = mend if names else "a model of your own has no classes by name"
                    message = f"classes: the {named(owner)} has no class '{name}'"
                    yield Diagnostic("KD204", message, part.span("classes") or part.span(), mend)


def _names(model: TracedModel) -> tuple[str, ...]:
    """The names of a model's classes; their numbers where it has none."""
    count = model.head.classes if model.head else len(model.class_names)
    return model.class_names if len(model.class_names) == count else tuple(map(str, range(count)))


def _matched(graph: DistillGraph, role: Role) -> dict[int, tuple[int, ...]]:
    """The student's class -> the teacher's classes that are it."""
    ours, theirs = _names(graph.models["student"]), _names(graph.models[role])
    written = (graph.spec.teachers[role].classes or {}) if role != "student" else {}
    pairs = [(_number(ours, own), _number(theirs, other)) for other, own in written.items()]
    told = {other for _, other in pairs}
    pairs += [(own, other) for own, other in _by_name(ours, theirs, bool(written)) if other not in told]
    matched: dict[int, tuple[int, ...]] = {}
    for own, other in pairs:
        if own is not None and other is not None:
            matched[own] = (*matched.get(own, ()), other)
    return matched


def _by_name(ours: Sequence[str], theirs: Sequence[str], written: bool) -> Iterator[tuple[int, int]]:
    """The student's and the teacher's number of a class; without names by number, if none was written."""
    if _nameless(ours) or _nameless(theirs):
        alike = len(ours) == len(theirs) and not written
        yield from ((number, number) for number in range(len(ours)) if alike)
        return
    numbers = {_plain(name): number for number, name in reversed(list(enumerate(ours)))}
    for other, name in enumerate(theirs):
        if _plain(name) in numbers:
            yield numbers[_plain(name)], other


def _number(names: Sequence[str], name: str) -> int | None:
    """The number of the class of that name, or of that number."""
    if name in names:
        return names.index(name)
    return int(name) if name.isdigit() and int(name) < len(names) else None


def _nameless(names: Sequence[str]) -> bool:
    """Whether the names are numbers, as of a model that was never trained on named data."""
    return all(name.removeprefix("class_") == str(number) for number, name in enumerate(names))


def _plain(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").split())
