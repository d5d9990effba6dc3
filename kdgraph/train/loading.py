"""Ultralytics' own loads of checkpoints, restricted: a `.pt` can run code."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from ultralytics.nn import tasks

__all__ = ["restricted_loading"]


@contextmanager
def restricted_loading(trust: bool) -> Iterator[None]:
    """In this block checkpoints load restricted unless `trust`, here and in the processes that it starts."""
    before, tasks.SAFE_LOAD = tasks.SAFE_LOAD, not trust
    environment = os.environ.get("ULTRALYTICS_SAFE_LOAD")
    os.environ["ULTRALYTICS_SAFE_LOAD"] = str(not trust)
    try:
        yield
    finally:
        tasks.SAFE_LOAD = before
        if environment is None:
            del os.environ["ULTRALYTICS_SAFE_LOAD"]
        else:
            os.environ["ULTRALYTICS_SAFE_LOAD"] = environment
