"""Writes down and draws what the edges of a run do, at the moments that Ultralytics' trainer calls out."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from ultralytics.utils import RANK
from ultralytics.utils.torch_utils import unwrap_model

from kdgraph.compiler.distiller import Distiller
from kdgraph.graph.ir import Term
from kdgraph.train import tensorboard
from kdgraph.train.compared import Compared, Pair, Side
from kdgraph.train.curves import gradient_shares, loss_curves
from kdgraph.train.edge_log import EdgeLog, read_edges, record_edges
from kdgraph.train.figures import save, tolerated
from kdgraph.train.map_figure import Row, map_figure
from kdgraph.train.maps import maps_of

if TYPE_CHECKING:
    from kdgraph.train.distilling import Distilling

__all__ = ["Observer"]

_IMAGES = 4


class Observer:
    """`edges.csv` in the run's folder, and with `plots` its curves and maps; scalars and maps in TensorBoard.

    `pairs` are what the edges of the run compare. Of several processes only the first writes.
    Nothing that it does changes the training: with and without plots, weights come out the same to the bit.
    A file that cannot be written is a warning.
    """

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self.pairs = pairs
        self._undrawn = False  # epochs that the curves do not show yet

    def see(self, event: str, trainer: Distilling) -> None:
        """Do what is to be done at a moment that a trainer calls by Ultralytics' name."""
        if event == "on_train_epoch_start":
            _log(trainer).begin(len(trainer.train_loader))
        moment = _MOMENTS.get(event)
        if moment is not None and RANK in {-1, 0}:
            moment(self, trainer)

    def start(self, trainer: Distilling) -> None:
        """Drop what edges.csv has of epochs that are still to come, from a run that was here before."""
        path = _table(trainer)
        if path.is_file():
            with tolerated(str(path), OSError):
                record_edges(path, trainer.start_epoch + 1, [])

    def epoch(self, trainer: Distilling) -> None:
        rows = _log(trainer).rows(trainer.epoch + 1)
        tensorboard.scalars(rows)
        with tolerated(str(_table(trainer)), OSError):
            record_edges(_table(trainer), trainer.epoch + 1, rows)
            self._undrawn = True

    def validated(self, trainer: Distilling) -> None:
        if trainer.epoch == 0:
            self._maps(trainer, "epoch1", 1)

    def ending(self, trainer: Distilling, edges: Collection[str]) -> None:
        """These edges are about to be compiled away: the epoch before was their last."""
        if RANK in {-1, 0}:
            self._maps(trainer, "last", trainer.epoch, edges)

    def last(self, trainer: Distilling) -> None:
        """The training has ended; `trainer.epoch` is its last."""
        if RANK in {-1, 0}:
            self._maps(trainer, "last", trainer.epoch + 1)
            self.curves(trainer)

    def curves(self, trainer: Distilling) -> None:
        """The curves of all epochs so far; at the end, and when a run is broken off."""
        rows = read_edges(_table(trainer)) if trainer.args.plots and self._undrawn else []
        self._undrawn = False
        if rows:
            self._keep(trainer, loss_curves(rows), "edge_losses.png")
            self._keep(trainer, gradient_shares(rows), "gradient_shares.png")

    def _maps(
        self, trainer: Distilling, moment: str, epoch: int, edges: Collection[str] | None = None
    ) -> None:
        """What is compared after `epoch` (from 1), by all edges or only by some."""
        if not trainer.args.plots:
            return
        # what a broken image file or a full device raises
        with tolerated("maps", OSError, torch.OutOfMemoryError), unchanged_randomness():
            for term, sides, rows in _terms(trainer.distiller, self.pairs, trainer.ema.ema, _images(trainer)):
                if edges is not None and term.edge.name not in edges:
                    continue
                title = f"{term.name} · {term.criterion.name} · epoch {epoch}"
                drawn = map_figure(rows, sides, title)
                pixels = self._keep(trainer, drawn, f"maps/{file_name(term.name)}.{moment}.png")
                if pixels is not None:
                    tensorboard.picture(f"maps/{term.name}", pixels, epoch)

    def _keep(self, trainer: Distilling, drawn: Any, name: str) -> Any:
        """Write a picture, and tell Ultralytics' loggers of it."""
        path = trainer.folder.path / name
        pixels = save(drawn, path)
        if pixels is not None:
            trainer.on_plot(path)
        return pixels


_MOMENTS: Mapping[str, Callable[[Observer, Distilling], None]] = {
    "on_train_start": Observer.start,
    "on_train_epoch_end": Observer.epoch,
    "on_fit_epoch_end": Observer.validated,
    "teardown": Observer.curves,
}


def _log(trainer: Distilling) -> EdgeLog:
    log: EdgeLog = unwrap_model(trainer.model).log
    return log


def _table(trainer: Distilling) -> Path:
    return trainer.folder.path / "edges.csv"


def _images(trainer: Distilling) -> list[Tensor]:
    """A few validation images [3,H,W] in 0..1, the same ones at each call, as the validation gets them."""
    dataset = trainer.test_loader.dataset
    count = min(_IMAGES, len(dataset))
    return [dataset[number * len(dataset) // count]["img"].float() / 255 for number in range(count)]


def _terms(
    distiller: Distiller, pairs: Sequence[Pair], student: Any, images: list[Tensor]
) -> Iterator[tuple[Term, tuple[Side, Side], list[Row]]]:
    """Each term that can be shown, and the rows of its picture."""
    compared = Compared(distiller, pairs, student)
    found: dict[str, tuple[Term, tuple[Side, Side], list[Row]]] = {}
    for image in images:
        for values in compared(image[None]):
            maps = maps_of(values, (image.shape[1], image.shape[2]))
            if maps:
                entry = found.setdefault(values.term.name, (values.term, values.sides, []))
                entry[2].append(Row(image, maps))
    yield from found.values()


def file_name(term: str) -> str:
    """A term's name, where it may hold what no file's name may."""
    return "".join(char if char.isalnum() or char in "._-" else "-" for char in term)


@contextmanager
def unchanged_randomness() -> Iterator[None]:
    """Put the generators back: reading an image takes numbers that augmentations would get."""
    python, numbers = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numbers)
