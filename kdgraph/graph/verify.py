"""The IR's invariants. A graph that breaks one is a fault of a pass, not of the user."""

from __future__ import annotations

from collections.abc import Iterator

import torch.fx as fx

from kdgraph.graph.ir import LISTS, Adapter, Align, DistillGraph, Op, Signal, Splice, Tap, Term

__all__ = ["InvariantError", "overwritten", "verify"]


class InvariantError(RuntimeError):
    """A pass left a graph that cannot be lowered; names the pass, the vertex and the fault."""


def verify(graph: DistillGraph, after: str) -> None:
    """Raise InvariantError when a pass (`after`) left the graph unsound."""
    faults = [*_whole(graph), *_operations(graph), *_taps(graph), *_terms(graph)]
    if faults:
        raise InvariantError(f"after {after}: " + "; ".join(faults))


def overwritten(node: fx.Node) -> bool:
    """Whether a later operation writes to this node's value, so that who reads it may find another one."""
    return any(_writes(user) and user.args[:1] == (node,) for user in node.users)


def _writes(node: fx.Node) -> bool:
    """Whether a node writes to its first argument: `x += y`, `x.add_(y)`, `relu(x, inplace=True)`."""
    if node.kwargs.get("inplace") is True:
        return True
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    if node.op == "call_method":
        return name.endswith("_") and not name.endswith("__")
    return node.op == "call_function" and name in ("iadd", "isub", "imul", "itruediv", "setitem")


def _whole(graph: DistillGraph) -> Iterator[str]:
    if not graph.is_acyclic():
        yield "the graph has a cycle"
    if graph.output("student") is None:
        yield "the student's output is gone"


def _operations(graph: DistillGraph) -> Iterator[str]:
    for key, op in graph.of(Op).items():
        given = {source for port, source in graph.inputs(key) if port == "arg"}
        for source in op.node.all_input_nodes:
            if graph.argument(op, source) not in given:
                yield f"{key} lost its argument {source.name}"


def _taps(graph: DistillGraph) -> Iterator[str]:
    for key, tap in graph.of(Tap).items():
        source = graph.source(key, "value")
        vertex = graph[source] if source else None
        if not isinstance(vertex, Op) or vertex.role != tap.role:
            yield f"{key} reads no operation of the {tap.role}"
        elif overwritten(vertex.node):
            yield f"{key} is overwritten in place by a later operation"


def _terms(graph: DistillGraph) -> Iterator[str]:
    for key in graph.of(Term):
        ports = sorted(port for port, _ in graph.inputs(key))
        sides = ports.count("teacher"), ports.count("student") + ("splice" in ports)
        if sides != (1, 1) or _doubled(ports):
            yield f"{key} has the inputs {ports}"
        if graph.users(key):
            yield f"{key} is read by {graph.users(key)}"
    for key in [*graph.of(Signal), *graph.of(Align)]:
        ports = sorted(port for port, _ in graph.inputs(key))
        if not ports or _doubled(ports):
            yield f"{key} has the inputs {ports}"
    for key in [*graph.of(Adapter), *graph.of(Splice)]:
        if sorted(port for port, _ in graph.inputs(key)) != ["student", "teacher"]:
            yield f"{key} does not see a student and a teacher"


def _doubled(ports: list[str]) -> set[str]:
    """The ports that take one value and are given several."""
    return {port for port in ports if ports.count(port) > 1} - LISTS
