"""Builds the arms of a run, checks them against each other, times them in turn, and measures their memory."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

from bench_arms import LeftOut, arm, take_projector
from bench_check import COARSE_LOSS, HALF_LOSS, LOSS, TIPPED, Difference, Numbers, compare, numbers, refusals
from bench_memory import peak_of
from bench_models import Setup, WrongUse
from bench_stats import ratio, summary
from bench_step import Stepper
from bench_timing import alternate, seconds_of

__all__ = ["Disagreement", "exact", "measured", "steppers_of"]

_DISTILLING = ("builtin", "eager", "compiled", "hooks")
_OURS = ("eager", "compiled")
_BASES = ("builtin", "plain")


class Disagreement(Exception):
    """Arms that should compute the same do not; a line for each."""


def measured(setup: Setup) -> dict[str, Any]:
    """`arms`, `left_out` (with reasons) and `checks`, as in the JSON.

    Raises Disagreement before anything is timed, and WrongUse when no arm is left.
    """
    steppers, left_out = steppers_of(setup)
    first = {name: seconds_of(stepper.backward, setup.device) for name, stepper in steppers.items()}
    checks = _checked(setup, steppers)
    options = setup.options
    times = alternate(
        {name: stepper.step for name, stepper in steppers.items()},
        setup.device,
        rounds=options.steps,
        seconds=options.seconds,
        warmup=options.warmup,
    )
    arms = {}
    for name, stepper in steppers.items():
        arms[name] = {**_times(name, times), **_memory(stepper)}
        wait = max(0.0, first[name] - arms[name]["median_s"])
        arms[name]["inductor_s"] = wait if stepper.arm.compiled else None
    return {"arms": arms, "left_out": left_out, "checks": [check.to_json() for check in checks]}


def steppers_of(setup: Setup) -> tuple[dict[str, Stepper], dict[str, str]]:
    """The arms that can be had, at their initial weights, and why the others cannot."""
    names, left_out = setup.options.arms, {}
    if setup.standard and any(name in _DISTILLING for name in names):
        with suppress(LeftOut):  # the arm of the built-in says why
            take_projector(setup)
    steppers = {}
    for name in names:
        try:
            built = arm(name, setup)
        except LeftOut as reason:
            left_out[name] = str(reason)
            continue
        steppers[name] = Stepper(built, setup.batch, setup.options.amp, setup.device)
    if not steppers:
        raise WrongUse("no arm is left: " + "; ".join(f"{name}: {why}" for name, why in left_out.items()))
    return steppers, left_out


def _checked(setup: Setup, steppers: dict[str, Stepper]) -> list[Difference]:
    """Each arm against the first that does the same work; in float64, what is compiled as it will run.

    A teacher of coarse numbers has them there too, so losses are then only nearly the same.
    """
    doubled = {name: exact(stepper) for name, stepper in steppers.items() if not stepper.arm.compiled}
    found, options = [], setup.options
    for name, base in _pairs(setup, tuple(steppers)):
        coarse = options.precision is not None and bool({name, base} & {*_OURS})
        if steppers[name].arm.compiled or coarse:
            ours, theirs = numbers(steppers[name]), numbers(steppers[base])
            loss = COARSE_LOSS if coarse else HALF_LOSS if options.amp else LOSS
            found.append(compare(name, ours, base, theirs, loss, TIPPED if loss == LOSS else None))
        else:
            found.append(compare(name, doubled[name], base, doubled[base]))
    wrong = refusals(found)
    if wrong:
        raise Disagreement("\n".join(wrong))
    return found


def _pairs(setup: Setup, names: tuple[str, ...]) -> list[tuple[str, str]]:
    """Each arm with what it must agree with: the first of the built-in and kdgraph's; without a
    distillation, in its task loss, with plain first."""
    distilling = [name for name in ("builtin", "eager", "hooks") if name in names]
    pairs = []
    for name in names:
        bases = ["plain", *distilling] if name in ("plain", "limit") else distilling
        if not setup.standard and name not in ("plain", "limit"):
            bases = ["eager"] if name == "compiled" else []
        base = next((base for base in bases if base in names), name)
        if base != name:
            pairs.append((name, base))
    if "plain" in names and distilling:
        pairs.append((distilling[0], "plain"))
    return pairs


def exact(stepper: Stepper) -> Numbers:
    """In float64: in float32 rounding alone may assign a box to another cell, and change the gradient."""
    dtype, batch, modules = stepper.dtype, stepper.batch, (stepper.arm.trained, *stepper.arm.keeps)
    stepper.dtype = None
    stepper.batch = {**batch, "img": batch["img"].double()}
    for module in modules:
        module.double()
    try:
        return numbers(stepper)
    finally:
        stepper.dtype, stepper.batch = dtype, batch
        for module in modules:
            module.float()


def _times(name: str, times: dict[str, list[float]]) -> dict[str, Any]:
    found: dict[str, Any] = {**summary(times[name])._asdict(), "seconds": times[name]}
    for base in _BASES:
        found[f"to_{base}"] = ratio(times[name], times[base])._asdict() if base in times else None
    return found


def _memory(stepper: Stepper) -> dict[str, Any]:
    """Measured in one more step, which is not timed. `loss` is its loss, None if training diverged."""
    losses = []
    kept = stepper.resident()
    step = peak_of(lambda: losses.append(stepper.step()), stepper.device)
    loss = float(losses[0])
    return {
        "peak_bytes": kept + step, "resident_bytes": kept, "step_bytes": step,
        "loss": loss if math.isfinite(loss) else None,
    }  # fmt: skip
