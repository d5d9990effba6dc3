"""From vertices to the modules that do their work, each told what it is wired to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from kdgraph.compiler.edges import EdgeLoss
from kdgraph.compiler.passes.insert_adapters import tap_of, tap_shape
from kdgraph.graph.ir import Adapter, Align, DistillGraph, Signal, Tap, Term, View
from kdgraph.nn import align, registry
from kdgraph.nn.assign import TaskAligned
from kdgraph.nn.instances import Instances
from kdgraph.nn.rotated import RotatedTaskAligned
from kdgraph.nn.signals import at_level, labels_of, product, target_boxes
from kdgraph.spec.components import ComponentInfo
from kdgraph.spec.plugins import find, known

__all__ = ["Call", "align_call", "build_adapter", "build_edge", "signal_call", "view_call"]


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
        ours, theirs = (tap_shape(graph, key, side) or (0, 0) for side in ("student", "teacher"))
        wires["channels"] = (theirs[1] if info.channels else ours[1], theirs[1])
    if "keypoints" in info.wires:
        wires["keypoints"] = _keypoints(graph, key)
    return registry.criterion(term.criterion.name, **term.criterion.options, **wires)


def _bins(graph: DistillGraph, key: str) -> int | None:
    """DFL bins of what a term compares: those of the student's side. None where it is no distribution."""
    tap = graph[tap_of(graph, key, "student")]
    head = graph.models[tap.role].head if isinstance(tap, Tap) and tap.layout == "dfl" else None
    return head.reg_max if head is not None else None


def _keypoints(graph: DistillGraph, key: str) -> tuple[int, int] | None:
    """How many keypoints of how many numbers a term compares; None where it compares none."""
    tap = graph[tap_of(graph, key, "student")]
    head = graph.models[tap.role].head if isinstance(tap, Tap) and tap.layout == "kpt" else None
    return head.keypoints if head is not None else None


def align_call(vertex: Align) -> Call:
    """How a tensor is brought to where it can be compared."""
    options = dict(vertex.options)
    return (
        Call(align.Classes(**options))
        if vertex.kind == "classes"
        else Call(getattr(align, vertex.kind), options)
    )


def view_call(view: View, ours: View) -> Call:
    """How the images, which the student sees as `ours`, become what a teacher sees."""
    rounds = view.scale != 1 or view.stride > ours.stride  # else what the student takes it takes too
    facts = {"channels": view.pick, "count": view.channels, "scale": view.scale}
    return Call(align.seen, {**facts, "stride": view.stride if rounds else 1})


def signal_call(graph: DistillGraph, signal: Signal) -> Call:
    """How a signal is computed."""
    info = known("mask", graph.spec.plugins).get(signal.kind)
    if info is not None:
        return _mask_call(signal, info)
    return _SIGNALS[signal.kind](signal, dict(signal.options))


def _assignment(signal: Signal, options: dict[str, Any]) -> Call:
    assigner = RotatedTaskAligned if options.pop("rotated") else TaskAligned
    return Call(assigner(strides=signal.strides, **options))


_SIGNALS: Mapping[str, Callable[[Signal, dict[str, Any]], Call]] = {
    "assign": _assignment,
    "enclosing": lambda signal, options: Call(align.enclosing),
    "gathered": lambda signal, options: Call(align.gathered, options),
    "instances": lambda signal, options: Call(Instances(**options, strides=signal.strides)),
    "label": lambda signal, options: Call(labels_of),
    "level": lambda signal, options: Call(at_level, options),
    "product": lambda signal, options: Call(product),
    "remapped": lambda signal, options: Call(align.Remap(**options)),
    "target_box": lambda signal, options: Call(target_boxes, {"strides": signal.strides}),
}
"""Signals that are no masks -> what computes them."""


def _mask_call(signal: Signal, info: ComponentInfo) -> Call:
    wires = {"strides": signal.strides} if "strides" in info.wires else {}
    # over maps of any size it must be told which of two forms is wanted
    along = {"anchors": len(signal.cells or ()) == 1} if "maps" in info.reads and not info.whole else {}
    return Call(registry.mask(signal.kind, **dict(signal.options), **wires), along)
