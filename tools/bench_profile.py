"""Where an arm's time goes, by regions of its step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from time import perf_counter
from typing import Any

import torch
from bench_step import Arm, Stepper
from torch import fx, nn

from kdgraph.compiler.distiller import Distiller
from kdgraph.train.training_model import TrainingModel

__all__ = ["Clock", "profiled"]

_REST = "rest"
_OWNERS = {"student": "student forward", "teachers": "teacher forward", "signals": "signals"}
_OWNERS |= {"adapters": "adapters", "edges": "criteria"}


class Clock:
    """Puts all time down to one region at a time; marks are events on CUDA, so that nothing waits."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.start()

    def start(self) -> None:
        self._marks: list[tuple[str, Any]] = []
        self.mark(_REST)

    def mark(self, region: str) -> None:
        """From now on time goes to `region`."""
        self._marks.append((region, self._now()))

    @contextmanager
    def region(self, name: str) -> Iterator[None]:
        outer = self._marks[-1][0]
        self.mark(name)
        yield
        self.mark(outer)

    def read(self) -> dict[str, float]:
        """Seconds by region since `start`."""
        self.mark(_REST)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        seconds: dict[str, float] = {}
        for (region, begin), (_, end) in zip(self._marks, self._marks[1:], strict=False):
            seconds[region] = seconds.get(region, 0.0) + self._between(begin, end)
        return seconds

    def _now(self) -> Any:
        if self.device.type != "cuda":
            return perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def _between(self, begin: Any, end: Any) -> float:
        return float(begin.elapsed_time(end)) / 1000 if self.device.type == "cuda" else float(end - begin)


def profiled(stepper: Stepper, rounds: int, warmup: int) -> dict[str, float]:
    """Median seconds of each region in `rounds` steps. The arm is changed for it: time it no more after this.

    `rest` is the distillation loss of arms whose loss is one piece, and what is around the regions.
    """
    clock = Clock(stepper.device)
    _instrument(stepper.arm, clock)
    seen: list[dict[str, float]] = []
    for _ in range(warmup + rounds):
        clock.start()
        stepper.step(clock.region)
        seen.append(clock.read())
    regions = dict.fromkeys(region for seconds in seen for region in seconds)
    return {region: median(seconds.get(region, 0.0) for seconds in seen[warmup:]) for region in regions}


def _instrument(arm: Arm, clock: Clock) -> None:
    if isinstance(arm.trained, TrainingModel):
        arm.trained.task = _timed(arm.trained.task, "task loss", clock)
        _mark_graph(arm.trained.distiller, clock)
        return
    loss = _timed(arm.student.loss, "task loss", clock)

    def whole(batch: Any, predictions: Any = None) -> Any:
        predictions = arm.student(batch["img"]) if predictions is None else predictions
        return loss(batch, predictions)

    arm.student.loss = whole
    _hook(arm.student, "student forward", clock)
    for teacher in _teachers(arm):
        _hook(teacher, "teacher forward", clock)


def _timed(call: Callable[..., Any], region: str, clock: Clock) -> Any:
    def timed(*given: Any) -> Any:
        with clock.region(region):
            return call(*given)

    return timed


def _teachers(arm: Arm) -> list[nn.Module]:
    builtin = getattr(arm.trained, "teacher_model", None)
    return [builtin] if builtin is not None else list(arm.keeps)


def _hook(module: nn.Module, region: str, clock: Clock) -> None:
    """Time of a call, less that of a teacher which a hook-based model calls in its own forward."""
    outer: list[str] = []

    def enter(*_: Any) -> None:
        outer.append(clock._marks[-1][0])
        clock.mark(region)

    module.register_forward_pre_hook(enter)
    module.register_forward_hook(lambda *_: clock.mark(outer.pop()))


def _mark_graph(distiller: Distiller, clock: Clock) -> None:
    """Calls of `clock.mark` between the nodes of different parts."""
    graph = fx.Graph()
    values: dict[fx.Node, Any] = {}
    now = _REST
    for node in distiller.graph.nodes:
        part = _part(node, values)
        if part not in (now, ""):
            graph.call_function(clock.mark, (part,))
            now = part
        if node.op == "output":
            graph.call_function(clock.mark, (_REST,))
            graph.output(fx.map_arg(node.args[0], lambda n: values[n][0]))
        else:
            values[node] = (graph.node_copy(node, lambda n: values[n][0]), part)
    distiller._graph = (fx.GraphModule(distiller._graph[0], graph),)


def _part(node: fx.Node, known: dict[fx.Node, Any]) -> str:
    """The region of a node: by the module that it calls, else that of what it reads."""
    if node.op in ("placeholder", "get_attr", "output"):
        return _OWNERS.get(str(node.target).split(".")[0], "") if node.op == "get_attr" else ""
    if node.op == "call_module":
        return _OWNERS[str(node.target).split(".")[0]]
    parts = [known[source][1] for source in node.all_input_nodes]
    for region in ("signals", "adapters", "criteria"):
        if region in parts:
            return region
    both = {part for part in parts if part}
    return both.pop() if len(both) == 1 else "signals" if both else ""
