"""Figures that are drawn while a run goes on: without pyplot, whose state other threads share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray
from PIL import Image
from ultralytics.utils import LOGGER

__all__ = ["COLOURS", "GREY", "HATCHES", "HEADING", "INK", "figure", "quietened", "save", "tolerated"]

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
"""Colours that colour-blind people can tell apart (Okabe and Ito, 2008)."""

GREY = "#9AA0A6"
HATCHES = ("", "///", "...", "xx", "\\\\\\")
"""Patterns for where there are more things than colours."""

INK = "#3C4043"
HEADING: Mapping[str, Any] = {"fontsize": 12, "color": INK, "fontweight": "bold"}


def figure(width: float, height: float, title: str = "") -> Figure:
    """A figure of so many inches, with a title."""
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08)
    made = Figure(figsize=(width, height), dpi=120, layout=layout, facecolor="white")
    if title:
        made.suptitle(title, **HEADING, x=0.012, ha="left")
    return made


def quietened(axes: Any) -> None:
    """Let the axes step back behind the data."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(labelsize=8, colors=INK)
    axes.grid(True, color="#E8EAED", linewidth=0.6)
    axes.set_axisbelow(True)


def save(drawn: Figure, path: Path) -> NDArray[np.uint8] | None:
    """Write a figure as a PNG; its pixels [H,W,3]. None, and a warning, when that fails."""
    # what matplotlib raises for a broken font or an image that is too large, and a full disk
    with tolerated(str(path), OSError, RuntimeError, ValueError):
        canvas: Any = FigureCanvasAgg(drawn)
        canvas.draw()
        pixels: NDArray[np.uint8] = np.asarray(canvas.buffer_rgba())[..., :3].copy()
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
        return pixels
    return None


@contextmanager
def tolerated(what: str, *kinds: type[Exception]) -> Iterator[None]:
    """Let no failure of these kinds to write `what` end a run, and say why it failed."""
    try:
        yield
    except kinds as error:
        LOGGER.warning(f"kdgraph: {what} could not be written ({type(error).__name__}: {error})")
