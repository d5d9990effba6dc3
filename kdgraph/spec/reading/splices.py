"""`splice:`, where the student's features enter the teacher: taps, or {at: taps, standardise: false}."""

from __future__ import annotations

from kdgraph.spec.nodes import Map, Node
from kdgraph.spec.reading.faults import Faults, Reader, spans_of
from kdgraph.spec.reading.scope import Scope
from kdgraph.spec.reading.taps import read_taps
from kdgraph.spec.reading.values import truth
from kdgraph.spec.schema import SpliceSpec, located

_STANDARDISE = "true brings the student's features to the teacher's mean and deviation per channel"
_SIDE = "write both sides behind `at`: {at: {student: …, teacher: …}}"


def read_splice(node: Node, scope: Scope) -> SpliceSpec:
    if not isinstance(node, Map) or (
        node.entries.keys() & {"student", "teacher"} and "at" not in node.entries
    ):
        return located(SpliceSpec(at=read_taps(node, scope.named)), {"": node.span, "at": node.span})
    faults = Faults()
    readers: dict[str, Reader] = {
        "at": lambda at: read_taps(at, scope.named),
        "standardise": lambda value: truth(value, _STANDARDISE),
    }
    elsewhere = dict.fromkeys(("student", "teacher"), _SIDE)
    values = faults.fields(node, "a splice", readers, ["at"], elsewhere=elsewhere)
    faults.check()
    return located(SpliceSpec(**values), spans_of(node))
