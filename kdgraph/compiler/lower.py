"""DistillGraph -> one fx.GraphModule in which student, teacher, masks, adapters and criteria are nodes.

A change of type, so not a pass. The module's tree mirrors the graph's parts (`student`, `teacher`,
`adapters`, `masks`, `edges`); the student's modules are the very ones of the student given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from itertools import count as count_from
from operator import attrgetter
from typing import Any

import torch.fx as fx
from torch import nn

from kdgraph.compiler.edges import EdgeLoss
from kdgraph.compiler.frozen import frozen
from kdgraph.compiler.passes.insert_adapters import tap_of
from kdgraph.graph.ir import Adapter, DistillGraph, Input, Mask, Op, Role, Tap, Term, op_key
from kdgraph.nn import registry
from kdgraph.nn.assign import TaskAligned, level_mask

__all__ = ["Lowered", "lower"]


@dataclass(frozen=True)
class Lowered:
    """The graph module, and the parts of its tree that are not the student's.

    `labels` are the batch entries, besides the images, that the module's forward takes by name.
    """

    module: fx.GraphModule
    teacher: nn.Module
    adapters: nn.ModuleDict
    masks: nn.ModuleDict
    edges: nn.ModuleDict
    labels: tuple[str, ...]


def lower(graph: DistillGraph) -> Lowered:
    """Emit the module of a graph that all passes have gone over.

    Its forward takes images [B,C,H,W] and the labels it needs, and returns a dict: `predictions` (the
    student's raw outputs), `losses` (edge -> (unweighted, weighted)), and where the spec asks for
    them `taps` (name -> (student, teacher)) and `teacher` (its raw outputs).
    """
    return _Lowering(graph).run()


class _Lowering:
    def __init__(self, graph: DistillGraph) -> None:
        self.graph = graph
        self.fx = fx.Graph()
        self.values: dict[str, Any] = {}  # vertex -> fx node, or for an output its structure of nodes
        self.teacher = nn.Module()
        self.adapters, self.masks, self.edges = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()

    def run(self) -> Lowered:
        labels = tuple(v.name for v in self.graph.of(Input).values())
        images = self.fx.placeholder("images")
        for name in labels:
            self.values[f"batch:{name}"] = self.fx.placeholder(name)
        for key in self.graph.order():
            if key not in self.values:
                self.values[key] = self._lower(key, images)
        self.fx.output(self._results())
        module = fx.GraphModule(self._root(), self.fx, class_name="DistillGraphModule")
        module.graph.eliminate_dead_code()
        module.graph.lint()
        module.recompile()
        return Lowered(module, self.teacher, self.adapters, self.masks, self.edges, labels)

    def _lower(self, key: str, images: fx.Node) -> Any:
        vertex = self.graph[key]
        if isinstance(vertex, Op):
            return images if vertex.node.op == "placeholder" else self._op(vertex)
        if isinstance(vertex, Tap):
            return self._input(key, "value")
        if isinstance(vertex, Adapter):
            return self._adapter(key, vertex)
        if isinstance(vertex, Mask):
            return self._mask(key, vertex)
        return None  # terms are gathered edge by edge, in _losses

    def _input(self, key: str, port: str) -> Any:
        source = self.graph.source(key, port)
        return None if source is None else self.values[source]

    def _inputs(self, key: str, port: str) -> list[Any]:
        return [self.values[source] for p, source in self.graph.inputs(key) if p == port]

    def _op(self, op: Op) -> Any:
        def value(node: fx.Node) -> Any:
            return self.values[self.graph.resolve(op_key(op.role, node))]

        if op.node.op == "output":
            return fx.map_arg(op.node.args[0], value)
        target = op.node.target
        if op.node.op in ("call_module", "get_attr"):
            target = f"{op.role}.{target}"
        if op.role == "teacher":
            self._place_teacher(op)
        args, kwargs = fx.map_arg(op.node.args, value), fx.map_arg(op.node.kwargs, value)
        return self.fx.create_node(op.node.op, target, args, kwargs, f"{op.role}_{op.node.name}")

    def _place_teacher(self, op: Op) -> None:
        """Give the frozen teacher the module that an operation calls, or the tensor that it reads."""
        path = str(op.node.target)
        if op.module is not None:
            _owner(self.teacher, path).add_module(path.split(".")[-1], frozen(op.module, op.folded))
        elif op.node.op == "get_attr":
            tensor = attrgetter(path)(self.graph.models["teacher"].module).detach()
            _owner(self.teacher, path).register_buffer(path.split(".")[-1], tensor, persistent=False)

    def _adapter(self, key: str, adapter: Adapter) -> fx.Node:
        name = _attribute("adapter", adapter.name, self.adapters)
        options = dict(adapter.options)
        self.adapters[name] = registry.adapter(
            adapter.kind, (0, adapter.channels[0], 0, 0), (0, adapter.channels[1], 0, 0), **options
        )
        args = (self._input(key, "student"), self._input(key, "teacher"))
        return self._call(f"adapters.{name}", args, name)

    def _mask(self, key: str, mask: Mask) -> fx.Node:
        if mask.kind == "level":
            args = (self._input(key, "mask"), self._inputs(key, "maps"), mask.level)
            return self.fx.call_function(level_mask, args)
        name = _attribute("mask", mask.name, self.masks)
        options = dict(mask.options)
        if mask.kind == "teacher_score":
            self.masks[name] = registry.mask("teacher_score", **options)
            return self._call(f"masks.{name}", tuple(self._inputs(key, "logits")), name)
        head = self.graph.models[mask.role].head
        assert head is not None
        self.masks[name] = TaskAligned(head.classes, head.reg_max, head.strides, **options)
        labels = (self._input(key, label) for label in ("batch_idx", "cls", "bboxes"))
        args = (self._input(key, "boxes"), self._input(key, "scores"), self._inputs(key, "maps"), *labels)
        return self._call(f"masks.{name}", args, name)

    def _call(self, target: str, args: tuple[Any, ...], name: str) -> fx.Node:
        return self.fx.create_node("call_module", target, args, {}, name)

    def _results(self) -> dict[str, Any]:
        student = self.graph.output("student")
        assert student is not None
        results = {"predictions": self.values[student], "losses": self._losses()}
        if "taps" in self.graph.spec.outputs:
            results["taps"] = self._taps()
        teacher = self.graph.output("teacher")
        if teacher is not None:
            results["teacher"] = self.values[teacher]
        return results

    def _losses(self) -> dict[str, Any]:
        terms = self.graph.of(Term)
        losses = {}
        for name, edge in self.graph.spec.edges.items():
            own = [(key, term) for key, term in terms.items() if term.edge is edge]
            attribute = _attribute("edge", name, self.edges)
            self.edges[attribute] = EdgeLoss(
                [self._criterion(k, t) for k, t in own], [t.level or t.name for _, t in own]
            )
            inputs = [tuple(self._input(k, port) for port in ("student", "teacher", "mask")) for k, _ in own]
            losses[name] = self._call(f"edges.{attribute}", (inputs,), f"loss_{name}".replace("-", "_"))
        return losses

    def _criterion(self, key: str, term: Term) -> nn.Module:
        tap = self.graph[self.graph.source(key, "teacher") or ""]
        assert isinstance(tap, Tap)
        head = self.graph.models["teacher"].head
        reads_bins = tap.layout == "dfl" and term.criterion.name in ("kl", "box_l2")
        bins = {"bins": head.reg_max} if reads_bins and head is not None else {}
        return registry.criterion(term.criterion.name, **term.criterion.options, **bins)

    def _taps(self) -> Mapping[str, Any]:
        pairs: dict[str, dict[Role, Any]] = {}
        for key, term in self.graph.of(Term).items():
            values: dict[Role, Any] = {
                "student": self.values[tap_of(self.graph, key, "student")],
                "teacher": self.values[tap_of(self.graph, key, "teacher")],
            }
            pairs[_pair_name(term.taps, values, pairs)] = values
        return pairs

    def _root(self) -> nn.Module:
        """What the fx graph's targets are looked up in."""
        root = nn.Module()
        root.student = self.graph.models["student"].module
        root.teacher, root.adapters, root.masks, root.edges = (
            self.teacher,
            self.adapters,
            self.masks,
            self.edges,
        )
        return root


def _pair_name(
    taps: tuple[str, str], values: Mapping[Role, Any], taken: Mapping[str, Mapping[Role, Any]]
) -> str:
    """The student's tap; with the teacher's behind it where the same one is compared to another as well."""
    student, teacher = taps
    return student if taken.get(student, values) == values else f"{student}/{teacher}"


def _owner(root: nn.Module, path: str) -> nn.Module:
    """The module that holds the last name of a dotted path below `root`, making containers on the way."""
    for name in path.split(".")[:-1]:
        if name not in root._modules:
            root.add_module(name, nn.Module())
        root = root.get_submodule(name)
    return root


def _attribute(kind: str, name: str, taken: nn.ModuleDict) -> str:
    """A module name without dots, and never one that Ultralytics freezes by name (it looks for `.dfl`).

    Edges `a-b` and `a_b` would be one; the later one gets a number.
    """
    plain = f"{kind}_" + name.replace(".", "_").replace("-", "_")
    numbered = (f"{plain}_{count}" for count in count_from(2))
    return next(candidate for candidate in chain([plain], numbered) if candidate not in taken)
