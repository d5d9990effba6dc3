"""Shapes of every node, before any data is loaded."""

from __future__ import annotations

from kdgraph.compiler.passes.base import Pass, PassResult
from kdgraph.errors import Diagnostic
from kdgraph.graph.ir import DistillGraph, Role, View, named, op_key
from kdgraph.graph.shapes import infer_facts


class InferShapes(Pass):
    """Writes shape, dtype, parameters and FLOPs on every operation, from fake tensors.

    before: student:model_0_conv               after: student:model_0_conv [2,16,320,320] float32, 0.28 GFLOPs
    """

    name = "infer_shapes"
    needs_valid = False

    def run(self, graph: DistillGraph) -> PassResult:
        graph, notes, faults = graph.copy(), [], []
        for role in graph.models:
            try:
                notes.append(_infer(graph, role))
            except RuntimeError as error:
                faults.append(_misfit(graph, role, error))
        return PassResult(graph, tuple(notes), tuple(faults))


def _infer(graph: DistillGraph, role: Role) -> str:
    model, view = graph.models[role], graph.views[role]
    facts = infer_facts(model.module, view.size, graph.batch, view.channels)
    for node, fact in facts.items():
        graph.update(op_key(role, node), facts=fact)
    return f"{role}: {len(facts)} nodes at images of {_shown(view)}"


def _misfit(graph: DistillGraph, role: Role, error: RuntimeError) -> Diagnostic:
    part = graph.spec.student if role == "student" else graph.spec.teachers[role]
    first = str(error).splitlines()[0]
    return Diagnostic(
        "KD204",
        f"the {named(role)} cannot take images of {_shown(graph.views[role])}: {first}",
        part.span("model") or part.span(),
        hint="the image size must be a multiple of the largest stride, and the channels those of the model",
    )


def _shown(view: View) -> str:
    height, width = view.size
    return f"{view.channels}×{height}×{width}"
