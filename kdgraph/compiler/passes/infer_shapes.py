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
            except Exception as error:  # a module of the user's own fails in whatever way its code does
                faults.append(_misfit(graph, role, error))
        return PassResult(graph, tuple(notes), tuple(faults))


def _infer(graph: DistillGraph, role: Role) -> str:
    model, view = graph.models[role], graph.views[role]
    facts = infer_facts(model.module, view.size, graph.batch, view.channels)
    for node, fact in facts.items():
        graph.update(op_key(role, node), facts=fact)
    return f"{role}: {len(facts)} nodes at images of {_shown(view)}"


def _misfit(graph: DistillGraph, role: Role, error: Exception) -> Diagnostic:
    part = graph.spec.student if role == "student" else graph.spec.teachers[role]
    view, first = graph.views[role], (str(error).splitlines() or [type(error).__name__])[0]
    what, hint = f": {first}", "give it images as it takes them: `imgsz: 224` beside its `python`"
    if not graph.models[role].foreign:
        odd = next((side for side in view.size if side % view.stride), None)
        what = f": {odd} is no multiple of {view.stride}" if odd else what
        near = [(odd or 0) // view.stride * view.stride + more for more in (0, view.stride)]
        hint = f"use {near[0] or near[1]} or {near[1]}" if odd else "the channels must be those of the model"
    message = f"the {named(role)} cannot take images of {_shown(view)}{what}"
    return Diagnostic("KD204", message, part.span("model") or part.span("python") or part.span(), hint)


def _shown(view: View) -> str:
    height, width = view.size
    return f"{view.channels}×{height}×{width}"
