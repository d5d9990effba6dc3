"""Times steps of several arms, one of each in turn, so that what slows the machine slows all alike."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

import torch

__all__ = ["alternate", "seconds_of"]

_FEWEST = 3
_DEFAULT = 30


def seconds_of(call: Callable[[], Any], device: torch.device) -> float:
    """Wall-clock seconds of one call, the device idle before and after.

    Ultralytics' loop reads the losses back at each step for its progress line, so waiting belongs to a step.
    """
    _wait(device)
    start = perf_counter()
    call()
    _wait(device)
    return perf_counter() - start


def alternate(
    steps: Mapping[str, Callable[[], Any]],
    device: torch.device,
    *,
    rounds: int | None = None,
    seconds: float | None = None,
    warmup: int = 0,
) -> dict[str, list[float]]:
    """Seconds of each step of each arm, as many of one as of the other; each round begins with another arm.

    Ends after `rounds`, or when `seconds` of timed steps are over (but not before three rounds); without
    either after 30 rounds. The garbage collector runs between rounds only.
    """
    times: dict[str, list[float]] = {name: [] for name in steps}
    names = list(steps)
    for _ in range(warmup):
        for name in names:
            seconds_of(steps[name], device)
    limit = rounds or (_DEFAULT if seconds is None else None)
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        while not _over(times[names[0]], sum(map(sum, times.values())), limit, seconds):
            for name in names:
                times[name].append(seconds_of(steps[name], device))
            names.append(names.pop(0))
            gc.collect()
    finally:
        gc.enable()
        gc.unfreeze()
    return times


def _over(done: list[float], spent: float, limit: int | None, seconds: float | None) -> bool:
    if limit is not None and len(done) >= limit:
        return True
    return seconds is not None and spent >= seconds and len(done) >= min(_FEWEST, limit or _FEWEST)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
