"""What each of the compiler's optional passes is worth: a step without it, beside one with all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench_arms import arm
from bench_check import compare
from bench_memory import peak_of
from bench_models import Setup
from bench_run import Disagreement, exact
from bench_stats import ratio, summary
from bench_step import Stepper
from bench_timing import alternate

from kdgraph.compiler import pipeline
from kdgraph.compiler.passes.prune import Prune

__all__ = ["ALL", "ablated", "optional"]

ALL = "all passes"


def optional() -> list[str]:
    """The passes that only make a step cheaper: those behind prune, by name."""
    names = [step.name for step in pipeline.PIPELINE]
    return names[names.index(Prune.name) + 1 :]


def ablated(setup: Setup) -> list[dict[str, Any]]:
    """For all passes and for all but one: median, ratio of the step to that with all passes, peak memory.

    Raises Disagreement when a pass changes more than rounding.
    """
    steppers = {ALL: _stepper(setup, None)}
    steppers |= {f"without {name}": _stepper(setup, name) for name in optional()}
    _check(steppers)
    options = setup.options
    times = alternate(
        {name: stepper.step for name, stepper in steppers.items()}, setup.device,
        rounds=options.steps, seconds=options.seconds, warmup=options.warmup,
    )  # fmt: skip
    return [
        {
            "passes": name,
            **summary(times[name])._asdict(),
            "to_all": ratio(times[name], times[ALL])._asdict(),
            "peak_bytes": stepper.resident() + peak_of(stepper.step, setup.device),
        }
        for name, stepper in steppers.items()
    ]


def _stepper(setup: Setup, left_out: str | None) -> Stepper:
    with _without(left_out):
        return Stepper(arm("eager", setup), setup.batch, setup.options.amp, setup.device)


@contextmanager
def _without(left_out: str | None) -> Iterator[None]:
    kept = pipeline.PIPELINE
    pipeline.PIPELINE = tuple(step for step in kept if step.name != left_out)
    try:
        yield
    finally:
        pipeline.PIPELINE = kept


def _check(steppers: dict[str, Stepper]) -> None:
    base = exact(steppers[ALL])
    others = [(name, exact(stepper)) for name, stepper in steppers.items() if name != ALL]
    wrong = [name for name, found in others if not compare(name, found, ALL, base).rounding]
    if wrong:
        raise Disagreement(f"{', '.join(wrong)}: another result than with all passes")
