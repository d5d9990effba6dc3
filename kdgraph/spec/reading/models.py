"""`student:` and `teacher:`."""

from __future__ import annotations

from kdgraph.errors import Span
from kdgraph.spec.nodes import Node, Text
from kdgraph.spec.reading.faults import Faults, Reader, spans_of
from kdgraph.spec.reading.values import as_map, text, truth
from kdgraph.spec.schema import ModelSpec, TeacherSpec, located
from kdgraph.spec.train_args import TEACHER, arguments, read_train

_EXAMPLE = "write a checkpoint such as yolo11n.pt, or a model yaml such as yolo11n.yaml"

_AT_TOP = "the student's train arguments are written as `train:` at the top of the spec"
_IN_TRAIN = (
    "the teacher's train arguments are written in its `train:`, for a teacher that is yet to be trained"
)


def read_student(node: Node, holder: Span) -> ModelSpec:
    if isinstance(node, Text):
        return located(ModelSpec(model=_model(node)), {"": node.span, "model": node.span})
    mapping = as_map(node, "a model", _EXAMPLE)
    faults = Faults()
    readers: dict[str, Reader] = {"model": _model, "trust": _trust}
    values = faults.fields(
        mapping, "the student", readers, ["model"], holder=holder, elsewhere=_misplaced(_AT_TOP)
    )
    faults.check()
    return located(ModelSpec(**values), spans_of(mapping))


def read_teacher(node: Node, holder: Span) -> TeacherSpec:
    if isinstance(node, Text):
        return located(TeacherSpec(model=_model(node)), {"": node.span, "model": node.span})
    mapping = as_map(node, "a model", _EXAMPLE)
    faults = Faults()
    readers: dict[str, Reader] = {
        "model": _model,
        "trust": _trust,
        "train": lambda train: read_train(train, TEACHER),
    }
    elsewhere = _misplaced(_IN_TRAIN)
    values = faults.fields(mapping, "the teacher", readers, ["model"], holder=holder, elsewhere=elsewhere)
    faults.check()
    return located(TeacherSpec(**values), spans_of(mapping))


def _misplaced(hint: str) -> dict[str, str]:
    """Train arguments that stand beside the model."""
    return dict.fromkeys(["train", *(name for name in arguments() if name != "model")], hint)


def _trust(node: Node) -> bool:
    return truth(node, "true loads the checkpoint without restrictions; it can then run any code")


def _model(node: Node) -> str:
    return text(node, "the name of a model", _EXAMPLE)
