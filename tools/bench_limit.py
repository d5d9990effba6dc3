"""What a distilled step cannot do without: the teacher's forward, pruned and folded, nothing around it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn

from kdgraph.compiler.distiller import Distiller

__all__ = ["TeacherForward", "compiled_teacher", "teacher_part"]

_OTHERS = ("student", "adapters", "signals", "edges")


def teacher_part(distiller: Distiller) -> fx.GraphModule:
    """A graph of images [B,C,H,W] to all that the rest of the Distiller's graph reads of its teachers."""
    graph = fx.Graph()
    values: dict[fx.Node, fx.Node] = {}
    for node in distiller.graph.nodes:
        if _teachers(node, values):
            values[node] = graph.node_copy(node, values.__getitem__)
    read = [
        new
        for old, new in values.items()
        if old.op != "placeholder" and not all(u in values for u in old.users)
    ]
    graph.output(tuple(read))
    module = fx.GraphModule(distiller._graph[0], graph)
    module.graph.eliminate_dead_code()
    module.recompile()
    return module


def _teachers(node: fx.Node, known: dict[fx.Node, fx.Node]) -> bool:
    """Whether a node depends on images and teachers only."""
    if node.op == "placeholder":
        return not known
    foreign = node.op in ("call_module", "get_attr") and str(node.target).split(".")[0] in _OTHERS
    return node.op != "output" and not foreign and all(source in known for source in node.all_input_nodes)


class TeacherForward:
    """The compiled forward of the teachers' part, without gradients."""

    def __init__(self, module: nn.Module, options: dict[str, Any]) -> None:
        self.module = module
        self._compiled = torch.compile(module, **options)

    def __call__(self, images: Tensor) -> Any:
        with torch.no_grad():
            return self._compiled(images)


def compiled_teacher(
    distiller: Distiller, batch: dict[str, Tensor], options: dict[str, Any]
) -> TeacherForward:
    """It is compiled at its first call."""
    return TeacherForward(teacher_part(distiller), options)
