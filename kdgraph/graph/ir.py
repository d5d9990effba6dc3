"""DistillGraph, the compiler's IR: the models, taps, adapters, signals and loss terms in one multigraph.

The only file that imports networkx. A vertex is a frozen dataclass under a readable key
(`teacher:model_16_cv2_conv`); an edge carries the port of the vertex it enters (`student`, `mask`, ...);
a port may take several edges, in the order in which they were connected.
Passes treat a graph as a value: they work on `copy()` and return it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import networkx as nx
import torch.fx as fx
from torch import nn

from kdgraph.graph.shapes import Facts
from kdgraph.graph.yolo import TracedModel
from kdgraph.spec.components import Layout
from kdgraph.spec.schema import Component, EdgeSpec, Spec

__all__ = [
    "LISTS",
    "Adapter",
    "Align",
    "DistillGraph",
    "Input",
    "Op",
    "Role",
    "Signal",
    "Splice",
    "Tap",
    "Term",
    "Vertex",
    "View",
    "named",
    "op_key",
]

Role = str
"""`student`, or the name of a teacher: `teacher` where there is one."""

LISTS = frozenset({"feats", "like", "maps", "masks", "objects", "splice", "teacher_branches", "several"})
"""Ports of terms, signals and alignments that take several values; the others take one."""


@dataclass(frozen=True)
class View:
    """The images as a model sees them: (height, width) in pixels, and its channels.

    `pick` are the channels of the batch's images that it sees; None lets their number decide. `scale` is its
    size over the student's, `stride` what its sides must be multiples of.
    """

    size: tuple[int, int]
    channels: int = 3
    pick: tuple[int, ...] | None = None
    scale: float = 1.0
    stride: int = 32


@dataclass(frozen=True)
class Op:
    """One node of a traced model.

    `folded` is the batch norm that fold_teacher moved into it. `splice` names the splice for which the node
    is computed once more, on what comes from the student; None is the model's own.
    """

    role: Role
    node: fx.Node = field(repr=False)
    module: nn.Module | None = field(default=None, repr=False)
    facts: Facts = field(default_factory=Facts)
    folded: nn.Module | None = field(default=None, repr=False)
    splice: str | None = None

    @property
    def path(self) -> str:
        return str(self.node.meta.get("path", self.node.name))


@dataclass(frozen=True)
class Input:
    """A part of the batch other than the images: `batch_idx`, `cls` or `bboxes`."""

    name: str


@dataclass(frozen=True)
class Tap:
    """A named point of one model that an edge reads; `level` is its P-level, where it has one."""

    role: Role
    name: str
    layout: Layout
    level: str | None


@dataclass(frozen=True)
class Align:
    """Brings a model's tensor to where it can be compared: the levels, classes, bins and cells in common.

    `kind` is one of `classes`, `gathered` (anchors of some levels), `regridded` (one level in other cells),
    `rebinned`, `scaled`, `scaled_keypoints`, `averaged` (several teachers): functions of `kdgraph.nn.align`,
    whose arguments are the ports `values`, `maps`, `like`, `several` and the options. `shape` is the
    result's.
    """

    name: str
    kind: str
    options: tuple[tuple[str, Any], ...]
    shape: tuple[int, ...] | None


@dataclass(frozen=True)
class Adapter:
    """Takes the student's tensor to the teacher's shape. Ports: `student`, `teacher` (its size only)."""

    name: str
    kind: str
    options: tuple[tuple[str, Any], ...]
    channels: tuple[int, int]  # student, teacher


@dataclass(frozen=True)
class Signal:
    """A value made of the heads' outputs and the labels, for criteria and masks to read; a mask is one.

    `kind` is the name of a mask, or `assign`, `label`, `target_box`, `instances`, `level` (the piece of one
    level), `product`, `gathered` (the anchors of some levels), `remapped` (classes under other numbers),
    `enclosing` (boxes around rotated ones). Its ports are the arguments it is computed from. `cells` are the
    positions it has a value for: (A,) along the anchor axis, (H, W) at a level, None where it is not by
    position. `strides` are those of the levels that its maps are of, finest first.
    """

    name: str
    kind: str
    options: tuple[tuple[str, Any], ...] = ()
    cells: tuple[int, ...] | None = None
    strides: tuple[int, ...] = ()


@dataclass(frozen=True)
class Splice:
    """Where the student's tensor enters the teacher's graph. Ports: `student`, `teacher`.

    It gives the student's tensor, with the teacher's mean and deviation per channel if `standardise`.
    """

    edge: EdgeSpec = field(repr=False)
    name: str
    standardise: bool


@dataclass(frozen=True)
class Term:
    """One criterion between two taps: an edge at one level.

    Ports: `student`, `teacher`, `mask`, and the signals that the criterion reads; `splice` in place of
    `student` until splice_teacher has run. `taps` are the names that the edge gives its two taps (merged taps
    forget all but the first); what comes through a splice goes by `entry>tap`.
    """

    edge: EdgeSpec = field(repr=False)
    name: str
    level: str | None
    criterion: Component
    taps: tuple[str, str]  # student, teacher


Vertex = Op | Input | Tap | Align | Adapter | Signal | Splice | Term
V = TypeVar("V", Op, Input, Tap, Align, Adapter, Signal, Splice, Term)


class DistillGraph:
    """The multigraph and what it was made from.

    `models` are the traced student and its teachers, `spec` the experiment. `views` are the images, `batch`
    of them, at which shapes are inferred: the student's of `image_size` (height, width in pixels) and
    `channels`, and a teacher's own where it has some. `alias` maps a vertex that a pass removed to the one
    that now gives its value. `shared` are operations of the student at which its edges are balanced.
    `left_out` says in words what of the taps has no counterpart.
    """

    def __init__(
        self,
        spec: Spec,
        models: Mapping[Role, TracedModel],
        image_size: tuple[int, int],
        channels: int = 3,
        views: Mapping[Role, View] | None = None,
    ) -> None:
        self.spec = spec
        self.models = dict(models)
        seen = View(image_size, channels)
        self.views = {role: (views or {}).get(role, seen) for role in models}
        self.batch = 2  # one image would make batch statistics of 1×1 maps undefined
        self.alias: dict[str, str] = {}
        self.left_out: tuple[str, ...] = ()
        self.shared: tuple[str, ...] = ()
        self._graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
        for role, model in self.models.items():
            self._add_model(role, model)

    def _add_model(self, role: Role, model: TracedModel) -> None:
        for node in model.module.graph.nodes:
            leaf = model.module.get_submodule(str(node.target)) if node.op == "call_module" else None
            self._graph.add_node(op_key(role, node), vertex=Op(role, node, leaf))
            for source in node.all_input_nodes:
                self.connect(op_key(role, source), op_key(role, node), "arg")

    def copy(self) -> DistillGraph:
        """A graph that can change without changing this one. The models are shared."""
        twin = object.__new__(DistillGraph)
        twin.__dict__.update(self.__dict__, alias=dict(self.alias), _graph=self._graph.copy())
        return twin

    # Reading

    def __contains__(self, key: str) -> bool:
        return key in self._graph

    def __getitem__(self, key: str) -> Vertex:
        vertex: Vertex = self._graph.nodes[key]["vertex"]
        return vertex

    def of(self, kind: type[V]) -> dict[str, V]:
        """All vertices of one kind, in the order in which they were added."""
        return {key: v for key, v in self._graph.nodes(data="vertex") if isinstance(v, kind)}

    def ops(self, role: Role) -> dict[str, Op]:
        return {key: op for key, op in self.of(Op).items() if op.role == role}

    def inputs(self, key: str) -> list[tuple[str, str]]:
        """(port, source) of each edge that enters `key`, in the order in which they were connected."""
        edges = sorted(self._graph.in_edges(key, data=True), key=lambda edge: edge[2]["place"])
        return [(data["port"], source) for source, _, data in edges]

    def sources(self, key: str, port: str) -> list[str]:
        """The vertices that enter `key` at `port`, in the order in which they were connected."""
        return [source for p, source in self.inputs(key) if p == port]

    def source(self, key: str, port: str) -> str | None:
        """The vertex that enters `key` at `port`, if any."""
        return next((source for p, source in self.inputs(key) if p == port), None)

    def users(self, key: str) -> list[str]:
        return list(dict.fromkeys(self._graph.successors(key)))

    def ancestors(self, keys: Iterable[str]) -> set[str]:
        """`keys` and everything they need."""
        found = set(keys)
        for key in list(found):
            found |= nx.ancestors(self._graph, key)
        return found

    def descendants(self, keys: Iterable[str]) -> set[str]:
        """`keys` and everything that needs them."""
        found = set(keys)
        for key in list(found):
            found |= nx.descendants(self._graph, key)
        return found

    def order(self) -> Iterator[str]:
        """Topological, and stable: ties keep the order in which vertices were added."""
        position = {key: i for i, key in enumerate(self._graph)}
        return iter(nx.lexicographical_topological_sort(self._graph, key=position.__getitem__))

    def is_acyclic(self) -> bool:
        return bool(nx.is_directed_acyclic_graph(self._graph))

    def resolve(self, key: str) -> str:
        """The vertex that holds the value of `key`, after whatever passes replaced."""
        while key in self.alias:
            key = self.alias[key]
        return key

    def argument(self, op: Op, node: fx.Node) -> str:
        """The vertex that gives `op` the value of `node`: the spliced one, where there is one for it."""
        if op.splice is not None:
            spliced = self.resolve(op_key(op.role, node, op.splice))
            if spliced in self:
                return spliced
        return self.resolve(op_key(op.role, node))

    @property
    def teachers(self) -> tuple[Role, ...]:
        """The roles of the teachers; none where the student is its own."""
        return tuple(role for role in self.models if role != "student")

    def output(self, role: Role) -> str | None:
        """The output node of a model, unless it was pruned."""
        return next((k for k, op in self.ops(role).items() if op.node.op == "output"), None)

    def tapped(self, tap: str) -> Op:
        """The operation that a tap reads."""
        vertex = self[self.source(tap, "value") or tap]
        assert isinstance(vertex, Op)
        return vertex

    # Writing (on a copy)

    def add(self, key: str, vertex: Vertex, **ports: str) -> str:
        """Add a vertex whose ports read the vertices named."""
        self._graph.add_node(key, vertex=vertex)
        for port, source in ports.items():
            self.connect(source, key, port)
        return key

    def connect(self, source: str, key: str, port: str) -> None:
        """Let `source` enter `key` at `port`, behind whatever entered before."""
        places = [data["place"] for _, _, data in self._graph.in_edges(key, data=True)]
        place = max(places, default=-1) + 1
        self._graph.add_edge(source, key, port=port, place=place)

    def disconnect(self, key: str, port: str) -> None:
        """Remove what enters `key` at `port`."""
        edges = self._graph.in_edges(key, keys=True, data=True)
        doomed = [(s, k, e) for s, k, e, data in edges if data["port"] == port]
        self._graph.remove_edges_from(doomed)

    def update(self, key: str, **changes: Any) -> None:
        self._graph.nodes[key]["vertex"] = replace(self[key], **changes)

    def remove(self, keys: Iterable[str]) -> None:
        self._graph.remove_nodes_from(list(keys))

    def replace_with(self, old: str, new: str) -> None:
        """Users of `old` read `new` from now on; `old` goes."""
        for _, user, data in list(self._graph.out_edges(old, data=True)):
            self._graph.add_edge(new, user, **data)
        self._graph.remove_node(old)
        self.alias[old] = new


def named(role: Role) -> str:
    """A role as messages call it: `student`, `teacher`, `teacher 'big'`."""
    return role if role in ("student", "teacher") else f"teacher '{role}'"


def op_key(role: Role, node: fx.Node, splice: str | None = None) -> str:
    return f"{splice or role}:{node.name}"
