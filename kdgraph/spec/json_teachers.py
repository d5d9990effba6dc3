"""The part of the spec's JSON Schema that is about teachers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

from kdgraph.spec.json_parts import SCALAR, TEXT, Schema, any_of, name, object_of, ref
from kdgraph.spec.reading.functions import PYTHON_PATTERN
from kdgraph.spec.reading.teachers import WITH_PYTHON, WITH_STUDENT
from kdgraph.spec.schema import SMALLEST_IMAGE, STUDENT, STUDENT_EMA, Precision, TeacherSpec

MODEL: Schema = {"model": TEXT, "trust": {"type": "boolean"}}
"""The keys that student and teachers have in common."""

_ONE = "the model that teaches, and is never changed; several are written as `teachers`"
_OWN = {
    STUDENT_EMA: "the moving average of the student's weights",
    STUDENT: "the student itself: its deeper layers teach its shallower ones",
}


def only_teacher() -> Schema:
    """`teacher:` of a spec."""
    return {"description": _ONE, **any_of(_own(STUDENT), ref("teacher"))}


def teacher(train: Schema) -> Schema:
    """A teacher; `train` is the schema of its train arguments."""
    model = {**TEXT, "not": {"const": STUDENT}}
    return any_of(_own(STUDENT_EMA), model, _map(train))


def of_edge() -> Schema:
    """`teacher:` of an edge."""
    return any_of(name(), {"type": "array", "items": name([STUDENT]), "minItems": 1, "uniqueItems": True})


def of_several_teachers() -> Schema:
    """With several teachers each edge names its own, so there is no recipe either."""
    several = {"required": ["teachers"], "properties": {"teachers": {"type": "object", "minProperties": 2}}}
    edges = {"type": "object", "additionalProperties": {"required": ["teacher"]}}
    return {"if": several, "then": {"properties": {"edges": edges}}}


def _map(train: Schema) -> Schema:
    schemas = {
        **MODEL,
        "train": train,
        "python": {"type": "string", "pattern": f"^{PYTHON_PATTERN}$"},
        "imgsz": {"type": "integer", "minimum": SMALLEST_IMAGE},
        "channels": {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1},
        "classes": _classes(),
        "precision": {"enum": [*get_args(Precision)]},
    }
    own = [
        {
            "if": {"required": ["model"], "properties": {"model": {"const": model}}},
            "then": _without(keys),
        }
        for model, keys in WITH_STUDENT.items()
    ]
    either = [
        {"required": ["model"], **_without(["python"])},
        {"required": ["python"], **_without(WITH_PYTHON)},
    ]
    return {**object_of(TeacherSpec, schemas), "oneOf": either, "allOf": own}


def _classes() -> Schema:
    scalar = any_of(TEXT, {"type": [kind for kind in SCALAR["type"] if kind != "string"]})
    return {"type": "object", "propertyNames": TEXT, "additionalProperties": scalar, "minProperties": 1}


def _own(model: str) -> Schema:
    return {"const": model, "description": _OWN[model]}


def _without(keys: Iterable[str]) -> Schema:
    return {"properties": dict.fromkeys(keys, False)}
