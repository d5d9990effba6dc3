"""How long kdgraph's own compiler takes: from the text of a spec to a Distiller, models built before."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

from bench_models import Setup

from kdgraph.compiler import api
from kdgraph.spec.parse import load, parse

__all__ = ["compile_seconds"]


def compile_seconds(setup: Setup, again: int = 2) -> dict[str, Any]:
    """`first`: as it comes, with imports of what is loaded late; `again`: the fastest of some more.

    Each by part: parse, trace, the passes by name, lower, other (invariants between passes, IR), total.
    """
    first = _once(setup)
    return {"first": first, "again": min((_once(setup) for _ in range(again)), key=lambda t: t["total"])}


def _once(setup: Setup) -> dict[str, Any]:
    student, teachers = copy.deepcopy(setup.student), copy.deepcopy(setup.teachers)
    start = perf_counter()
    parse(setup.text, "tools/bench") if setup.text is not None else load(setup.options.spec)
    parsed = perf_counter()
    with _stopwatch(api, "trace_model") as traces:
        planned = api.plan(setup.spec, student=student, teachers=teachers)
    between = perf_counter()
    planned.lower()
    end = perf_counter()
    passes = {account.name: account.seconds for account in planned.accounts}
    other = between - parsed - sum(traces) - sum(passes.values())
    return {
        "parse": parsed - start, "trace": sum(traces), "passes": passes, "lower": end - between,
        "other": other, "total": end - start,
    }  # fmt: skip


@contextmanager
def _stopwatch(module: Any, name: str) -> Iterator[list[float]]:
    """The seconds of each call of `module.name` inside."""
    seconds: list[float] = []
    original: Callable[..., Any] = getattr(module, name)

    def timed(*args: Any, **kwargs: Any) -> Any:
        start = perf_counter()
        try:
            return original(*args, **kwargs)
        finally:
            seconds.append(perf_counter() - start)

    setattr(module, name, timed)
    try:
        yield seconds
    finally:
        setattr(module, name, original)
