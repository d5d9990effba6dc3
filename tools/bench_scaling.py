"""Cost against number of edges, image size, batch or size of the models."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from bench_arms import distiller_of
from bench_models import Setup, built
from bench_run import measured
from bench_stats import summary
from bench_step import Arm, Stepper
from bench_timing import alternate, seconds_of
from torch import Tensor

from kdgraph.train.training_model import TrainingModel

__all__ = ["edges_text", "scaled"]

_VALUES: dict[str, dict[str, list[Any]]] = {
    "cpu": {
        "edges": [1, 2, 4, 8, 16, 32, 64], "imgsz": [160, 320, 480], "batch": [2, 4, 8],
        "model": ["yolo11s:yolo11n", "yolo11m:yolo11n", "yolo11m:yolo11s"],
    },
    "cuda": {
        "edges": [1, 2, 4, 8, 16, 32, 64], "imgsz": [320, 480, 640, 960], "batch": [4, 8, 16, 32],
        "model": ["yolo11s:yolo11n", "yolo11m:yolo11n", "yolo11l:yolo11s", "yolo11x:yolo11m"],
    },
}  # fmt: skip
_STEPS = {"cpu": 10, "cuda": 30}
_ARMS = ("plain", "builtin", "eager")


def scaled(options: Any, say: Callable[[str], None]) -> dict[str, Any]:
    """`axis`, and for each value of it what was measured there, in `points`.

    Along `edges` all points are arms of one run; `per_edge_s` is the median slope of a round, and
    `criterion_s` the time of the edge's criterion alone, forward and backward.
    """
    options = copy.copy(options)
    kind = torch.device(options.device).type
    values = options.values or _VALUES[kind][options.scaling]
    if options.steps is None and options.seconds is None:
        options.steps = _STEPS[kind]
    if options.scaling == "edges":
        return {"axis": "edges", **_edges(options, values)}
    options.arms = options.arms if options.chosen else _ARMS
    points = []
    for value in values:
        say(f"{options.scaling} {value} …")
        result = measured(built(_at(options, value)))
        points.append({"value": value, **result})
    return {"axis": options.scaling, "points": points}


def _at(options: Any, value: Any) -> Any:
    there = copy.copy(options)
    if options.scaling == "model":
        teacher, student = value.split(":")
        there.teacher, there.student = f"{teacher}.yaml", f"{student}.yaml"
        if teacher.endswith((".yaml", ".yml", ".pt")):
            there.teacher = teacher
        if student.endswith((".yaml", ".yml", ".pt")):
            there.student = student
    else:
        setattr(there, options.scaling, value)
    return there


def edges_text(count: int) -> str:
    """As many edges on one tap, of a criterion that needs no adapter and no mask."""
    return "\n".join(
        f"  e{i}: {{taps: neck.p3, criterion: attention, weight: {1 + i / 100}}}" for i in range(count)
    )


def _edges(options: Any, counts: list[int]) -> dict[str, Any]:
    setups = {count: built(options, edges_text(count)) for count in counts}
    steppers = {str(count): _stepper(setup) for count, setup in setups.items()}
    for stepper in steppers.values():
        stepper.loss()
    device = setups[counts[0]].device
    times = alternate(
        {name: stepper.step for name, stepper in steppers.items()}, device,
        rounds=options.steps, seconds=options.seconds, warmup=options.warmup,
    )  # fmt: skip
    points = [
        {"value": count, "arms": {"eager": {**summary(times[str(count)])._asdict()}}} for count in counts
    ]
    rounds = np.array([times[str(count)] for count in counts])  # a column is one round of all points
    slope = float(np.median(np.polyfit(counts, rounds, 1)[0])) if len(counts) > 1 else None
    alone = _criterion_alone(steppers[str(counts[0])], options.steps or _STEPS[device.type])
    return {"points": points, "per_edge_s": slope, "criterion_s": alone}


def _stepper(setup: Setup) -> Stepper:
    student = copy.deepcopy(setup.student).to(setup.device).train()
    model = TrainingModel(distiller_of(setup, student)[0]).train()
    arm = Arm("eager", model.student, model, lambda batch: model(batch)[0])
    return Stepper(arm, setup.batch, setup.options.amp, setup.device)


def _criterion_alone(stepper: Stepper, steps: int) -> float:
    """Median seconds of one edge's module, forward and backward, on what it is given in a step."""
    model: Any = stepper.arm.trained
    edge = next(iter(model.distiller.edges.values()))
    seen: list[Any] = []
    handle = edge.register_forward_pre_hook(lambda module, inputs: seen.append(inputs))
    stepper.loss()
    handle.remove()
    inputs = [{port: _leaf(value) for port, value in term.items()} for term in seen[0][0]]
    times = [
        seconds_of(lambda: edge(inputs)[1].sum().backward(), stepper.device) for _ in range(max(10, steps))
    ]
    return summary(times[2:]).median_s


def _leaf(value: Any) -> Any:
    return value.detach().requires_grad_(value.requires_grad) if isinstance(value, Tensor) else value
