"""`teacher:` and `teachers:`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from kdgraph.errors import Span
from kdgraph.spec.nodes import Entry, Items, Map, Node, Text
from kdgraph.spec.reading.faults import Faults, Reader, spans_of
from kdgraph.spec.reading.functions import read_python
from kdgraph.spec.reading.models import EXAMPLE, misplaced, read_model, read_trust
from kdgraph.spec.reading.names import check_name
from kdgraph.spec.reading.scope import Scope
from kdgraph.spec.reading.values import as_map, fail
from kdgraph.spec.reading.views import read_channels, read_classes, read_image_size, read_precision
from kdgraph.spec.schema import STUDENT, STUDENT_EMA, TeacherSpec, located
from kdgraph.spec.train_args import TEACHER, read_train

__all__ = ["RESERVED", "WITH_PYTHON", "WITH_STUDENT", "read_teacher", "read_teachers"]

RESERVED = (STUDENT, "teacher")
"""Names that `teachers` may not have: they have a meaning of their own in an edge."""

WITH_PYTHON: tuple[str, ...] = ("model", "trust", "train")
"""Keys that a teacher of a Python function has no use for."""

WITH_STUDENT: Mapping[str, tuple[str, ...]] = {
    STUDENT: ("trust", "train", "imgsz", "channels", "classes", "precision"),
    STUDENT_EMA: ("trust", "train", "channels", "classes", "precision"),
}
"""The same for a teacher that is the student: its average may see the images at another size."""

_IN_TRAIN = (
    "the teacher's train arguments are written in its `train:`, for a teacher that is yet to be trained"
)
_SEVERAL = "write {large: yolo11x.pt, old: yolov8m.pt}, and in each edge `teacher: large`"
_LIST = (
    "several have names: `teachers: {large: yolo11x.pt, old: yolov8m.pt}`, and in each edge `teacher: large`"
)
_OWN = "`student.ema` is the student's moving average, `student` the student itself"


def read_teacher(node: Node, holder: Span, scope: Scope) -> TeacherSpec:
    """One teacher: the name of a model, `student`, `student.ema`, or a map."""
    if isinstance(node, Text):
        return located(TeacherSpec(model=_model(node)), {"": node.span, "model": node.span})
    mapping = as_map(node, "a model", _LIST if isinstance(node, Items) else EXAMPLE)
    faults = Faults()
    readers: dict[str, Reader] = {
        "model": _model,
        "trust": read_trust,
        "train": lambda train: read_train(train, TEACHER),
        "python": partial(read_python, scope=scope),
        "imgsz": read_image_size,
        "channels": read_channels,
        "classes": read_classes,
        "precision": read_precision,
    }
    required = [] if "python" in mapping.entries else ["model"]
    elsewhere = {key: hint for key, hint in misplaced(_IN_TRAIN).items() if key not in readers}
    values = faults.fields(mapping, "the teacher", readers, required, holder=holder, elsewhere=elsewhere)
    with faults.gathered():
        _check_together(mapping, values.get("model"))
    faults.check()
    return located(TeacherSpec(**{"model": values.get("python"), **values}), spans_of(mapping))


def read_teachers(node: Node, scope: Scope) -> dict[str, TeacherSpec]:
    """Several teachers by name."""
    mapping = as_map(node, "a map from names to teachers", _SEVERAL)
    if not mapping.entries:
        raise fail("KD103", node, "has no teacher", _SEVERAL)
    faults = Faults()
    teachers: dict[str, TeacherSpec] = {}
    for name, entry in mapping.entries.items():
        with faults.gathered():
            _check_role(entry.key)
        with faults.gathered():
            teachers[name] = _read_entry(entry, scope)
    faults.check()
    return teachers


def _read_entry(entry: Entry, scope: Scope) -> TeacherSpec:
    teacher = read_teacher(entry.value, entry.key.span, scope)
    if teacher.model == STUDENT:
        hint = "delete it: an edge may say `teacher: student` without it"
        raise fail("KD111", entry.value, "the student itself is no entry of `teachers`", hint)
    return teacher


def _check_role(key: Text) -> None:
    check_name(key, "a teacher")
    if key.value in RESERVED:
        raise fail("KD107", key, f"a teacher cannot be named {key.value!r}", "name it after its model")


def _model(node: Node) -> str:
    """A model, or the student in one of its two ways to teach."""
    name = read_model(node)
    stem, _, suffix = name.partition(".")
    meant = stem.casefold() == STUDENT and suffix not in ("pt", "yaml", "yml")
    if meant and name not in WITH_STUDENT:
        near = STUDENT_EMA if suffix else STUDENT
        raise fail("KD104", node, f"'{name}' is no teacher", f"did you mean '{near}'? {_OWN}")
    return name


def _check_together(node: Map, model: str | None) -> None:
    """Keys that have no use beside each other."""
    if "python" in node.entries:
        forbidden, what = WITH_PYTHON, "`python`"
        reason = "the function gives a model that is ready to teach"
    else:
        forbidden, what = WITH_STUDENT.get(model or "", ()), f"`model: {model}`"
        reason = "the teacher is the student, with its weights, classes and channels"
    faults = Faults()
    for key in forbidden:
        if key in node.entries:
            with faults.gathered():
                hint = f"delete one of the two: {reason}"
                raise fail("KD111", node.entries[key].key, f"{key} beside {what}", hint)
    faults.check()
