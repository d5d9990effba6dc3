"""The edges of a plan in words, and the nodes that each of their terms taps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import torch.fx as fx
from torch import nn

from kdgraph.compiler.build import build_adapter
from kdgraph.graph.ir import Adapter, Align, DistillGraph, Role, Splice, Tap, Term
from kdgraph.spec.schema import Component, ConstantWeight, EdgeSpec, LevelWeight, ScheduleWeight, Spec

__all__ = ["Mark", "Tapped", "marks_of", "worded"]


Side = Literal["student", "teacher"]


@dataclass(frozen=True)
class Tapped:
    """A node that a term compares, as which side, and what the spec calls it."""

    side: Side
    role: Role
    node: fx.Node
    name: str


@dataclass(frozen=True)
class Mark:
    """A term: what it compares, how, and what its adapter costs.

    span: when it counts, empty if always. adapter_params: numbers that are learnt; adapter_flops: for one
    image. taps: all that it compares, the student's first.
    """

    name: str
    edge: str
    criterion: str
    options: str
    weight: str
    span: str
    mask: str
    adapter: str
    adapter_params: int
    adapter_flops: int
    level: str | None
    taps: tuple[Tapped, ...]

    @property
    def title(self) -> str:
        """The edge, and what it compares."""
        ours, theirs = (self.names(side) for side in ("student", "teacher"))
        told = " ← ".join(dict.fromkeys(_first(names) for names in (ours, theirs)))
        return f"{self.edge}: {told}"

    def names(self, side: Side) -> list[str]:
        """What the spec calls the taps of a side."""
        return list(dict.fromkeys(tap.name for tap in self.taps if tap.side == side))


def _first(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]}, …"


def marks_of(graph: DistillGraph) -> list[Mark]:
    """One for each term of a plan, in the order of the spec."""
    places: dict[str, int] = {}
    marks = []
    for key, term in graph.of(Term).items():
        place = places[term.edge.name] = places.get(term.edge.name, -1) + 1
        marks.append(_mark(graph, key, term, place))
    return marks


def _mark(graph: DistillGraph, key: str, term: Term, place: int) -> Mark:
    adapters = _adapters(graph, key)
    built = {adapter: build_adapter(vertex) for adapter, vertex in adapters.items()}
    return Mark(
        term.name,
        term.edge.name,
        term.criterion.name,
        _options(term.criterion),
        _weight(term.edge, term.level, place),
        _span(term.edge, graph.spec),
        " · ".join(worded(mask) for mask in term.edge.mask if mask.name != "all"),
        ", ".join(map(_adapter, adapters.values())),
        sum(p.numel() for module in built.values() for p in module.parameters()),
        sum(_flops(graph, adapter, module) for adapter, module in built.items()),
        term.level,
        tuple(_taps(graph, key)),
    )


def _taps(graph: DistillGraph, key: str) -> Iterator[Tapped]:
    """What a term compares: behind a splice, the student's tensor that enters, and the teacher's answer."""
    term = graph[key]
    assert isinstance(term, Term)
    sides: tuple[tuple[Side, str], ...] = (("student", term.taps[0]), ("teacher", term.taps[1]))
    for side, name in sides:
        for tap in dict.fromkeys(_back(graph, key, side)):
            vertex = graph[tap]
            assert isinstance(vertex, Tap)
            op = graph.tapped(tap)
            own = vertex.name if term.edge.splice is not None or len(graph.teachers) > 1 else name
            yield Tapped(side, vertex.role, op.node, own)


def _back(graph: DistillGraph, key: str, port: str) -> Iterator[str]:
    """The taps whose values come to a vertex at a port."""
    for source in graph.sources(key, port):
        vertex = graph[source]
        if isinstance(vertex, Tap) and not _spliced(graph, source):
            yield source
        elif isinstance(vertex, Tap):
            yield from _entries(graph, source)
        elif isinstance(vertex, Splice | Adapter):
            yield from _back(graph, source, "student")
        elif isinstance(vertex, Align):
            for each in ("values", "several"):
                yield from _back(graph, source, each)


def _spliced(graph: DistillGraph, tap: str) -> bool:
    return graph.tapped(tap).splice is not None


def _entries(graph: DistillGraph, tap: str) -> Iterator[str]:
    """The student's taps that enter the teacher for what a tap behind a splice reads."""
    label = graph.tapped(tap).splice
    for key in graph.order():
        if isinstance(graph[key], Splice) and key in graph.ancestors([tap]) and label:
            yield from _back(graph, key, "student")


def _adapters(graph: DistillGraph, key: str) -> dict[str, Adapter]:
    """The adapters before a term, also in front of a splice."""
    behind = graph.ancestors([key])
    return {adapter: vertex for adapter, vertex in graph.of(Adapter).items() if adapter in behind}


def _adapter(adapter: Adapter) -> str:
    ours, theirs = adapter.channels
    return adapter.kind + (f" {ours} → {theirs}" if ours != theirs else "")


def _flops(graph: DistillGraph, key: str, module: nn.Module) -> int:
    """Of the convolutions of an adapter, at every cell of what it reads."""
    tap = next(iter(_back(graph, key, "student")), None)
    shape = graph.tapped(tap).facts.shape if tap else None
    weights = sum(m.weight.numel() for m in module.modules() if isinstance(m, nn.Conv2d))
    return 2 * weights * prod(shape[2:]) if shape else 0


def _weight(edge: EdgeSpec, level: str | None, place: int) -> str:
    """The weight of a term in words. `place`: the term's among those of its edge."""
    weight: Any = edge.weight
    if isinstance(weight, ConstantWeight):
        return f"{weight.value:g}"
    if isinstance(weight, ScheduleWeight):
        epochs = " over epochs {:g} to {:g}".format(*weight.epochs) if weight.epochs else ""
        return f"{weight.kind} {weight.from_:g} → {weight.to:g}{epochs}"
    return _of_level(weight, level, place)


def _span(edge: EdgeSpec, spec: Spec) -> str:
    """When an edge counts."""
    begin = f"from {_epoch(edge.from_)}" if edge.from_ else ""
    end = f"until {_epoch(edge.until)}" if edge.until is not None else ""
    warmup = f"warming up over {edge.warmup:g} epoch{'s' * (edge.warmup != 1)}" if edge.warmup else ""
    within = " ".join(part for part in (begin, end) if part)
    return ", ".join(part for part in (within, _phases(edge, spec), warmup) if part)


def _phases(edge: EdgeSpec, spec: Spec) -> str:
    """The phases in which an edge counts, where it does not in all."""
    names = [phase.name for phase in spec.phases if edge.name in phase.edges]
    if len(names) == len(spec.phases):
        return ""
    return f"in phase{'s' * (len(names) != 1)} {', '.join(names)}"


def _epoch(epoch: float) -> str:
    return f"epoch {epoch:g}" if epoch >= 0 else f"{-epoch:g} epochs before the end"


def _of_level(weight: LevelWeight, level: str | None, place: int) -> str:
    value = weight.by_level.get(level or "") if weight.by_level else (weight.values or ())[place]
    return f"{value:g}"


def worded(component: Component) -> str:
    """`teacher_score (power: 1)`: a component as a reader would say it."""
    options = _options(component)
    return f"{component.name} ({options})" if options else component.name


def _options(component: Component) -> str:
    return ", ".join(f"{name}: {_shown(value)}" for name, value in component.options.items())


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
