"""From vertices to the modules that do their work, each told what it is wired to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from kdgraph.compiler.edges import EdgeLoss
from kdgraph.compiler.passes.insert_adapters import tap_shape
from kdgraph.graph.ir import Adapter, DistillGraph, Role, Signal, Tap, Term
from kdgraph.graph.yolo import Head
from kdgraph.nn import registry
from kdgraph.nn.assign import TaskAligned
from kdgraph.nn.instances import Instances
from kdgraph.nn.signals import at_level, labels_of, product, target_boxes
from kdgraph.spec.components import ComponentInfo
from kdgraph.spec.plugins import find, known

__all__ = ["Call", "build_adapter", "build_edge", "signal_call"]


@dataclass(frozen=True)
class Call:
    """What computes a signal, and the arguments that it is called with besides what enters the vertex."""

    target: nn.Module | Callable[..., Tensor]
    constants: Mapping[str, Any] = field(default_factory=dict)


def build_adapter(adapter: Adapter) -> nn.Module:
    student, teacher = ((0, channels, 0, 0) for channels in adapter.channels)
    return registry.adapter(adapter.kind, student, teacher, **dict(adapter.options))


def build_edge(graph: DistillGraph, terms: Mapping[str, Term]) -> EdgeLoss:
    """The loss of the terms of one edge."""
    criteria = [_criterion(graph, key, term) for key, term in terms.items()]
    return EdgeLoss(criteria, [term.level or term.name for term in terms.values()])


def _criterion(graph: DistillGraph, key: str, term: Term) -> nn.Module:
    info = find("criterion", term.criterion.name)
    wires: dict[str, Any] = {}
    if "bins" in info.wires:
        wires["bins"] = _bins(graph, key)
    if "channels" in info.wires:
        ours, theirs = (tap_shape(graph, key, role) or (0, 0) for role in ("student", "teacher"))
        wires["channels"] = (theirs[1] if info.channels else ours[1], theirs[1])
    if "strides" in info.wires:
        wires["strides"] = _head(graph, "teacher").strides
    return registry.criterion(term.criterion.name, **term.criterion.options, **wires)


def _bins(graph: DistillGraph, key: str) -> int | None:
    """DFL bins of what a term compares; None where it is no distribution."""
    tap = graph[graph.source(key, "teacher") or ""]
    head = graph.models["teacher"].head
    return head.reg_max if isinstance(tap, Tap) and tap.layout == "dfl" and head is not None else None


def signal_call(graph: DistillGraph, signal: Signal) -> Call:
    """How a signal is computed."""
    options = dict(signal.options)
    if signal.kind == "level":
        return Call(at_level, options)
    if signal.kind in ("label", "product"):
        return Call(labels_of if signal.kind == "label" else product)
    info = known("mask", graph.spec.plugins).get(signal.kind)
    if info is not None:
        return _mask_call(graph, signal, info)
    head = _head(graph, signal.role)
    if signal.kind == "target_box":
        return Call(target_boxes, {"strides": head.strides})
    if signal.kind == "assign":
        return Call(TaskAligned(head.classes, head.reg_max, head.strides, **options))
    return Call(Instances(**options, strides=head.strides))


def _mask_call(graph: DistillGraph, signal: Signal, info: ComponentInfo) -> Call:
    wires = {"strides": _head(graph, signal.role).strides} if "strides" in info.wires else {}
    # over maps of any size it must be told which of two forms is wanted
    along = {"anchors": len(signal.cells or ()) == 1} if "maps" in info.reads and not info.whole else {}
    return Call(registry.mask(signal.kind, **dict(signal.options), **wires), along)


def _head(graph: DistillGraph, role: Role | None) -> Head:
    """The head of a model whose signals exist, which is why it has one."""
    head = graph.models[role or "teacher"].head
    assert head is not None
    return head
