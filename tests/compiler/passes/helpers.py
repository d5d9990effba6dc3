"""What tests of passes have in common."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from torch import nn

from kdgraph.compiler.api import plan
from kdgraph.compiler.passes.base import Pass, PassResult
from kdgraph.compiler.pipeline import PIPELINE
from kdgraph.errors import Diagnostic, GraphError
from kdgraph.graph.ir import DistillGraph
from kdgraph.graph.verify import verify
from tests.toys import spec, toy


def description(graph: DistillGraph) -> list[object]:
    """Everything in a graph, in its order."""
    return [(key, graph[key], graph.inputs(key)) for key in graph.order()] + [dict(graph.alias)]


def applied(step: Pass, graph: DistillGraph) -> PassResult:
    """A pass applied, and what every pass promises checked: the graph given stays, the new one is sound."""
    before = description(graph)
    result = step.run(graph)
    assert description(graph) == before, f"{step.name} changed its input"
    verify(result.graph, after=step.name)
    return result


def until(step: type[Pass], graph: DistillGraph) -> DistillGraph:
    """The graph that `step` is given in the pipeline."""
    for earlier in PIPELINE:
        if isinstance(earlier, step):
            return graph
        graph = applied(earlier, graph).graph
    raise AssertionError(f"{step} is not in the pipeline")


def faults(
    edges: str, student: nn.Module | None = None, teacher: nn.Module | None = None
) -> Sequence[Diagnostic]:
    """What planning these edges for two toys is refused with."""
    with pytest.raises(GraphError) as caught:
        plan(spec(edges), student=student or toy(), teacher=teacher or toy(16, seed=1))
    return caught.value.diagnostics


def marked(fault: Diagnostic) -> str:
    """The piece of the spec that the fault points at."""
    assert fault.span is not None
    return fault.span.text[fault.span.column - 1 : fault.span.end_column - 1]
