"""Whether arms that should compute the same do: losses and gradients of the first step, before any timing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bench_step import Stepper
from torch import Tensor

__all__ = ["Difference", "Numbers", "compare", "numbers", "refusals"]

LOSS, GRADIENT = 1e-4, 1e-3
"""Largest relative differences that are rounding: of a loss, and of the gradient as one vector."""
TIPPED = 3e-2
"""The same of the gradient in float32: rounding alone may assign a box to another cell."""
HALF_LOSS, COARSE_LOSS = 3e-2, 1e-1
"""The same of a loss under AMP, and with a teacher of coarser numbers; untrained ones lose the most by it."""


@dataclass
class Numbers:
    """One forward and backward: the loss without and of the distillation, the gradients by parameter."""

    task: float
    distillation: float | None
    gradients: dict[str, Tensor]


@dataclass(frozen=True)
class Difference:
    """Relative differences of one arm from another; None where one of the two has no such number."""

    arm: str
    base: str
    task: float
    distillation: float | None
    total: float
    gradient: float | None
    rounding: bool

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def numbers(stepper: Stepper) -> Numbers:
    """Forward and backward without a step of the optimiser; gradients are taken away again."""
    losses = stepper.loss()
    losses.sum().backward()
    losses = losses.detach()
    task = losses[:-1] if stepper.arm.distils else losses
    distillation = float(losses[-1]) if stepper.arm.distils else None
    gradients = {
        name: p.grad.detach().clone() for name, p in stepper.arm.weights.items() if p.grad is not None
    }
    stepper.optimizer.zero_grad()
    return Numbers(float(task.sum()), distillation, gradients)


def compare(
    arm: str,
    ours: Numbers,
    base: str,
    theirs: Numbers,
    loss: float = LOSS,
    limit: float | None = GRADIENT,
) -> Difference:
    """How far `arm` is from `base`; it is rounding up to `loss`, and in the gradient up to `limit`.

    Without a `limit` gradients are not compared.
    """
    task = _relative(ours.task, theirs.task)
    kd = total = None
    if ours.distillation is not None and theirs.distillation is not None:
        kd = _relative(ours.distillation, theirs.distillation)
        total = _relative(ours.task + ours.distillation, theirs.task + theirs.distillation)
    same = (ours.distillation is None) == (theirs.distillation is None)
    gradient = _gradient(ours.gradients, theirs.gradients) if same and limit is not None else None
    worst = max(task, kd or 0.0, total or 0.0)
    rounding = worst <= loss and (gradient is None or limit is None or gradient <= limit)
    return Difference(arm, base, task, kd, task if total is None else total, gradient, rounding)


def _relative(one: float, other: float) -> float:
    """Infinite where one of the two is not finite, so that NaN never passes for equal."""
    difference = abs(one - other) / max(abs(other), 1e-12)
    return difference if difference == difference else float("inf")


def _gradient(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> float:
    """|g1 - g2| / |g2| over all parameters of the student; infinite where only one of the two has some."""
    names = {name for name, grad in theirs.items() if bool(grad.any())}
    if names - ours.keys() or any(bool(ours[name].any()) for name in ours.keys() - names):
        return float("inf")
    apart = sum(float((ours[name].double() - theirs[name].double()).square().sum()) for name in names)
    whole = sum(float(theirs[name].double().square().sum()) for name in names)
    return _relative(1 + (apart / whole) ** 0.5, 1.0) if whole else float("inf")


def refusals(found: list[Difference]) -> list[str]:
    """A line for each arm whose numbers are not those that they should be."""
    return [
        f"{d.arm} does not compute what {d.base} does: the task loss differs by {d.task:.1e}, the "
        f"distillation loss by {_shown(d.distillation)}, the gradients by {_shown(d.gradient)} (relative); "
        "times of different work are not compared"
        for d in found
        if not d.rounding
    ]


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.1e}"
