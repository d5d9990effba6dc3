"""The loss of the student's own task, without waiting for the device where that can be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn
from ultralytics.nn.tasks import BaseModel
from ultralytics.utils import LOGGER

from kdgraph.compiler.signals import LABELS
from kdgraph.graph.detection_losses import gains_of, loss_like
from kdgraph.nn.detection_loss import DetectionLoss, EndToEndLoss
from kdgraph.train.torch_compile import NotCompiled, compiled

__all__ = ["TaskLoss"]

Losses = tuple[Tensor, dict[str, Tensor]]

_PAIRS = {"cpu": 1 << 22, "cuda": 1 << 24}
"""Targets times anchors from which Ultralytics' loss is called, which looks only at anchors inside a box.

On a CPU it is faster from there on; on CUDA the memory is bounded, to 64 MiB for each table of pairs.
"""


class TaskLoss:
    """The losses of a batch as sums over images, and its named items as means without a gradient.

    The numbers are those of `student.loss`. Where that is Ultralytics' detection loss, they come from one
    whose shapes depend on no value (`kdgraph.nn.detection_loss`), so that a step does not wait for the
    device; with `backend`, through torch.compile. Any other loss, and one of very many targets, is called as
    it is.
    """

    def __init__(self, student: Any) -> None:
        self.student = student
        self._known: Any = None
        self._same: nn.Module | None = None
        self._compiled: Callable[[dict[str, Any]], Losses] | None = None
        self._refused = False

    def __call__(self, batch: Mapping[str, Any], predictions: Any, backend: Any = None) -> Losses:
        same = self._fitting(batch)
        if same is None:
            losses: Losses = self.student.loss(batch, predictions)
            return losses
        labels = {name: batch[name].to(batch["img"].device) for name in LABELS}
        if isinstance(same, EndToEndLoss):
            same.refresh()
        if backend is not None and not self._refused and len(labels["cls"]) > 1:
            return self._through(same, labels, predictions, backend)
        losses = same(predictions, labels)
        return losses

    def _fitting(self, batch: Mapping[str, Any]) -> nn.Module | None:
        """The loss of fixed shapes that does for this batch."""
        if getattr(self.student.loss, "__func__", None) is not BaseModel.loss:  # one of its own
            return None
        if getattr(self.student, "criterion", None) is None:
            self.student.criterion = self.student.init_criterion()
        known = self.student.criterion, gains_of(self.student.criterion)
        if known != self._known:  # Ultralytics makes a new one when a run resumes; a callback may move gains
            self._known, self._compiled = known, None
            self._same = loss_like(self.student.criterion)
        if self._same is None or any(name not in batch for name in LABELS):
            return None
        pairs = len(batch["cls"]) * _cells(self._same, batch["img"])
        return self._same if pairs <= _PAIRS.get(batch["img"].device.type, _PAIRS["cpu"]) else None

    def _through(self, same: nn.Module, labels: dict[str, Tensor], predictions: Any, backend: Any) -> Losses:
        if self._compiled is None:
            self._compiled = compiled(
                lambda inputs: same(inputs["predictions"], inputs), "default", backend, growing=LABELS
            )
        try:
            return self._compiled({**labels, "predictions": predictions})
        except NotCompiled as error:
            LOGGER.warning(f"kdgraph: compile: the task's loss stays as it is: {error}")
            self._refused = True
            losses: Losses = same(predictions, labels)
            return losses


def _cells(loss: nn.Module, images: Tensor) -> int:
    """How many anchors a head has for images [B,C,H,W]."""
    branch = loss.one2one if isinstance(loss, EndToEndLoss) else loss
    assert isinstance(branch, DetectionLoss)
    height, width = images.shape[2:]
    return sum(int(height // stride) * int(width // stride) for stride in branch.assigner.strides)
