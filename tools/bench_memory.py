"""How much memory a step takes at its peak, the same way on CPU and CUDA.

Several arms live in one process, so neither the process's peak nor the device's is an arm's own. What counts
is what the arm keeps between steps, plus the highest that one step allocates on top of it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

__all__ = ["peak_of", "resident"]


def resident(tensors: Iterable[Tensor]) -> int:
    """Bytes of the storages behind `tensors`, each counted once."""
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
    storages.pop(0, None)
    return sum(storages.values())


def peak_of(step: Callable[[], Any], device: torch.device) -> int:
    """The highest sum of bytes that `step` holds of what it allocates itself, on `device`.

    CUDA: by the allocator's own peak. CPU: by the allocations that torch's profiler reports, those inside
    kernels and of compiled code among them; memory that a library takes past torch's allocator is not seen.
    """
    return _peak_cuda(step, device) if device.type == "cuda" else _peak_cpu(step)


def _peak_cuda(step: Callable[[], Any], device: torch.device) -> int:
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    step()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


def _peak_cpu(step: Callable[[], Any]) -> int:
    with (
        _silenced(),
        profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as seen,
    ):
        step()
    results = seen.profiler.kineto_results if seen.profiler else None
    assert results is not None
    held = peak = 0
    for _, size in sorted(_allocations(results.experimental_event_tree()), key=lambda event: event[0]):
        held += size
        peak = max(peak, held)
    return peak


def _allocations(events: Iterable[Any]) -> Iterator[tuple[int, int]]:
    """Time and bytes, negative where freed, of all allocations in a tree of events."""
    stack = list(events)
    while stack:
        event = stack.pop()
        stack.extend(event.children)
        fields = event.extra_fields
        if type(fields).__name__ == "_ExtraFields_Allocation" and fields.device.type == "cpu":
            yield event.start_time_ns, fields.alloc_size


@contextmanager
def _silenced() -> Iterator[None]:
    """Without what torch's profiler writes past Python, whatever its log level: that it starts and stops."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
