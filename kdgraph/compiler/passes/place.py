"""How the numbers of a tensor lie in memory, and which numbers they are."""

from __future__ import annotations

import torch
from torch import nn

from kdgraph.compiler.passes.base import Pass, PassResult
from kdgraph.graph.ir import DistillGraph, named


class Place(Pass):
    """Lets convolutional models compute channels last, and a teacher in the precision that the spec gives it.

    before: images [B,C,H,W] ─▶ models      after: images ─▶ channels_last ─┬▶ student
                                                                            └▶ bfloat16 ─▶ teacher ─▶ float32

    One conversion of the images decides it for everything behind them: convolutions, norms, activations and
    concatenations keep the order of their input. Otherwise each convolution reorders what it reads. What
    edges read of a teacher is brought back to the numbers of the images.
    """

    name = "place"

    def run(self, graph: DistillGraph) -> PassResult:
        graph, notes = graph.copy(), []
        if any(isinstance(op.module, nn.Conv2d) for op in graph.ops("student").values()):
            graph.channels_last = True
            notes.append("images channels last, and so all maps behind them")
        wanted = {role: graph.spec.teachers[role].precision for role in graph.teachers}
        graph.precision = {role: getattr(torch, name) for role, name in wanted.items() if name is not None}
        notes += [f"{named(role)}: computes in {wanted[role]}" for role in graph.precision]
        return PassResult(graph, tuple(notes))
