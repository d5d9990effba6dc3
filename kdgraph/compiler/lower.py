"""DistillGraph -> one fx.GraphModule in which student, teachers, signals, adapters and criteria are nodes.

A change of type, so not a pass. The module's tree mirrors the graph's parts (`student`, `teachers`,
`adapters`, `signals`, `edges`); the student's modules are the very ones of the student given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, count
from typing import Any

import torch
import torch.fx as fx
from torch import nn

from kdgraph.compiler.build import Call, align_call, build_adapter, build_edge, signal_call, view_call
from kdgraph.compiler.frozen_teachers import FrozenTeachers
from kdgraph.compiler.names import free_name
from kdgraph.compiler.passes.insert_adapters import side_of, tap_of
from kdgraph.compiler.signals import labelled
from kdgraph.graph.ir import LISTS, Adapter, Align, DistillGraph, Input, Op, Role, Signal, Splice, Tap, Term
from kdgraph.nn.norm_act import norm_silu
from kdgraph.nn.place import channels_last
from kdgraph.nn.splice import standardised

__all__ = ["Lowered", "lower"]

FIRST = ("student", "teacher")


@dataclass(frozen=True)
class Lowered:
    """The graph module, and the parts of its tree that are not the student's.

    `teacher_names` are the names of the teachers' modules in `teachers`, `precision` the numbers that those
    compute in which have their own, by that name.
    `labels` are the batch entries, besides the images, that the module's forward takes by name, and
    `labelled` the edges that need them. `edge_names` are the names of the edges' modules in `edges`,
    `adapter_names` those of the adapters before each term in `adapters`: both may hold modules of edges that
    are there no more.
    """

    module: fx.GraphModule
    teachers: nn.ModuleDict
    signals: nn.ModuleDict
    labels: tuple[str, ...]
    labelled: tuple[str, ...]
    adapters: nn.ModuleDict = field(default_factory=nn.ModuleDict)
    edges: nn.ModuleDict = field(default_factory=nn.ModuleDict)
    edge_names: Mapping[str, str] = field(default_factory=dict)
    adapter_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    teacher_names: Mapping[Role, str] = field(default_factory=dict)
    precision: Mapping[str, torch.dtype] = field(default_factory=dict)


def lower(graph: DistillGraph, previous: Lowered | None = None) -> Lowered:
    """Emit the module of a graph that all passes have gone over.

    Its forward takes images [B,C,H,W] and the labels it needs, and returns a dict: `predictions` (the
    student's raw outputs), `losses` (edge -> (unweighted, weighted)), and where the spec asks for them `taps`
    (name -> (student, teacher)), `teacher` (its raw outputs, of several by name) and `shared` (the tensors at
    which edges are balanced). Adapters and criteria that `previous` has are taken over with what they learnt.
    """
    return _Lowering(graph, previous).run()


class _Lowering:
    def __init__(self, graph: DistillGraph, previous: Lowered | None) -> None:
        self.graph = graph
        self.fx = fx.Graph()
        self.values: dict[str, Any] = {}  # vertex -> fx node, or for an output its structure of nodes
        self.outside: dict[
            str, Any
        ] = {}  # the same of a teacher with a precision of its own, as others read it
        self.teachers, self.signals = FrozenTeachers(graph), nn.ModuleDict()
        self.previous = previous
        self.adapters = previous.adapters if previous else nn.ModuleDict()
        self.edges = previous.edges if previous else nn.ModuleDict()
        self.placed: dict[str, str] = {}  # adapter -> its name in `adapters`
        self.edge_names: dict[str, str] = {}
        self.before = {key: _adapters_before(graph, key) for key in graph.of(Term)}

    def run(self) -> Lowered:
        labels = tuple(v.name for v in self.graph.of(Input).values())
        given = self.fx.placeholder("images")
        for name in labels:
            self.values[f"batch:{name}"] = self.fx.placeholder(name)
        images = self.fx.call_function(channels_last, (given,)) if self.graph.channels_last else given
        self.images = images
        for key in self.graph.order():
            if key not in self.values:
                self.values[key] = self._lower(key, images)
        self.fx.output(self._results())
        module = fx.GraphModule(self._root(), self.fx, class_name="DistillGraphModule")
        if module.graph.eliminate_dead_code():
            module.recompile()
        module.graph.lint()
        names = {
            self.graph.of(Term)[term].name: tuple(self.placed[key] for key in keys)
            for term, keys in self.before.items()
        }
        return Lowered(
            module, self.teachers.modules, self.signals, labels, labelled(self.graph),
            self.adapters, self.edges, self.edge_names, names, self.teachers.names, self.teachers.precision(),
        )  # fmt: skip

    def _lower(self, key: str, images: fx.Node) -> Any:
        vertex = self.graph[key]
        if isinstance(vertex, Op):
            return self._images(vertex, images) if vertex.node.op == "placeholder" else self._op(vertex)
        if isinstance(vertex, Tap):
            return self._input(key, "value")
        if isinstance(vertex, Adapter):
            return self._adapter(key, vertex)
        if isinstance(vertex, Splice):
            return self._splice(key, vertex)
        if isinstance(vertex, Align):
            return self._computed(key, f"{vertex.kind}_{vertex.name}", align_call(vertex))
        if isinstance(vertex, Signal):
            return self._computed(key, vertex.name, signal_call(self.graph, vertex))
        return None  # terms are gathered edge by edge, in _losses

    def _input(self, key: str, port: str) -> Any:
        source = self.graph.source(key, port)
        return None if source is None else self._read(source)

    def _ports(self, key: str) -> dict[str, Any]:
        """The values that enter a vertex, by port; those of every term in one order."""
        ports = sorted(
            {port for port, _ in self.graph.inputs(key)}, key=lambda port: (port not in FIRST, port)
        )
        return {
            port: [self._read(source) for source in self.graph.sources(key, port)]
            if port in LISTS
            else self._input(key, port)
            for port in ports
        }

    def _read(self, key: str) -> Any:
        """The value of a vertex for what is outside of the teachers, in the numbers of the images."""
        op = self.graph[key]
        if not isinstance(op, Op) or self.teachers.dtype(op.role) is None:
            return self.values[key]
        if key not in self.outside:
            back = partial(self.fx.call_method, "type_as")
            self.outside[key] = fx.map_arg(self.values[key], lambda node: back((node, self.images)))
        return self.outside[key]

    def _images(self, op: Op, images: fx.Node) -> Any:
        """The images as a model sees them, in the numbers that it computes in."""
        seen = self._seen(op, images)
        dtype = self.teachers.dtype(op.role)
        return seen if dtype is None else self.fx.call_method("to", (seen, dtype))

    def _seen(self, op: Op, images: fx.Node) -> fx.Node:
        view, ours = self.graph.views[op.role], self.graph.views["student"]
        if replace(view, stride=ours.stride) == ours and view.stride <= ours.stride:
            return images
        call = view_call(view, ours)
        assert not isinstance(call.target, nn.Module)
        return self.fx.call_function(call.target, (images,), dict(call.constants))

    def _op(self, op: Op) -> Any:
        def value(node: fx.Node) -> Any:
            key = self.graph.argument(op, node)
            dtype = self.teachers.dtype(op.role) if isinstance(self.graph[key], Splice) else None
            return self.values[key] if dtype is None else self.fx.call_method("to", (self.values[key], dtype))

        if op.node.op == "output":
            return fx.map_arg(op.node.args[0], value)
        target = op.node.target
        if op.node.op in ("call_module", "get_attr"):
            target = f"{self._root_of(op.role)}.{target}"
        if op.role != "student":
            self.teachers.place(op)
        args, kwargs = fx.map_arg(op.node.args, value), fx.map_arg(op.node.kwargs, value)
        name = f"{'spliced' if op.splice else op.role}_{op.node.name}"
        if op.norm is not None:
            norm = self.fx.get_attr(f"{self._root_of(op.role)}.{op.norm}")
            return self.fx.create_node("call_function", norm_silu, (args[0], norm), {}, name)
        return self.fx.create_node(op.node.op, target, args, kwargs, name)

    def _root_of(self, role: Role) -> str:
        return role if role == "student" else f"teachers.{self.teachers.names[role]}"

    def _adapter(self, key: str, adapter: Adapter) -> fx.Node:
        name = self._known_adapter(key)
        if name is None:
            name = free_name(f"adapter_{adapter.name}", self.adapters)
            self.adapters[name] = build_adapter(adapter)
        self.placed[key] = name
        args = (self._input(key, "student"), self._input(key, "teacher"))
        return self._call(f"adapters.{name}", args, {}, name)

    def _known_adapter(self, key: str) -> str | None:
        """The name of this adapter in the lowering before, found by a term that it stands before."""
        names = self.previous.adapter_names if self.previous else {}
        for term, adapters in self.before.items():
            name = self.graph.of(Term)[term].name
            if key in adapters and name in names:
                return names[name][adapters.index(key)]
        return None

    def _splice(self, key: str, splice: Splice) -> fx.Node:
        student, teacher = self._input(key, "student"), self._input(key, "teacher")
        return self.fx.call_function(standardised, (student, teacher)) if splice.standardise else student

    def _computed(self, key: str, name: str, call: Call) -> fx.Node:
        arguments = {**self._ports(key), **call.constants}
        if not isinstance(call.target, nn.Module):
            return self.fx.call_function(call.target, (), arguments)
        name = free_name(name, self.signals)
        self.signals[name] = call.target
        return self._call(f"signals.{name}", (), arguments, name)

    def _call(self, target: str, args: tuple[Any, ...], kwargs: dict[str, Any], name: str) -> fx.Node:
        return self.fx.create_node("call_module", target, args, kwargs, name)

    def _results(self) -> dict[str, Any]:
        student = self.graph.output("student")
        assert student is not None
        results = {"predictions": self.values[student], "losses": self._losses()}
        if "taps" in self.graph.spec.outputs:
            results["taps"] = self._taps()
        teachers = self._teachers_outputs()
        if teachers:
            results["teacher"] = teachers.get("teacher", teachers)
        if self.graph.shared:
            results["shared"] = [self.values[key] for key in self.graph.shared]
        return results

    def _teachers_outputs(self) -> dict[Role, Any]:
        outputs = {role: self.graph.output(role) for role in self.graph.teachers}
        return {role: self._read(output) for role, output in outputs.items() if output is not None}

    def _losses(self) -> dict[str, Any]:
        terms = self.graph.of(Term)
        losses = {}
        for name, edge in self.graph.spec.edges.items():
            own = {key: term for key, term in terms.items() if term.edge is edge}
            module = self._edge(name, own)
            inputs = [self._ports(key) for key in own]
            losses[name] = self._call(f"edges.{module}", (inputs,), {}, f"loss_{name}".replace("-", "_"))
        return losses

    def _edge(self, name: str, terms: Mapping[str, Term]) -> str:
        known = self.previous.edge_names if self.previous else {}
        attribute = known.get(name) or free_name(f"edge_{name}", self.edges)
        if name not in known:
            self.edges[attribute] = build_edge(self.graph, terms)
        self.edge_names[name] = attribute
        return attribute

    def _taps(self) -> Mapping[str, Any]:
        pairs: dict[str, dict[Role, Any]] = {}
        for key, term in self.graph.of(Term).items():
            values: dict[Role, Any] = {
                "student": self.values[tap_of(self.graph, key, "student")],
                "teacher": self.values[_teacher_tap(self.graph, key)],
            }
            pairs[_pair_name(term.taps, values, pairs)] = values
        return pairs

    def _root(self) -> nn.Module:
        """What the fx graph's targets are looked up in."""
        root = nn.Module()
        root.student = self.graph.models["student"].module
        root.teachers, root.adapters, root.signals, root.edges = (
            self.teachers.modules,
            self.adapters,
            self.signals,
            self.edges,
        )
        return root


def _teacher_tap(graph: DistillGraph, term: str) -> str:
    """The teacher's tap of a term; of several teachers their average."""
    side = side_of(graph, term, "teacher")
    return side if graph.sources(side, "several") else tap_of(graph, term, "teacher")


def _adapters_before(graph: DistillGraph, term: str) -> list[str]:
    """The adapters that a term's student comes through, in topological order."""
    needed = graph.ancestors([term])
    return [key for key in graph.of(Adapter) if key in needed]


def _pair_name(
    taps: tuple[str, str], values: Mapping[Role, Any], taken: Mapping[str, Mapping[Role, Any]]
) -> str:
    """The student's tap; with the teacher's behind it where the same one is compared to another as well."""
    student, teacher = taps
    names = chain([student, f"{student}/{teacher}"], (f"{student}/{teacher}/{n}" for n in count(2)))
    return next(name for name in names if taken.get(name, values) == values)
