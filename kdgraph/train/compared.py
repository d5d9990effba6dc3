"""What an edge compares, as tensors: read from the graph that the run trains with, without its losses."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn

from kdgraph.compiler.distiller import Distiller
from kdgraph.compiler.frames import frame_of
from kdgraph.compiler.passes.insert_adapters import tap_of
from kdgraph.graph.ir import DistillGraph, Tap, Term
from kdgraph.spec.components import Layout

__all__ = ["Compared", "Side"]


@dataclass(frozen=True)
class Side:
    """One side of a term: the tap it reads, whose it is, and whether an adapter stands behind it."""

    role: str
    tap: str
    layout: Layout
    adapted: bool = False


@dataclass(frozen=True)
class _Pair:
    """The two sides of a term, the nodes that give their values, and the strides of the levels in them."""

    term: Term
    sides: tuple[Side, Side]
    nodes: tuple[fx.Node, fx.Node]
    strides: tuple[int, ...]


class Values(NamedTuple):
    """What a term compares, student's and teacher's: [B,C,H,W], or [B,C,A] along the anchors of `strides`."""

    term: Term
    sides: tuple[Side, Side]
    tensors: tuple[Tensor, Tensor]
    strides: tuple[int, ...]


class Compared:
    """The two tensors of each term of a Distiller, as its criteria get them, with another student in it.

    `graph` is the one that the Distiller was lowered from. `student` is a copy of its student, such as the
    EMA. It and the adapters are copied once more, into eval mode: neither batch-norm statistics nor flags
    of anything change. The teachers are the Distiller's own, which are in eval mode anyway.
    """

    def __init__(self, distiller: Distiller, graph: DistillGraph, student: nn.Module) -> None:
        self._pairs = list(_pairs(distiller, graph))
        self._device = next(student.parameters()).device
        copied = deepcopy(student).float().eval()
        self._module = _reader(distiller, copied, [node for pair in self._pairs for node in pair.nodes])

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Iterator[Values]:
        """What each term compares for images [B,C,H,W] in 0..1."""
        found = self._module(images.to(self._device))
        for number, pair in enumerate(self._pairs):
            ours, theirs = found[2 * number : 2 * number + 2]
            yield Values(pair.term, pair.sides, (ours, theirs), pair.strides)


def _pairs(distiller: Distiller, graph: DistillGraph) -> Iterator[_Pair]:
    """The terms of the edges that are still there."""
    results: Any = distiller.graph.output_node().args[0]
    terms = graph.of(Term)
    for edge, loss in results["losses"].items():
        own = {key: term for key, term in terms.items() if term.edge.name == edge}
        for (key, term), inputs in zip(own.items(), loss.args[0], strict=True):
            nodes = inputs["student"], inputs["teacher"]
            sides = _side(graph, key, "student", nodes[0]), _side(graph, key, "teacher", nodes[1])
            yield _Pair(term, sides, nodes, frame_of(graph, term.edge.teacher).strides)


def _side(graph: DistillGraph, key: str, side: str, node: fx.Node) -> Side:
    term, tap = graph[key], graph[tap_of(graph, key, side)]
    assert isinstance(term, Term)
    assert isinstance(tap, Tap)
    role = "student" if side == "student" else ", ".join(term.edge.teacher)
    name = term.taps[0 if side == "student" else 1]
    return Side(role, name, tap.layout, str(node.target).startswith("adapters."))


def _reader(distiller: Distiller, student: nn.Module, wanted: list[fx.Node]) -> fx.GraphModule:
    """The part of the Distiller's graph that `wanted` needs, with `student` in it: images in, values out."""
    needed, graph = _needed(wanted), fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    for node in distiller.graph.nodes:
        if node in needed or node.target == "images":
            copies[node] = graph.node_copy(node, copies.__getitem__)
    graph.output(tuple(copies[node] for node in wanted))
    return fx.GraphModule(_parts(distiller, student, graph), graph, class_name="Compared")


def _needed(wanted: list[fx.Node]) -> set[fx.Node]:
    """`wanted` and all that they are computed from."""
    found, left = set(wanted), list(wanted)
    while left:
        fresh = set(left.pop().all_input_nodes) - found
        found |= fresh
        left += fresh
    return found


def _parts(distiller: Distiller, student: nn.Module, graph: fx.Graph) -> dict[str, Any]:
    """What the graph's nodes call and read, by name."""
    parts: dict[str, Any] = {}
    for node in graph.nodes:
        if node.op in ("call_module", "get_attr"):
            root, path = str(node.target).split(".", 1)
            parts[str(node.target)] = _part(distiller, student, root, path)
    return parts


def _part(distiller: Distiller, student: nn.Module, root: str, path: str) -> Any:
    if root == "student":
        return attrgetter(path)(student)
    part = attrgetter(path)(getattr(distiller, root))
    return part if root == "teachers" else deepcopy(part).eval()
