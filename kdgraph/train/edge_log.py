"""What each edge does in each epoch, in numbers: `edges.csv` in the folder of a run."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from kdgraph.compiler.distiller import DistillOutput

__all__ = ["TASK", "EdgeLog", "EdgeRow", "read_edges", "record_edges"]

TASK = "(task)"
"""In place of an edge's name: the student's own loss, which Ultralytics computes."""

_EPOCHS = 10**9  # no run has as many
_SCALE = 2.0**12  # gradients of means are small: behind float16 they would come out as 0


class EdgeRow(NamedTuple):
    """One edge in one epoch (from 1); a line of `edges.csv`.

    `loss` and `weighted` are means over the epoch's steps of the loss per image, before and after its weight
    (and balance); `gradient` is the norm of what the weighted loss alone sends into the student's parameters
    at the step in the middle of the epoch, `share` its part of the sum over the epoch's rows. Both are nan
    where the epoch was broken off before that.
    """

    epoch: int
    edge: str
    loss: float
    weighted: float
    gradient: float
    share: float


class EdgeLog:
    """Adds up the losses of an epoch where they are computed, and measures gradients at its middle step.

    At the first one edges that warm up would have no weight yet, and a teacher that follows the student would
    still be the student. The measurement costs one backward for each edge and one for the task, once per
    epoch. Nothing is read back before `rows`, so no step waits for the device.
    """

    def __init__(self, student: nn.Module) -> None:
        self.student = student
        self.begin()

    def begin(self, steps: int = 1) -> None:
        """Forget what was added: an epoch of so many steps begins, or begins anew."""
        self._middle = steps // 2
        self._names: tuple[str, ...] = ()
        self._sums: Tensor | None = None
        self._norms: Tensor | None = None
        self._steps = 0

    @property
    def due(self) -> bool:
        """Whether the coming step is the one at which gradients are measured."""
        return self._steps == self._middle

    def add(self, out: DistillOutput, task: Tensor) -> None:
        """One step, between its forward and its backward. `task`: the student's own loss per image."""
        weighted, raw = {**out.losses, TASK: task}, {**out.raw, TASK: task}
        if self._sums is None:
            self._names = tuple(weighted)
        if self.due:
            self._norms = gradient_norms(weighted, self.student)
        values = [part[name].detach().float() for name in self._names for part in (raw, weighted)]
        now = torch.stack(values).view(-1, 2)
        self._sums = now if self._sums is None else self._sums + now
        self._steps += 1

    def rows(self, epoch: int) -> list[EdgeRow]:
        """The epoch that has been added up, as number `epoch` (from 1); none without a step."""
        if self._sums is None:
            return []
        means = (self._sums / self._steps).tolist()
        gradients = [math.nan] * len(means) if self._norms is None else self._norms.tolist()
        total = sum(gradient for gradient in gradients if math.isfinite(gradient))
        return [
            EdgeRow(epoch, name, loss, weighted, gradient, gradient / (total or 1.0))
            for name, (loss, weighted), gradient in zip(self._names, means, gradients, strict=True)
        ]


def gradient_norms(losses: Mapping[str, Tensor], student: nn.Module) -> Tensor:
    """`[n]`: |d loss / d parameters| of each loss alone, over all trainable parameters of the student.

    0 for a loss that does not depend on them. The graph stays, and no `.grad` is touched. Not finite where a
    half-precision backward overflows.
    """
    weights = [parameter for parameter in student.parameters() if parameter.requires_grad]
    return torch.stack([_norm(loss, weights) for loss in losses.values()])


def _norm(loss: Tensor, weights: Sequence[Tensor]) -> Tensor:
    nothing: Tensor = torch.zeros((), device=loss.device)
    if not loss.requires_grad:
        return nothing
    grads = torch.autograd.grad(loss * _SCALE, weights, retain_graph=True, allow_unused=True)
    norms = [grad.float().norm() / _SCALE for grad in grads if grad is not None]
    return torch.stack([nothing, *norms]).square().sum().sqrt()


def read_edges(path: Path) -> list[EdgeRow]:
    """The rows of an `edges.csv`, none where there is no such file; lines that are no rows are left out."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        found = [_row(fields) for fields in csv.reader(file)]
    return [row for row in found if row is not None]


def _row(fields: Sequence[str]) -> EdgeRow | None:
    """None for the head, and for what somebody has written there by hand."""
    try:
        epoch, edge, loss, weighted, gradient, share = fields
        row = EdgeRow(int(epoch), edge, float(loss), float(weighted), float(gradient), float(share))
    except ValueError:
        return None
    return row if 0 < row.epoch < _EPOCHS else None


def record_edges(path: Path, epoch: int, rows: Iterable[EdgeRow]) -> None:
    """Write the rows of `epoch` (from 1) behind those of the epochs before; later ones go.

    So an epoch that is done again, after a resume or a NaN, is in the file once. The file is replaced as a
    whole. Raises OSError.
    """
    kept = [row for row in read_edges(path) if row.epoch < epoch]
    fresh = path.with_suffix(".tmp")
    with fresh.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(EdgeRow._fields)
        table.writerows((r.epoch, r.edge, *(f"{value:.6g}" for value in r[2:])) for r in (*kept, *rows))
    fresh.replace(path)
