"""What a pass is: DistillGraph in, DistillGraph out, and an account of what it did.

    class NameOfPass(Pass):
        def run(self, graph): -> PassResult(graph', notes, diagnostics)

A pass never changes the graph it is given, and says what it did in `notes`, one line each. Passes that
look for the user's mistakes return diagnostics instead of raising, so that all passes' findings come
together; a pass with `needs_valid` is only run once none are left.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import ClassVar

from kdgraph.errors import Diagnostic, GraphError
from kdgraph.graph.ir import DistillGraph
from kdgraph.graph.verify import verify

__all__ = ["Account", "Pass", "PassResult", "Sequential", "Stats"]


@dataclass(frozen=True)
class PassResult:
    """The graph after a pass, a line for each thing done, and the mistakes it found in the spec."""

    graph: DistillGraph
    notes: tuple[str, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True)
class Stats:
    """Size of one model's part: nodes, parameters, and FLOPs of one image's forward."""

    nodes: int
    params: int
    flops: int

    @classmethod
    def of(cls, graph: DistillGraph, role: str) -> Stats:
        ops = [op for op in graph.ops(role).values() if op.node.op not in ("placeholder", "output")]
        batch = graph.batch
        return cls(len(ops), sum(op.facts.params for op in ops), sum(op.facts.flops for op in ops) // batch)


@dataclass(frozen=True)
class Account:
    """What `kdgraph explain` tells of one pass. `before` and `after` are by model, the student first."""

    name: str
    summary: str
    notes: tuple[str, ...]
    before: tuple[Stats, ...]
    after: tuple[Stats, ...]
    seconds: float


class Pass(ABC):
    """One step of the compiler. The first line of its docstring is its summary."""

    name: ClassVar[str]
    needs_valid: ClassVar[bool] = True

    @abstractmethod
    def run(self, graph: DistillGraph) -> PassResult:
        """The graph with this pass applied; `graph` itself stays as it was."""


class Sequential:
    """Runs passes in order, verifying the graph's invariants after each.

    Raises GraphError with all diagnostics that the passes found, once the next pass needs a valid graph.
    """

    def __init__(self, passes: Sequence[Pass]) -> None:
        self.passes = tuple(passes)

    def run(self, graph: DistillGraph) -> tuple[DistillGraph, tuple[Account, ...]]:
        accounts: list[Account] = []
        found: list[Diagnostic] = []
        after = _stats(graph)
        for step in self.passes:
            if step.needs_valid and found:
                break
            before, start = after, perf_counter()
            result = step.run(graph)
            seconds = perf_counter() - start
            graph, after = result.graph, _stats(result.graph)
            found.extend(result.diagnostics)
            verify(graph, after=step.name)
            summary = (type(step).__doc__ or "").splitlines()[0]
            accounts.append(Account(step.name, summary, result.notes, before, after, seconds))
        if found:
            raise GraphError(*found)
        return graph, tuple(accounts)


def _stats(graph: DistillGraph) -> tuple[Stats, ...]:
    return tuple(Stats.of(graph, role) for role in graph.models)
