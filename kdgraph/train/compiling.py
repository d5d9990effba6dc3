"""`train: {compile: …}`: the forward of a training step through torch.compile, where that can be and pays."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

import torch
from torch import nn
from ultralytics.utils import LOGGER

from kdgraph.compiler.distiller import Distiller, DistillOutput
from kdgraph.train.compile_choice import Auto, Choice, spoken, wait_for
from kdgraph.train.torch_compile import NotCompiled, compiled

__all__ = ["CompiledStep"]

_GRAPHS = ("reduce-overhead", "max-autotune")
"""The modes of torch.compile that record CUDA graphs and replay them."""


class CompiledStep:
    """The forward of a Distiller: compiled for the steps that allow it, else as it is.

    how: `False`, `True`, `auto`, or a mode of torch.compile. obstacle: why `auto` is not to try. What is
    compiled stands beside the modules, so their state, copies and pickles are as without.

    Not compiled are batches of another shape than the first one, for which all would be compiled anew; those
    with fewer than two labels where labels are read, since for sizes 0 and 1 it would too; and steps that are
    measured. These send losses backward one by one through a graph that they keep, and a compiled backward
    reuses the memory of what its forward kept. Where compiling fails, the run goes on without, from that very
    step.

    Of several processes each decides for itself. DistributedDataParallel waits for gradients, however they
    are made.
    """

    def __init__(
        self,
        distiller: Distiller,
        how: bool | str = False,
        *,
        obstacle: str | None = None,
        backend: Any = "inductor",
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self.distiller = distiller
        self._how = how
        self._backend = backend
        self._ran = False
        self._clock = clock
        self._batch_size = self._steps = 0
        self._end = math.inf
        if how == "auto" and obstacle is not None:
            _say(f"auto: not compiled: {obstacle}")
            self._how = False
        self.anew()

    def anew(self) -> None:
        """Forget what was compiled and timed: the graph has changed, or the batches have."""
        self._forward: Callable[[dict[str, Any]], DistillOutput] | None = None
        self._shape: torch.Size | None = None
        self._auto = Auto(self._wait, self._clock) if self._how == "auto" else None
        self._wanted = self._auto is None and self._how is not False

    def begin(self, steps: int, seconds: float, batch_size: int) -> None:
        """An epoch begins; so many steps are left with so many images, and so much time at most."""
        if batch_size != self._batch_size:  # Ultralytics halves it where the memory is too small
            self.anew()
        self._batch_size, self._steps, self._end = batch_size, steps, self._clock() + seconds
        if self._auto is not None:
            self._take(self._auto.pause(steps))

    def __call__(self, batch: Mapping[str, Any], measured: bool = False) -> DistillOutput:
        """What the Distiller gives. measured: its losses will go backward through a graph that is kept."""
        ordinary = self._fits(batch) and not measured
        if self._auto is not None:
            self._take(self._auto.begin(ordinary, self._steps, self._end - self._clock()))
        self._steps -= 1
        self._ran = ordinary and self._wanted
        if self._ran:
            return self._compiled(batch)
        return self._eager(batch)

    @property
    def backend(self) -> Any:
        """What has compiled the step before; None where it was eager."""
        return self._backend if self._ran else None

    def _take(self, choice: Choice | None) -> None:
        """Say what `auto` has decided, and do so."""
        if choice is None or self._auto is None:
            return
        _say(f"auto: {choice.why}")
        self._wanted = choice.compiled
        if not choice.compiled:
            self._forward = None
            self._how = False  # when an edge ends later, there is still less time left
        if self._auto.settled:
            self._auto = None

    def _fits(self, batch: Mapping[str, Any]) -> bool:
        shape = batch["img"].shape
        if self._shape is None:
            self._shape = shape
        labels = [batch.get(name) for name in self.distiller.labels]
        return shape == self._shape and all(label is not None and len(label) > 1 for label in labels)

    def _eager(self, batch: Mapping[str, Any]) -> DistillOutput:
        out: DistillOutput = self.distiller(batch)
        return out

    def _compiled(self, batch: Mapping[str, Any]) -> DistillOutput:
        """Compile it where that is still to be done; eager, now and from now on, where it fails."""
        labels = self.distiller.labels
        inputs = {name: batch[name] for name in ("img", *labels)}
        began = self._clock() if self._forward is None else None
        try:
            if self._forward is None:
                if self._auto is None:  # it has said so already
                    _say(f"compiling{self._lasting}")
                self._forward = compiled(self.distiller.forward, self._mode, self._backend, growing=labels)
            if self._mode in _GRAPHS:
                keep_gradients(self.distiller)
                torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
            out = self._forward(inputs)
        except NotCompiled as error:
            LOGGER.warning(f"kdgraph: compile: the run goes on without: {error}")
            self._how = self._ran = False
            self.anew()
            return self._eager(batch)
        if began is not None:
            _say(f"compiled in {spoken(self._clock() - began)}")
        return out

    @property
    def _mode(self) -> str:
        return self._how if isinstance(self._how, str) and self._how != "auto" else "default"

    @property
    def _wait(self) -> float:
        """The seconds that compiling takes, roughly; nan where nothing is known."""
        device = next(self.distiller.student.parameters()).device.type
        return wait_for(len(self.distiller.graph.nodes), device)

    @property
    def _lasting(self) -> str:
        return "" if math.isnan(self._wait) else f", which takes about {spoken(self._wait)}"


def keep_gradients(model: nn.Module) -> None:
    """Move the gradients that are being added up over several steps to memory of their own.

    The first of them lie where the backward of a CUDA graph has put them, and the next step overwrites that.
    """
    for parameter in model.parameters():
        if parameter.grad is not None:
            parameter.grad = parameter.grad.clone()


def _say(what: str) -> None:
    LOGGER.info(f"kdgraph: compile: {what}")
