"""DistillGraph, the compiler's IR: the models, taps, adapters, signals and loss terms in one multigraph.

The only file that imports networkx. A vertex is a frozen dataclass; in the multigraph a readable key
(`teacher:model_16_cv2_conv`) stands for it. An edge carries the port of the vertex it enters (`student`,
`mask`, ...); a port may take several edges, in the order in which they were connected.
Passes treat a graph as a value: they work on `copy()` and return it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import networkx as nx
import torch
import torch.fx as fx

from kdgraph.graph.vertices import (
    LISTS,
    Adapter,
    Align,
    Input,
    Op,
    Role,
    Signal,
    Splice,
    Tap,
    Term,
    V,
    Vertex,
    View,
    named,
    op_key,
)
from kdgraph.graph.yolo import TracedModel
from kdgraph.spec.schema import Spec

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


class DistillGraph:
    """The multigraph and what it was made from.

    `models` are the traced student and its teachers, `spec` the experiment. `views` are the images, `batch`
    of them, at which shapes are inferred: the student's of `image_size` (height, width in pixels) and
    `channels`, and a teacher's own where it has some. `alias` maps a vertex that a pass removed to the one
    that now gives its value. `shared` are operations of the student at which its edges are balanced.
    `left_out` says in words what of the taps has no counterpart. `channels_last`: maps lie in memory with
    their channels together. `precision` is what a teacher computes in where that is not the student's.
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
        head = models["student"].head
        seen = View(image_size, channels, stride=max(head.strides) if head else 32)
        self.views = {role: (views or {}).get(role, seen) for role in models}
        self.batch = 2  # one image would make batch statistics of 1×1 maps undefined
        self.alias: dict[str, str] = {}
        self.left_out: tuple[str, ...] = ()
        self.shared: tuple[str, ...] = ()
        self.channels_last = False
        self.precision: Mapping[Role, torch.dtype] = {}
        self._vertices: dict[str, Vertex] = {}
        self._graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
        for role, model in self.models.items():
            self._add_model(role, model)

    def _add_model(self, role: Role, model: TracedModel) -> None:
        for node in model.module.graph.nodes:
            leaf = model.module.get_submodule(str(node.target)) if node.op == "call_module" else None
            key = self.add(op_key(role, node), Op(role, node, leaf))
            for source in node.all_input_nodes:
                self.connect(op_key(role, source), key, "arg")

    def copy(self) -> DistillGraph:
        """A graph that can change without changing this one. The models are shared."""
        twin = object.__new__(DistillGraph)
        own = {"alias": dict(self.alias), "_vertices": dict(self._vertices), "_graph": self._graph.copy()}
        twin.__dict__.update(self.__dict__, **own)
        return twin

    # Reading

    def __contains__(self, key: str) -> bool:
        return key in self._vertices

    def __iter__(self) -> Iterator[str]:
        """The keys, in the order in which the vertices were added."""
        return iter(list(self._vertices))

    def __getitem__(self, key: str) -> Vertex:
        return self._vertices[key]

    def of(self, kind: type[V]) -> dict[str, V]:
        """All vertices of one kind, in the order in which they were added."""
        return {key: v for key, v in self._vertices.items() if isinstance(v, kind)}

    def ops(self, role: Role) -> dict[str, Op]:
        return {key: op for key, op in self.of(Op).items() if op.role == role}

    def inputs(self, key: str) -> list[tuple[str, str]]:
        """(port, source) of each edge that enters `key`, in the order in which they were connected."""
        edges = self._graph.in_edges(key, data=True)
        placed = sorted((data["place"], data["port"], source) for source, _, data in edges)
        return [(port, source) for _, port, source in placed]

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
        position = {key: i for i, key in enumerate(self._vertices)}
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
        self._vertices[key] = vertex
        self._graph.add_node(key)
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
        self._vertices[key] = replace(self[key], **changes)

    def remove(self, keys: Iterable[str]) -> None:
        for key in list(keys):
            del self._vertices[key]
            self._graph.remove_node(key)

    def replace_with(self, old: str, new: str) -> None:
        """Users of `old` read `new` from now on; `old` goes."""
        for _, user, data in list(self._graph.out_edges(old, data=True)):
            self._graph.add_edge(new, user, **data)
        self.remove([old])
        self.alias[old] = new
