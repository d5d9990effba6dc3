"""What a run shows in TensorBoard beside Ultralytics' own scalars."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ultralytics.utils.callbacks import tensorboard

from kdgraph.train.edge_log import EdgeRow

__all__ = ["picture", "scalars"]


def scalars(rows: Iterable[EdgeRow]) -> None:
    """`kdgraph/gradient/<edge>` and `kdgraph/share/<edge>` of an epoch; nothing where TensorBoard is off."""
    writer = _writer()
    if writer is None:
        return
    for row in rows:
        for name, value in (("gradient", row.gradient), ("share", row.share)):
            if math.isfinite(value):
                writer.add_scalar(f"kdgraph/{name}/{row.edge}", value, row.epoch)


def picture(name: str, pixels: NDArray[np.uint8], epoch: int) -> None:
    """`kdgraph/<name>`, pixels [H,W,3]; nothing where TensorBoard is off."""
    writer = _writer()
    if writer is not None:
        writer.add_image(f"kdgraph/{name}", pixels, epoch, dataformats="HWC")


def _writer() -> Any:
    """The writer that Ultralytics' callback has opened for this run, or None."""
    return getattr(tensorboard, "WRITER", None)
