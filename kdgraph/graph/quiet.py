"""Keeps Ultralytics' logger away from the user while kdgraph asks it for something."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing that Ultralytics logs in this block is shown, whatever its level.

    A filter, not a level: the first import of ultralytics sets the level itself and then announces
    the settings file that it creates.
    """
    logger = logging.getLogger("ultralytics")
    logger.addFilter(_drop)
    try:
        yield
    finally:
        logger.removeFilter(_drop)


def _drop(record: logging.LogRecord) -> bool:
    return False
