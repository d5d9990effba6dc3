"""Shapes of every node, before any data is loaded."""

from __future__ import annotations

from kdgraph.compiler.passes.base import Pass, PassResult
from kdgraph.errors import Diagnostic
from kdgraph.graph.ir import DistillGraph, Role, op_key
from kdgraph.graph.shapes import infer_facts


class InferShapes(Pass):
    """Writes shape, dtype, parameters and FLOPs on every operation, from fake tensors.

    before: student:model_0_conv               after: student:model_0_conv [2,16,320,320] float32, 0.28 GFLOPs
    """

    name = "infer_shapes"
    needs_valid = False

    def run(self, graph: DistillGraph) -> PassResult:
        graph, notes, faults = graph.copy(), [], []
        roles: tuple[Role, ...] = ("student", "teacher")
        for role in roles:
            try:
                notes.append(_infer(graph, role))
            except RuntimeError as error:
                faults.append(_misfit(graph, role, error))
        return PassResult(graph, tuple(notes), tuple(faults))


def _infer(graph: DistillGraph, role: Role) -> str:
    model = graph.models[role]
    facts = infer_facts(model.module, graph.image_size, graph.batch, graph.channels)
    for node, fact in facts.items():
        graph.update(op_key(role, node), facts=fact)
    height, width = graph.image_size
    return f"{role}: {len(facts)} nodes at images of {graph.channels}×{height}×{width}"


def _misfit(graph: DistillGraph, role: Role, error: RuntimeError) -> Diagnostic:
    height, width = graph.image_size
    part = graph.spec.student if role == "student" else graph.spec.teacher
    first = str(error).splitlines()[0]
    return Diagnostic(
        "KD204",
        f"the {role} cannot take images of {graph.channels}×{height}×{width}: {first}",
        part.span("model"),
        hint="the image size must be a multiple of the largest stride, and the channels those of the model",
    )
