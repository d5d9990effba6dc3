"""The compiled experiment: one module that any PyTorch loop can train with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from kdgraph.compiler.edges import EdgeLoss
from kdgraph.compiler.lower import Lowered
from kdgraph.compiler.masks import LABELS
from kdgraph.errors import Diagnostic, RunError
from kdgraph.spec.schedule import weights_at
from kdgraph.spec.schema import Spec

__all__ = ["DistillOutput", "Distiller", "TapPair"]


class TapPair(NamedTuple):
    """The tensors that one tap reads, before any adapter; the teacher's has no gradient."""

    student: Tensor
    teacher: Tensor


@dataclass
class DistillOutput:
    """What one training forward gives.

    `predictions`: the student's raw outputs, as Ultralytics' losses take them. `losses`: edge name ->
    weighted scalar; `raw`: the same unweighted; `loss`: the sum of `losses`. All are means over the
    batch: multiply by the batch size beside Ultralytics' detection loss, which is a sum over images.
    `taps` and `teacher` (the teacher's raw outputs) are filled when the spec's `outputs` asks for them.
    """

    predictions: Any
    losses: dict[str, Tensor]
    raw: dict[str, Tensor]
    loss: Tensor
    taps: dict[str, TapPair] = field(default_factory=dict)
    teacher: Any = None


class Distiller(nn.Module):
    """Student, frozen teacher, adapters and criteria as one module, without hooks.

    In training mode `distiller(batch)` takes an Ultralytics batch dict (or images [B,C,H,W] in 0..1,
    where no mask needs labels) and returns a `DistillOutput`. In eval mode it is the student: images in,
    its own outputs back.

    `parameters()` are the student's and the adapters', so one optimiser trains both. The teacher is
    frozen and in eval mode whatever `.train()` says, and is in no state dict. `student` is the model
    that was given; save that one.
    """

    def __init__(self, spec: Spec, student: nn.Module, lowered: Lowered) -> None:
        super().__init__()
        self.spec = spec
        self.student = student
        self.adapters = lowered.adapters
        self.teacher = lowered.teacher
        self.masks = lowered.masks
        self.edges = lowered.edges
        self.labels = lowered.labels
        # Not registered: it holds the same modules again, and a state dict would list them twice.
        self._graph = (lowered.module,)
        # DDP would send the teacher's weights around at every step, though they are the same everywhere.
        self._ddp_params_and_buffers_to_ignore = [
            f"teacher.{name}" for name, _ in self.teacher.named_buffers()
        ]
        self._edge_names = dict(zip(spec.edges, lowered.edges, strict=True))
        self.set_epoch(0)
        self.train()

    @property
    def code(self) -> str:
        """The Python source of the compiled forward."""
        return str(self._graph[0].code)

    @property
    def graph(self) -> torch.fx.Graph:
        """The compiled fx graph."""
        return self._graph[0].graph

    def train(self, mode: bool = True) -> Distiller:
        super().train(mode)
        self.teacher.eval()
        return self

    def set_epoch(self, epoch: float, epochs: int | None = None) -> None:
        """Move every edge's weights to where its schedule has them at `epoch` (from 0) of `epochs`.

        `epochs` defaults to the spec's `train: {epochs: …}`. Nothing is recompiled.
        """
        total = epochs or int(self.spec.train.get("epochs", 100))
        for name, edge in self.spec.edges.items():
            module = self.edges[self._edge_names[name]]
            assert isinstance(module, EdgeLoss)
            module.weights.copy_(torch.tensor(weights_at(edge, module.levels, epoch, total)))

    def save(self, path: str | Path) -> None:
        """Write the student, and nothing else, as a checkpoint for `YOLO(path)` and the `yolo` command."""
        student: Any = deepcopy(self.student).eval()
        student.criterion = None  # the detection loss, made by training
        arguments = dict(getattr(student, "args", {}))
        student.args = arguments
        torch.save({"model": student, "train_args": arguments}, path)

    def forward(self, batch: Tensor | Mapping[str, Any]) -> Any:
        """`DistillOutput` in training mode, the student's own output in eval mode.

        Raises RunError (KD504) when a mask needs labels and `batch` has none.
        """
        images = batch if isinstance(batch, Tensor) else batch["img"]
        if not self.training:
            return self.student(images)
        result = self._graph[0](images, *self._take_labels(batch))
        losses = {name: weighted for name, (_, weighted) in result["losses"].items()}
        return DistillOutput(
            predictions=result["predictions"],
            losses=losses,
            raw={name: raw for name, (raw, _) in result["losses"].items()},
            loss=torch.stack(list(losses.values())).sum(),
            taps={name: TapPair(**pair) for name, pair in result.get("taps", {}).items()},
            teacher=result.get("teacher"),
        )

    def _take_labels(self, batch: Tensor | Mapping[str, Any]) -> list[Tensor]:
        if not self.labels:
            return []
        if isinstance(batch, Tensor) or any(label not in batch for label in self.labels):
            edges = [name for name, edge in self.spec.edges.items() if edge.mask.name == "foreground"]
            raise RunError(
                Diagnostic(
                    "KD504",
                    f"edge '{edges[0]}': mask 'foreground' needs labels, and this batch has none",
                    hint=f"call it with a dict of img, {', '.join(LABELS)}, or use another mask",
                )
            )
        return [batch[label] for label in self.labels]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Distiller:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        # The tensors that the graph reads directly; for the rest twice is as good as once.
        self._graph[0]._apply(fn)  # type: ignore[no-untyped-call]
        return self
