"""DistillGraph, the compiler's IR: two models, taps, adapters, masks and loss terms in one multigraph.

The only file that imports networkx. A vertex is a frozen dataclass under a readable key
(`teacher:model_16_cv2_conv`); an edge carries the port of the vertex it enters (`student`, `mask`, ...).
Passes treat a graph as a value: they work on `copy()` and return it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

import networkx as nx
import torch.fx as fx
from torch import nn

from kdgraph.graph.shapes import Facts
from kdgraph.graph.yolo import TracedModel
from kdgraph.spec.components import Layout
from kdgraph.spec.schema import Component, EdgeSpec, Spec

__all__ = ["Adapter", "DistillGraph", "Input", "Mask", "Op", "Role", "Tap", "Term", "Vertex"]

Role = Literal["student", "teacher"]


@dataclass(frozen=True)
class Op:
    """One node of a traced model. `folded` is the batch norm that fold_teacher moved into it."""

    role: Role
    node: fx.Node = field(repr=False)
    module: nn.Module | None = field(default=None, repr=False)
    facts: Facts = field(default_factory=Facts)
    folded: nn.Module | None = field(default=None, repr=False)

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
class Adapter:
    """Takes the student's tensor to the teacher's shape. Ports: `student`, `teacher` (its size only)."""

    name: str
    kind: str
    options: tuple[tuple[str, Any], ...]
    channels: tuple[int, int]  # student, teacher


@dataclass(frozen=True)
class Mask:
    """Weights of positions. `level` picks one level of an assignment; None is the whole anchor axis."""

    name: str
    kind: str
    options: tuple[tuple[str, Any], ...]
    level: int | None
    role: Role


@dataclass(frozen=True)
class Term:
    """One criterion between two taps: an edge at one level. Ports: `student`, `teacher`, `mask`.

    `taps` are the names that the edge gives its two taps; merged taps forget all but the first.
    """

    edge: EdgeSpec = field(repr=False)
    name: str
    level: str | None
    criterion: Component
    taps: tuple[str, str]  # student, teacher


Vertex = Op | Input | Tap | Adapter | Mask | Term
V = TypeVar("V", Op, Input, Tap, Adapter, Mask, Term)


class DistillGraph:
    """The multigraph and what it was made from.

    `models` are the traced student and teacher, `spec` the experiment. `image_size` (height, width in
    pixels), `channels` and `batch` are the images at which shapes are inferred. `alias` maps a vertex that a
    pass removed to the one that now gives its value.
    """

    def __init__(
        self, spec: Spec, models: Mapping[Role, TracedModel], image_size: tuple[int, int], channels: int = 3
    ) -> None:
        self.spec = spec
        self.models = dict(models)
        self.image_size = image_size
        self.channels = channels
        self.batch = 2  # one image would make batch statistics of 1×1 maps undefined
        self.alias: dict[str, str] = {}
        self._graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
        for role, model in self.models.items():
            self._add_model(role, model)

    def _add_model(self, role: Role, model: TracedModel) -> None:
        for node in model.module.graph.nodes:
            leaf = model.module.get_submodule(str(node.target)) if node.op == "call_module" else None
            self._graph.add_node(op_key(role, node), vertex=Op(role, node, leaf))
            for source in node.all_input_nodes:
                self._graph.add_edge(op_key(role, source), op_key(role, node), port="arg")

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
        return [(data["port"], source) for source, _, data in self._graph.in_edges(key, data=True)]

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
            self._graph.add_edge(source, key, port=port)
        return key

    def connect(self, source: str, key: str, port: str) -> None:
        self._graph.add_edge(source, key, port=port)

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
            self._graph.add_edge(new, user, port=data["port"])
        self._graph.remove_node(old)
        self.alias[old] = new


def op_key(role: Role, node: fx.Node) -> str:
    return f"{role}:{node.name}"
