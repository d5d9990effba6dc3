"""A rival that works with hooks: NVIDIA ModelOpt's `kd_loss` mode, computing what the built-in computes."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import torch
from bench_models import Setup
from bench_step import Arm
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["LeftOut", "hooked"]

_INSTALL = "pip install 'kdgraph[bench]' (nvidia-modelopt)"


class LeftOut(Exception):
    """An arm cannot be measured here, with the reason."""


def hooked(setup: Setup, student: Any, template: Any) -> Arm:
    """The arm `hooks`. Raises LeftOut without ModelOpt, or when the losses are not the built-in's."""
    if setup.projector is None:
        raise LeftOut("it computes the built-in's loss, with adapters that are the built-in's")
    distill = _modelopt()
    teacher = copy.deepcopy(template).to(setup.device).eval()
    scores = _Scores(teacher.model[-1])
    levels = zip(student.model[-1].f, teacher.model[-1].f, strict=True)
    losses = [_loss(i, copy.deepcopy(setup.projector[i])) for i in range(len(setup.projector))]
    pairs = {(f"model.{s}", f"model.{t}"): loss for (s, t), loss in zip(levels, losses, strict=True)}
    config = {"teacher_model": teacher, "criterion": pairs, "loss_balancer": distill.StaticLossBalancer(1.0)}
    weights = dict(student.named_parameters())  # afterwards those of teacher and losses are among them
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = distill.convert(student, mode=[("kd_loss", config)])
    model.train()
    trained = nn.ModuleList([model, *losses]).to(setup.device)
    return Arm(
        "hooks", model, trained, lambda batch: _total(model, scores, batch), keeps=(teacher,), weights=weights
    )


def _modelopt() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import modelopt.torch.distill as distill
    except ImportError:
        raise LeftOut(f"ModelOpt is not installed: {_INSTALL}") from None
    return distill


class _Scores:
    """Keeps what the teacher's head puts out, by a hook as well."""

    def __init__(self, head: nn.Module) -> None:
        self.out: Any = None
        head.register_forward_hook(self)

    def __call__(self, module: nn.Module, inputs: Any, out: Any) -> None:
        self.out = out[1] if isinstance(out, tuple) else out

    def take(self) -> Tensor:
        """The highest class score of each cell, `[B, A]`, the mean of the branches' logits first."""
        branches = [self.out[name] for name in ("one2many", "one2one") if name in self.out] or [self.out]
        logits = torch.stack([branch["scores"] for branch in branches]).mean(0)
        self.out = None
        return logits.sigmoid().amax(1)


def _loss(level: int, projector: nn.Module) -> nn.Module:
    class ScoreWeighted(nn.modules.loss._Loss):
        """sum w (s - t)^2 / (C * sum w + 1e-9), the student behind its projector."""

        def __init__(self) -> None:
            super().__init__()
            self.projector = projector

        def forward(self, student: Tensor, teacher: Tensor, scores: Tensor, starts: list[int]) -> Tensor:
            weight = scores[:, starts[level] : starts[level + 1]].unsqueeze(1)
            error = functional.mse_loss(self.projector(student), teacher, reduction="none").flatten(2)
            return (error * weight).sum() / (weight.sum() * teacher.shape[1] + 1e-9)

    return ScoreWeighted()


def _total(model: Any, scores: _Scores, batch: dict[str, Tensor]) -> Tensor:
    images = batch["img"]
    predictions = model(images)
    starts = [0]
    for stride in model.model[-1].stride.tolist():
        starts.append(starts[-1] + int(images.shape[2] // stride) * int(images.shape[3] // stride))
    task = model.loss(batch, predictions)[0]
    parts = model.compute_kd_loss(skip_balancer=True, scores=scores.take(), starts=starts)
    return torch.cat([task, 6.0 * len(images) * torch.stack(list(parts.values())).sum().reshape(1)])
