"""`student:`, and what the models of a spec have in common."""

from __future__ import annotations

from kdgraph.errors import Span
from kdgraph.spec.nodes import Node, Text
from kdgraph.spec.reading.faults import Faults, Reader, spans_of
from kdgraph.spec.reading.values import as_map, fail, text, truth
from kdgraph.spec.schema import STUDENT, STUDENT_EMA, ModelSpec, located
from kdgraph.spec.train_args import arguments

EXAMPLE = "write a checkpoint such as yolo11n.pt, or a model yaml such as yolo11n.yaml"

_AT_TOP = "the student's train arguments are written as `train:` at the top of the spec"
_OWN = "a student of your own is passed in Python: kdgraph.compile(spec, student=model)"


def read_student(node: Node, holder: Span) -> ModelSpec:
    if isinstance(node, Text):
        return located(ModelSpec(model=_model(node)), {"": node.span, "model": node.span})
    mapping = as_map(node, "a model", EXAMPLE)
    faults = Faults()
    readers: dict[str, Reader] = {"model": _model, "trust": read_trust}
    required = [] if "python" in mapping.entries else ["model"]  # one fault is enough
    elsewhere = {**misplaced(_AT_TOP), "python": _OWN}
    values = faults.fields(mapping, "the student", readers, required, holder=holder, elsewhere=elsewhere)
    faults.check()
    return located(ModelSpec(**values), spans_of(mapping))


def _model(node: Node) -> str:
    name = read_model(node)
    if name in (STUDENT, STUDENT_EMA):
        hint = f"{EXAMPLE}, and `teacher: {name}`"
        raise fail("KD104", node, f"'{name}' stands for the student where a teacher is named", hint)
    return name


def misplaced(hint: str) -> dict[str, str]:
    """Train arguments that stand beside the model."""
    return dict.fromkeys(["train", *(name for name in arguments() if name != "model")], hint)


def read_trust(node: Node) -> bool:
    return truth(node, "true loads the checkpoint without restrictions; it can then run any code")


def read_model(node: Node) -> str:
    return text(node, "the name of a model", EXAMPLE)
