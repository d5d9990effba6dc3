from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _collect_garbage() -> Iterator[None]:
    """Commands that only look turn the garbage collector off; the tests after them want it."""
    yield
    gc.enable()
