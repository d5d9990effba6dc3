"""What an edge compares, as tensors: read from the graph that the run trains with, without its losses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn

from kdgraph.compiler.distiller import Distiller
from kdgraph.compiler.frames import frame_of
from kdgraph.compiler.passes.insert_adapters import tap_of
from kdgraph.graph.ir import DistillGraph, Tap, Term
from kdgraph.spec.components import Layout

__all__ = ["Compared", "Pair", "Side", "pairs_of"]


@dataclass(frozen=True)
class Side:
    """One side of a term: the tap it reads, whose it is, and whether an adapter stands behind it."""

    role: str
    tap: str
    layout: Layout
    adapted: bool = False


@dataclass(frozen=True)
class Pair:
    """The two sides of a term, and the strides of the levels in them."""

    term: Term
    sides: tuple[Side, Side]
    strides: tuple[int, ...]


def pairs_of(graph: DistillGraph) -> tuple[Pair, ...]:
    """What the terms of a planned graph compare, to keep without the graph: that holds whole teachers."""
    return tuple(
        Pair(
            term,
            (_side(graph, key, term, "student"), _side(graph, key, term, "teacher")),
            frame_of(graph, term.edge.teacher).strides,
        )
        for key, term in graph.of(Term).items()
    )


def _side(graph: DistillGraph, key: str, term: Term, side: str) -> Side:
    tap = graph[tap_of(graph, key, side)]
    assert isinstance(tap, Tap)
    if side == "student":
        return Side("student", term.taps[0], tap.layout)
    return Side(", ".join(term.edge.teacher), term.taps[1], tap.layout)


class Values(NamedTuple):
    """What a term compares, student's and teacher's: [B,C,H,W], or [B,C,A] along the anchors of `strides`."""

    term: Term
    sides: tuple[Side, Side]
    tensors: tuple[Tensor, Tensor]
    strides: tuple[int, ...]


class Compared:
    """The two tensors of each term of a Distiller, as its criteria get them, with another student in it.

    `pairs` are those of the graph that the Distiller was lowered from. `student` is a copy of its student,
    such as the EMA. It and the adapters are copied once more, into eval mode: neither batch-norm statistics
    nor flags of anything change. The teachers are the Distiller's own, which are in eval mode anyway.
    """

    def __init__(self, distiller: Distiller, pairs: Sequence[Pair], student: nn.Module) -> None:
        found = list(_found(distiller, pairs))
        self._pairs = [pair for pair, *_ in found]
        self._device = next(student.parameters()).device
        copied = deepcopy(student).float().eval()
        self._module = _reader(distiller, copied, [node for _, *nodes in found for node in nodes])

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Iterator[Values]:
        """What each term compares for images [B,C,H,W] in 0..1."""
        found = self._module(images.to(self._device))
        for number, pair in enumerate(self._pairs):
            ours, theirs = found[2 * number : 2 * number + 2]
            yield Values(pair.term, pair.sides, (ours, theirs), pair.strides)


def _found(distiller: Distiller, pairs: Sequence[Pair]) -> Iterator[tuple[Pair, fx.Node, fx.Node]]:
    """The pairs whose edges are still there, and the nodes that give the values of their two sides."""
    results: Any = distiller.graph.output_node().args[0]
    for edge, loss in results["losses"].items():
        own = [pair for pair in pairs if pair.term.edge.name == edge]
        for pair, inputs in zip(own, loss.args[0], strict=True):
            nodes = inputs["student"], inputs["teacher"]
            ours, theirs = (replace(s, adapted=_adapted(n)) for s, n in zip(pair.sides, nodes, strict=True))
            yield replace(pair, sides=(ours, theirs)), *nodes


def _adapted(node: fx.Node) -> bool:
    return str(node.target).startswith("adapters.")


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
