"""One training step, as Ultralytics' trainer does it, for whatever computes a loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from bench_memory import resident
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ["Arm", "Region", "Stepper"]

Region = Callable[[str], Any]
"""Opens a context in which time is put down to the part of the step that is named."""

_CLIP = 10.0
_SGD = {"lr": 0.01, "momentum": 0.937, "nesterov": True}
_DECAY = 5e-4
"""Ultralytics' defaults for SGD."""


@dataclass
class Arm:
    """A way to train the student.

    `trained` has the parameters for the optimiser. `loss(batch)` is a vector to add up, the distillation
    last if the arm `distils`. `keeps` are what holds tensors between steps. `aside` is a forward that comes
    before, and has no loss. `weights`: the student's parameters by their names in it.
    """

    name: str
    student: Any
    trained: nn.Module
    loss: Callable[[dict[str, Tensor]], Tensor]
    distils: bool = True
    keeps: tuple[nn.Module, ...] = ()
    aside: Callable[[Tensor], Any] | None = None
    compiled: bool = False
    weights: dict[str, nn.Parameter] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.weights = self.weights or dict(self.student.named_parameters())


class Stepper:
    """Trains an arm on one batch, over and over: Ultralytics' SGD, clipping and AMP."""

    def __init__(self, arm: Arm, batch: dict[str, Tensor], amp: str | None, device: torch.device) -> None:
        self.arm, self.batch, self.device = arm, batch, device
        self.dtype = {None: None, "bf16": torch.bfloat16, "fp16": torch.float16}[amp]
        self.optimizer = torch.optim.SGD(_groups(arm.trained), **_SGD)
        self.scaler = torch.amp.GradScaler(device.type, enabled=amp == "fp16")
        self.parameters = [p for group in self.optimizer.param_groups for p in group["params"]]

    def loss(self) -> Tensor:
        """The arm's losses, forward only, with gradients to be had."""
        if self.arm.compiled:
            torch.compiler.cudagraph_mark_step_begin()
        cast = torch.autocast(self.device.type, dtype=self.dtype) if self.dtype else nullcontext()
        with cast:
            if self.arm.aside is not None:
                self.arm.aside(self.batch["img"])
            return self.arm.loss(self.batch)

    def backward(self) -> None:
        """Forward and backward only; no gradients stay."""
        self.loss().sum().backward()
        self.optimizer.zero_grad()

    def step(self, region: Region = lambda name: nullcontext()) -> Tensor:
        """A whole step; its loss, detached."""
        total = self.loss().sum()
        with region("backward"):
            self.scaler.scale(total).backward()
        with region("optimiser"):
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.parameters, _CLIP)
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.optimizer.zero_grad()
        return total.detach()

    def resident(self) -> int:
        """Bytes on the device that stay between steps: weights, buffers, optimiser state, the batch."""
        return resident(tensor for tensor in self._kept() if tensor.device.type == self.device.type)

    def _kept(self) -> Iterator[Tensor]:
        yield from self.batch.values()
        for module in (self.arm.trained, *self.arm.keeps):
            yield from module.parameters()
            yield from module.buffers()
        for state in self.optimizer.state.values():
            yield from (value for value in state.values() if isinstance(value, Tensor))


def _groups(trained: nn.Module) -> list[dict[str, Any]]:
    """Weights decay; biases and the weights of norms do not."""
    decayed, others = [], []
    for module in trained.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad:
                plain = name == "bias" or isinstance(module, _BatchNorm)
                (others if plain else decayed).append(parameter)
    return [{"params": decayed, "weight_decay": _DECAY}, {"params": others, "weight_decay": 0.0}]
