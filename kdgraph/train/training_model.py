"""What Ultralytics' trainer trains: a Distiller that passes for the plain student in all other respects."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from kdgraph.compiler.distiller import Distiller, DistillOutput
from kdgraph.nn.balance import GradientNorm
from kdgraph.train.compiling import CompiledStep
from kdgraph.train.edge_log import EdgeLog
from kdgraph.train.task_loss import TaskLoss
from kdgraph.train.watch import EdgeWatch

__all__ = ["TrainingModel", "column"]


def column(edge: str) -> str:
    """The name of an edge's loss in results.csv, the progress line and TensorBoard."""
    return f"kd_{edge}_loss"


class TrainingModel(nn.Module):
    """`model(batch)` gives the task's and the edges' losses; state, copies and attributes are the student's.

    Ultralytics' trainer copies its model for the EMA, averages and saves its state dict, and reads
    `names`, `stride`, `criterion` and more from it. All of that reaches the student, so that every
    checkpoint is a plain one. What differs is `parameters()`: the adapters' are there too, for the
    optimiser, the clipping and DDP. `step` is the forward that a training batch goes through: the
    Distiller's as it is, if nothing is given.
    """

    def __init__(self, distiller: Distiller, step: CompiledStep | None = None) -> None:
        super().__init__()
        self.distiller = distiller
        self.step = step or CompiledStep(distiller)
        self.task = TaskLoss(distiller.student)
        self.watch = EdgeWatch(distiller)
        self.log = EdgeLog(distiller.student)
        ignored = distiller._ddp_params_and_buffers_to_ignore
        self._ddp_params_and_buffers_to_ignore = [f"distiller.{name}" for name in ignored]

    @property
    def student(self) -> Any:
        return self.distiller.student

    @property
    def criterion(self) -> Any:
        """The student's task loss. Ultralytics moves it on after each epoch, and sets it anew on a resume."""
        return self.student.criterion

    @criterion.setter
    def criterion(self, criterion: Any) -> None:
        self.student.criterion = criterion

    def forward(self, x: Tensor | Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """(losses, items) of a training batch; the student's output for anything else."""
        if isinstance(x, Mapping) and self.training:
            return self.loss(x)
        return self.student(x, *args, **kwargs)

    def loss(self, batch: Mapping[str, Any], preds: Any = None) -> tuple[Tensor, dict[str, Tensor]]:
        """The task's losses and the sum of the edges' as one vector to add up, and each of them by name.

        Both are sums over images, as in Ultralytics, so the edges' weights mean the same at every batch
        size; the named items are means, and carry no gradient.
        """
        if preds is not None or not self.training:
            return self.student.loss(batch, preds)  # type: ignore[no-any-return]
        out = self.step(batch, self._measured)
        task, items = self.task_loss(batch, out.predictions)
        self.watch.check(out, healthy=task)
        mean = task.sum() / len(batch["img"])
        self.log.add(out, mean)
        self.distiller.rebalance(out, mean)
        distillation = out.loss * len(batch["img"])
        return torch.cat([task, distillation.reshape(1)]), {**items, **self._columns(out)}

    def task_loss(self, batch: Mapping[str, Any], predictions: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """The task's losses, as sums over images, and its named items, as means without a gradient."""
        return self.task(batch, predictions, self.step.backend)

    @property
    def _measured(self) -> bool:
        """Whether losses of the coming step go backward one by one, through a graph that stays for it."""
        balance = self.distiller.balance
        due = isinstance(balance, GradientNorm) and balance.due
        return due or self.log.due or self.watch.proving

    def _columns(self, out: DistillOutput) -> dict[str, Tensor]:
        """The edges' losses by column; those of edges that were compiled away stay, as zeros.

        Copies: a step that replays CUDA graphs overwrites what the one before has put out.
        """
        names = list(self.distiller.spec.edges)
        ended = torch.zeros_like(out.loss)
        values = torch.stack([out.losses.get(name, ended) for name in names]).detach().unbind()
        return {column(name): value for name, value in zip(names, values, strict=True)}

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        return self.student.state_dict(*args, **kwargs)

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        return self.student.load_state_dict(*args, **kwargs)

    def __deepcopy__(self, memo: dict[int, Any]) -> nn.Module:
        copied: nn.Module = deepcopy(self.student, memo)
        return copied

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            distiller: Any = super().__getattr__("distiller")
            return getattr(distiller.student, name)
