"""`student:` and `teacher:`."""

from __future__ import annotations

from kdgraph.errors import Span
from kdgraph.spec.nodes import Node, Text
from kdgraph.spec.reading.faults import Faults, spans_of
from kdgraph.spec.reading.values import as_map, text, truth
from kdgraph.spec.schema import ModelSpec, TeacherSpec, located
from kdgraph.spec.train_args import TEACHER, read_train

_EXAMPLE = "write a checkpoint such as yolo11n.pt, or a model yaml such as yolo11n.yaml"


def read_student(node: Node, holder: Span) -> ModelSpec:
    if isinstance(node, Text):
        return located(ModelSpec(model=_model(node)), {"": node.span, "model": node.span})
    mapping = as_map(node, "a model", _EXAMPLE)
    faults = Faults()
    readers = {"model": _model, "trust": truth}
    values = faults.fields(mapping, "the student", readers, required=["model"], holder=holder)
    faults.check()
    return located(ModelSpec(**values), spans_of(mapping))


def read_teacher(node: Node, holder: Span) -> TeacherSpec:
    if isinstance(node, Text):
        return located(TeacherSpec(model=_model(node)), {"": node.span, "model": node.span})
    mapping = as_map(node, "a model", _EXAMPLE)
    faults = Faults()
    readers = {"model": _model, "trust": truth, "train": lambda train: read_train(train, TEACHER)}
    values = faults.fields(mapping, "the teacher", readers, required=["model"], holder=holder)
    faults.check()
    return located(TeacherSpec(**values), spans_of(mapping))


def _model(node: Node) -> str:
    return text(node, "the name of a model", _EXAMPLE)
