"""Where numbers lie in memory."""

from __future__ import annotations

from torch import nn

from kdgraph.compiler.passes.base import Pass, PassResult
from kdgraph.graph.ir import DistillGraph


class Place(Pass):
    """Lets convolutional models compute channels last, as their kernels do; the values stay the same.

    before: images [B,C,H,W] ─▶ models      after: images ─▶ channels_last ─▶ models

    One conversion of the images decides it for everything behind them: convolutions, norms, activations and
    concatenations keep the order of their input. Otherwise each convolution reorders what it reads.
    """

    name = "place"

    def run(self, graph: DistillGraph) -> PassResult:
        convolutional = any(isinstance(op.module, nn.Conv2d) for op in graph.ops("student").values())
        if not convolutional:
            return PassResult(graph)
        graph = graph.copy()
        graph.channels_last = True
        return PassResult(graph, ("images channels last, and so all maps behind them",))
