"""The inside of a box: its nodes, laid out by Graphviz."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import pygraphviz
import torch.fx as fx

from kdgraph.draw.graphviz import laid_out
from kdgraph.draw.parts import Anatomy, Part
from kdgraph.draw.repeats import Repeat, repeats_of

__all__ = ["NODE_HEIGHT", "Frame", "Inside", "inside_of"]

NODE_HEIGHT = 36
_POINTS_PER_INCH = 72
Point = tuple[float, float]


@dataclass(frozen=True)
class Frame:
    """A repeated block drawn once: its centre and size, and how often it comes."""

    x: float
    y: float
    w: float
    h: float
    count: int


@dataclass(frozen=True)
class Inside:
    """Nodes of a part with the centres of their boxes, and the wires between them as Bézier curves.

    alike: the nodes that are not drawn, by the one that stands for them. A curve is a list of 1 + 3n points.
    y grows downwards from the top.
    """

    width: float
    height: float
    nodes: Mapping[fx.Node, tuple[Point, float]] = field(repr=False)  # centre, width
    wires: tuple[tuple[fx.Node, fx.Node, tuple[Point, ...]], ...] = field(repr=False)
    frames: tuple[Frame, ...]
    alike: Mapping[fx.Node, tuple[fx.Node, ...]] = field(repr=False)


def inside_of(
    anatomy: Anatomy, part: Part, widths: Mapping[fx.Node, float], keep: Collection[fx.Node] = ()
) -> Inside:
    """The nodes of a part, a repeated block once unless it holds a node of `keep`.

    widths: how wide the box of each node is, in points.
    """
    repeats = repeats_of(part.nodes, anatomy.facts, keep)
    twins = {node: twin for repeat in repeats for node, twin in repeat.others.items()}
    shown = [node for node in part.nodes if node not in twins]
    wires = _wires(part.nodes, twins)
    graph = pygraphviz.AGraph(directed=True, ranksep="0.3", nodesep="0.2", margin="0")
    for node in shown:
        graph.add_node(
            node.name, shape="box", fixedsize=True, label="",
            width=widths[node] / _POINTS_PER_INCH, height=NODE_HEIGHT / _POINTS_PER_INCH,
        )  # fmt: skip
    for source, target in wires:
        graph.add_edge(source.name, target.name)
    clusters = _cluster(graph, repeats, shown)
    laid_out(graph)
    return _read(graph, shown, widths, wires, clusters, _alike(twins))


def _alike(twins: Mapping[fx.Node, fx.Node]) -> dict[fx.Node, tuple[fx.Node, ...]]:
    found: dict[fx.Node, tuple[fx.Node, ...]] = {}
    for node in twins:
        shown = _drawn(node, twins)
        found[shown] = (*found.get(shown, ()), node)
    return found


def _drawn(node: fx.Node, twins: Mapping[fx.Node, fx.Node]) -> fx.Node:
    """The node that is drawn for a node: itself, or the same one of the first block."""
    while node in twins:
        node = twins[node]
    return node


def _wires(nodes: Iterable[fx.Node], twins: Mapping[fx.Node, fx.Node]) -> dict[tuple[fx.Node, fx.Node], None]:
    """What reads what, each once, the last of a repeated block giving on what the first does."""
    order = {node: i for i, node in enumerate(nodes)}
    pairs = (
        (_drawn(source, twins), _drawn(node, twins)) for node in order for source in node.all_input_nodes
    )
    return dict.fromkeys(
        (source, target) for source, target in pairs if source in order and order[source] < order[target]
    )


def _cluster(
    graph: pygraphviz.AGraph, repeats: Iterable[Repeat], shown: Collection[fx.Node]
) -> list[tuple[str, int]]:
    """A frame around what is drawn of each repeat."""
    made = []
    for number, repeat in enumerate(repeats):
        names = [node.name for node in repeat.first if node in shown]
        if names:
            name = f"cluster_{number}"
            graph.add_subgraph(names, name=name, label=f"×{repeat.count}", fontsize="11", margin="10")
            made.append((name, repeat.count))
    return made


def _read(
    graph: pygraphviz.AGraph,
    shown: Iterable[fx.Node],
    widths: Mapping[fx.Node, float],
    wires: Iterable[tuple[fx.Node, fx.Node]],
    clusters: Iterable[tuple[str, int]],
    alike: Mapping[fx.Node, tuple[fx.Node, ...]],
) -> Inside:
    _, _, width, height = _numbers(graph.graph_attr["bb"])

    def point(text: str) -> Point:
        x, y = _numbers(text)
        return x, round(height - y, 1)

    placed = {node: (point(graph.get_node(node.name).attr["pos"]), widths[node]) for node in shown}
    curves = []
    for source, target in wires:
        written = graph.get_edge(source.name, target.name).attr["pos"].split()
        end, points = point(written[0].removeprefix("e,")), [point(each) for each in written[1:]]
        curves.append((source, target, (*points[:-1], end)))
    frames = []
    for name, count in clusters:
        left, low, right, high = _numbers(graph.get_subgraph(name).graph_attr["bb"])
        middle = ((left + right) / 2, height - (low + high) / 2)
        frames.append(Frame(*middle, right - left, high - low, count))
    return Inside(width, height, placed, tuple(curves), tuple(frames), alike)


def _numbers(text: str) -> list[float]:
    return [float(number) for number in text.replace("\\\n", "").split(",")]
