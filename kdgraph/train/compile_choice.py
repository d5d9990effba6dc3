"""`compile: auto`: whether compiling a run pays, from the time that its steps take."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

from kdgraph.train.torch_compile import unsupported

__all__ = ["Auto", "Choice", "obstacle", "wait_for"]

# What torch.compile takes for a node of the graph, forward and backward. On a CPU it was measured, for
# YOLO11s that teaches YOLO11n on two cores; the one of CUDA is an assumption that no measurement backs.
_SECONDS_PER_NODE = {"cpu": 0.35, "cuda": 0.1}
_WAITS = 20
"""As many times the wait must still be left: a compilation that gains nothing then costs at most 5 %."""
_SKIPPED = 3
"""Steps before those that are timed: the first ones choose kernels and fill the allocator."""
_TIMED = 20
_GAIN = 0.97
"""A compiled step must take less than this part of an eager one."""


class Choice(NamedTuple):
    """Whether to compile, or to go on with what is compiled, and why."""

    compiled: bool
    why: str


def obstacle(args: Any, device: str) -> str | None:
    """What speaks against compiling before any step is timed; `args` are the trainer's."""
    if args.multi_scale:
        return "multi_scale gives every batch another size"
    if args.rect:
        return "rect gives batches different sizes"
    if device not in _SECONDS_PER_NODE:
        return f"how long it takes on {device} is not known"
    return unsupported(device)


def wait_for(nodes: int, device: str) -> float:
    """The seconds that compiling a graph of so many nodes will take, roughly; nan where nothing is known."""
    return nodes * _SECONDS_PER_NODE.get(device, math.nan)


def before(left: float, wait: float) -> Choice:
    """Whether to compile: `left` are the seconds to train without, `wait` those that compiling takes."""
    if left < _WAITS * wait:
        share = f"more than {100 // _WAITS} % of that"
        why = f"about {spoken(left)} are left, and compiling would take about {spoken(wait)}, {share}"
        return Choice(False, f"not compiled: {why}")
    return Choice(True, f"compiling: about {spoken(left)} are left, and it takes about {spoken(wait)}")


def after(eager: float, compiled: float) -> Choice:
    """Whether to stay with compiled steps, by the seconds of a step."""
    found = f"a step takes {1000 * compiled:.0f} ms compiled and {1000 * eager:.0f} ms eager"
    if compiled < _GAIN * eager:
        return Choice(True, f"stays compiled: {found}")
    return Choice(False, f"back to eager: {found}")


def spoken(seconds: float) -> str:
    """A time as one says it: `45 s`, `4 min`, `2.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class Auto:
    """Times eager steps, decides, times compiled ones, and decides again.

    A step lasts from its beginning to that of the next, data and optimiser included. `wait`: the seconds that
    compiling takes. `clock`: seconds that go forward.
    """

    def __init__(self, wait: float, clock: Callable[[], float] = perf_counter) -> None:
        self.compiled = False
        self.settled = False
        self._wait = wait
        self._clock = clock
        self._began: float | None = None
        self._seconds: list[float] = []
        self._eager = math.nan

    def pause(self, steps: int) -> Choice | None:
        """Something other than steps comes now, such as a validation; `steps` are still to come."""
        self._began = None
        if self.compiled or steps >= _SKIPPED + _TIMED - len(self._seconds):
            return None
        return self._settle(Choice(False, f"not compiled: {steps} steps are too few to time them"))

    def begin(self, ordinary: bool, steps: int, seconds: float) -> Choice | None:
        """A step begins; what is decided now, if something is.

        ordinary: it is one of those that may be compiled; only they are timed. steps, seconds: how many are
        left, and how much time at most.
        """
        now = self._clock()
        if self._began is not None:
            self._seconds.append(now - self._began)
        self._began = now if ordinary else None
        if len(self._seconds) < _SKIPPED + _TIMED:
            return None
        step = _typical(self._seconds)
        self._seconds.clear()
        if self.compiled:
            return self._settle(after(self._eager, step))
        self._eager = step
        choice = before(min(steps * step, seconds), self._wait)
        self.compiled = choice.compiled
        return choice if choice.compiled else self._settle(choice)

    def _settle(self, choice: Choice) -> Choice:
        self.compiled, self.settled = choice.compiled, True
        return choice


def _typical(seconds: Sequence[float]) -> float:
    return median(seconds[_SKIPPED:])
