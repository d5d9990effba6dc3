"""How the weight of an edge moves while a run goes on.

Epochs are real numbers: 2.5 is the middle of the third epoch, and a run of `epochs` goes from 0 to `epochs`.
A negative epoch in a spec counts from the end of the run: `until: -10` ends an edge ten epochs before it.
A run too short for that has no such moment; then the edge begins with the run, or ends with it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from kdgraph.spec.schema import ConstantWeight, EdgeSpec, LevelWeight, PhaseSpec, ScheduleWeight, Spec


def factor(edge: EdgeSpec, epoch: float, epochs: int) -> float:
    """What the loss of `edge` is multiplied with at `epoch` of a run of `epochs`, apart from fixed weights.

    The product of the schedule's weight (1 for an edge without one) and the warm-up from 0 to 1; it is 0
    outside of from <= epoch < until. A constant weight and weights by level do not move: see `weights_at`.
    """
    start, end = window(edge, epochs)
    return _moving(edge, epoch, epochs, start) if start <= epoch < end else 0.0


def weights_of(spec: Spec, name: str, levels: Sequence[str], epoch: float, epochs: int) -> tuple[float, ...]:
    """The whole weight of the edge `name` at `epoch`, by level: 0 in phases that do not name it.

    A warm-up begins anew with each stretch of phases that name the edge.
    """
    edge = spec.edges[name]
    begun = (start for start, end in stretches(spec, name, epochs) if start <= epoch < end)
    moving = next((_moving(edge, epoch, epochs, start) for start in begun), 0.0)
    return tuple(moving * fixed for fixed in by_level(edge, levels))


def counts(spec: Spec, name: str, epoch: float, epochs: int) -> bool:
    """Whether the edge `name` counts at `epoch`: within its from and until, and in a phase that names it."""
    return any(start <= epoch < end for start, end in stretches(spec, name, epochs))


def ended(spec: Spec, name: str, epoch: float, epochs: int) -> bool:
    """Whether the edge `name` has no weight at `epoch` and at every later moment.

    That is so when its own `until` is past or no later phase names it, and once a schedule has reached 0.
    """
    weight = spec.edges[name].weight
    end = max((end for _, end in stretches(spec, name, epochs)), default=-math.inf)
    if isinstance(weight, ScheduleWeight) and weight.to == 0.0:
        first, last = turning_points(weight, epochs)
        end = min(end, last) if first < last else end
    return epoch >= end


def may_end(spec: Spec, name: str) -> bool:
    """Whether the edge `name` can end before its run does."""
    edge = spec.edges[name]
    fading = isinstance(edge.weight, ScheduleWeight) and edge.weight.to == 0.0
    return edge.until is not None or bool(spec.phases) or fading


def stretches(spec: Spec, name: str, epochs: int) -> list[tuple[float, float]]:
    """The parts of a run in which the edge `name` counts, in order; phases that adjoin are one."""
    first, last = window(spec.edges[name], epochs)
    named = [(0.0, float(epochs))]
    if spec.phases:
        windows = zip(spec.phases, phase_windows(spec.phases, epochs), strict=True)
        named = _joined([part for phase, part in windows if name in phase.edges and part[0] < part[1]])
    parts = [(max(start, first), min(end, last)) for start, end in named]
    return [(start, end) for start, end in parts if start < end]


def _joined(parts: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Parts in order, those that touch made one."""
    joined: list[tuple[float, float]] = []
    for start, end in parts:
        if joined and joined[-1][1] == start:
            start = joined.pop()[0]
        joined.append((start, end))
    return joined


def weights_at(edge: EdgeSpec, levels: Sequence[str], epoch: float, epochs: int) -> tuple[float, ...]:
    """The whole weight of `edge` at `epoch` for each of its `levels` (p3, p4, …). Raises as `by_level`."""
    moving = factor(edge, epoch, epochs)
    return tuple(moving * fixed for fixed in by_level(edge, levels))


def by_level(edge: EdgeSpec, levels: Sequence[str]) -> tuple[float, ...]:
    """The part of the weight that does not move, by level; one that the map leaves out has weight 0.

    Raises ValueError when a list has another length than `levels`, or a map names a level not among them.
    """
    weight = edge.weight
    if isinstance(weight, ConstantWeight):
        return (weight.value,) * len(levels)
    if isinstance(weight, ScheduleWeight):
        return (1.0,) * len(levels)
    return _by_level(weight, levels)


def window(edge: EdgeSpec, epochs: int) -> tuple[float, float]:
    """The epochs between which `edge` counts in a run of `epochs`; none when the first is not the smaller."""
    end = float(epochs) if edge.until is None else _ending(edge.until, epochs)
    return _beginning(edge.from_, epochs), min(end, float(epochs))


def phase_windows(phases: Sequence[PhaseSpec], epochs: int) -> list[tuple[float, float]]:
    """The epochs at which each of the phases begins and ends in a run of `epochs`."""
    return part_windows([phase.until for phase in phases], epochs)


def part_windows(untils: Sequence[float | None], epochs: int) -> list[tuple[float, float]]:
    """The same, by where the phases end; one counts for nothing where that is not after its beginning."""
    start, windows = 0.0, []
    for until in untils:
        end = float(epochs) if until is None else min(_ending(until, epochs), float(epochs))
        windows.append((start, end))
        start = max(start, end)
    return windows


def turning_points(weight: ScheduleWeight, epochs: int) -> tuple[float, float]:
    """The epochs at which the weight begins and stops to move in a run of `epochs`."""
    first, last = weight.epochs or (0.0, float(epochs))
    return _beginning(first, epochs), _ending(last, epochs)


def _moving(edge: EdgeSpec, epoch: float, epochs: int, start: float) -> float:
    """The schedule's weight times the warm-up, for an edge that counts since the epoch `start`."""
    ramp = min(1.0, (epoch - start) / edge.warmup) if edge.warmup else 1.0
    return ramp * (_scheduled(edge.weight, epoch, epochs) if isinstance(edge.weight, ScheduleWeight) else 1.0)


def _scheduled(weight: ScheduleWeight, epoch: float, epochs: int) -> float:
    start, end = turning_points(weight, epochs)
    if epoch <= start:
        return weight.from_
    if epoch >= end:
        return weight.to
    share = (epoch - start) / (end - start)
    if weight.kind == "cosine":
        share = (1.0 - math.cos(math.pi * share)) / 2.0
    return weight.from_ * (1.0 - share) + weight.to * share


def _by_level(weight: LevelWeight, levels: Sequence[str]) -> tuple[float, ...]:
    if weight.by_level is not None:
        strange = [level for level in weight.by_level if level not in levels]
        if strange:
            raise ValueError(f"weight for {', '.join(strange)}, but the levels are {', '.join(levels)}")
        return tuple(weight.by_level.get(level, 0.0) for level in levels)
    values = weight.values or ()
    if len(values) != len(levels):
        raise ValueError(f"{len(values)} weights for {len(levels)} levels ({', '.join(levels)})")
    return values


def _beginning(epoch: float, epochs: int) -> float:
    return epoch if epoch >= 0 else max(epochs + epoch, 0.0)


def _ending(epoch: float, epochs: int) -> float:
    if epoch >= 0:
        return epoch
    return epochs + epoch if epochs + epoch > 0 else float(epochs)
