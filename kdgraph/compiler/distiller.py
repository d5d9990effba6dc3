"""The compiled experiment: one module that any PyTorch loop can train with."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from kdgraph.compiler.edges import EdgeLoss
from kdgraph.compiler.lower import Lowered
from kdgraph.compiler.signals import LABELS
from kdgraph.errors import Diagnostic, RunError
from kdgraph.nn.balance import Balance, GradientNorm
from kdgraph.spec.schedule import ended, weights_of
from kdgraph.spec.schema import Spec, follows_student

__all__ = ["DistillOutput", "Distiller", "TapPair"]

Replan = Callable[[Collection[str], Lowered], Lowered]
"""Plans and lowers the spec anew with only some of its edges, keeping the modules of the lowering before."""


def _no_plan(edges: Collection[str], previous: Lowered) -> Lowered:
    message = "a copy of a Distiller cannot compile edges away"
    raise RunError(Diagnostic("KD504", message, hint="call retire on the one that kdgraph.compile gave"))


class TapPair(NamedTuple):
    """The tensors that one tap reads, before any adapter; the teacher's has no gradient."""

    student: Tensor
    teacher: Tensor


@dataclass
class DistillOutput:
    """What one training forward gives.

    `predictions`: the student's raw outputs, as Ultralytics' losses take them. `losses`: edge name ->
    weighted scalar; `raw`: the same unweighted; `loss`: the sum of `losses` (and of what a learnt balance
    adds). All are means over the batch: multiply by the batch size beside Ultralytics' detection loss, which
    is a sum over images. `taps` and `teacher` (the teacher's raw outputs) are filled when the spec's
    `outputs` asks for them; of several teachers it is a dict by name. `shared`: the student's tensors at
    which `balance: gradient_norm` measures.
    """

    predictions: Any
    losses: dict[str, Tensor]
    raw: dict[str, Tensor]
    loss: Tensor
    taps: dict[str, TapPair] = field(default_factory=dict)
    teacher: Any = None
    shared: tuple[Tensor, ...] = ()


class Distiller(nn.Module):
    """Student, frozen teachers, adapters and criteria as one module, without hooks.

    In training mode `distiller(batch)` takes an Ultralytics batch dict (or images [B,C,H,W] in 0..1,
    where no edge reads labels) and returns a `DistillOutput`. In eval mode it is the student: images in,
    its own outputs back.

    `parameters()` are the student's, the adapters' and those of criteria that learn, so one optimiser trains
    all. Teachers are frozen and in eval mode whatever `.train()` says, and are in no state dict. `student`
    is the model that was given; save that one.
    """

    def __init__(
        self,
        spec: Spec,
        student: nn.Module,
        lowered: Lowered,
        replan: Replan | None = None,
        balance: Balance | None = None,
    ) -> None:
        super().__init__()
        self.spec = spec
        self.student = student
        self.adapters = lowered.adapters
        self.edges = lowered.edges
        self.balance = balance
        self._replan = replan
        self._ema_steps = 0
        self._take(lowered)
        # DDP would send the teacher's weights around at every step, though they are the same everywhere.
        self._ddp_params_and_buffers_to_ignore = [
            f"teachers.{name}" for name, _ in self.teachers.named_buffers()
        ]
        self.set_epoch(0)
        self.train()

    def _take(self, lowered: Lowered) -> None:
        self.teachers = lowered.teachers
        self.signals = lowered.signals
        # Not registered: the graph holds the same modules again, and a state dict would list them twice.
        self._lowered = (lowered,)
        self._graph = (lowered.module,)
        order = {name: index for index, name in enumerate(self.spec.edges)}
        self._places = [order[name] for name in lowered.edge_names]

    @property
    def teacher(self) -> nn.Module:
        """What is left of the only teacher, or of the first of several; an empty module where nothing is."""
        return next(iter(self.teachers.values()), nn.Module())

    @property
    def active(self) -> tuple[str, ...]:
        """The edges that are computed: all but those that `retire` has compiled away."""
        return tuple(self._lowered[0].edge_names)

    @property
    def labels(self) -> tuple[str, ...]:
        """What the forward reads of a batch besides its images."""
        return self._lowered[0].labels

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
        self.teachers.eval()
        return self

    def set_epoch(self, epoch: float, epochs: int | None = None) -> None:
        """Move every edge's weights to where schedule and phase have them at `epoch` (from 0) of `epochs`.

        `epochs` defaults to the spec's `train: {epochs: …}`. Nothing is recompiled.
        """
        total = self._epochs(epochs)
        for name, attribute in self._lowered[0].edge_names.items():
            module = self.edges[attribute]
            assert isinstance(module, EdgeLoss)
            module.weigh(weights_of(self.spec, name, module.levels, epoch, total))

    def retire(self, epoch: float, epochs: int | None = None) -> tuple[str, ...]:
        """Compile away the edges that count at no moment from `epoch` (from 0) of `epochs` on; their names.

        With them goes the part of the teacher that only they needed. Parameters stay the same objects under
        the same names, those of adapters that serve no edge any more among them, so an optimiser, a
        checkpoint and DDP go on as they are. Under `torch.compile` the next step compiles anew: call it
        between epochs. Where no edge has an end of its own, nothing ever goes: then the plan, and with it
        the teacher as it was before folding, is not kept.
        """
        if self._replan is None:
            return ()
        gone = [name for name in self.active if ended(self.spec, name, epoch, self._epochs(epochs))]
        if gone:
            like = next(self.student.parameters())
            averages = self._averages()
            lowered = self._replan([name for name in self.active if name not in gone], self._lowered[0])
            self._take(lowered)
            self._graph[0].to(device=like.device)
            self.teachers.to(like.device, like.dtype)
            self._keep_precision()
            self.signals.to(like.device)
            for name, buffer in self._averages().items():
                buffer.copy_(averages[name])
            self._relink()
            self.train(self.training)
        return tuple(gone)

    @torch.no_grad()
    def update_ema(self) -> None:
        """Let each teacher that is `student.ema` follow the student by one step, after one of the optimiser.

        The moving average is Ultralytics' own, with the decay 0.9999 * (1 - exp(-step / 2000)); numbers that
        are not real are copied. Without such a teacher nothing happens.
        """
        averages = self._averages()
        if not averages:
            return
        self._ema_steps += 1
        decay = 0.9999 * (1 - math.exp(-self._ema_steps / 2000))
        student = dict(
            chain(
                self.student.named_parameters(remove_duplicate=False),
                self.student.named_buffers(remove_duplicate=False),
            )
        )
        for name, buffer in averages.items():
            source = student[name.split(".", 1)[1]]
            if buffer.is_floating_point():
                buffer.mul_(decay).add_(source.detach(), alpha=1 - decay)
            else:
                buffer.copy_(source)

    def _averages(self) -> dict[str, Tensor]:
        """The numbers of the teachers that follow the student, by teacher and by name in the student."""
        names = self._lowered[0].teacher_names
        follow = [name for role, name in names.items() if follows_student(self.spec, role)]
        return {f"{n}.{key}": t for n in follow for key, t in self.teachers[n].named_buffers()}

    def rebalance(self, out: DistillOutput, task: Tensor | None = None) -> None:
        """With `balance: gradient_norm`, measure the gradients of this step, every few steps; else nothing.

        Call it between forward and backward. `task` is the loss that the student is trained with besides, as
        a mean over images: a weight of 1 then makes an edge's gradient as strong as the task's. The factors
        found count from the next step on.
        """
        if not isinstance(self.balance, GradientNorm):
            return
        if self.balance.due:
            losses = [out.raw.get(name) for name in self.spec.edges]
            self.balance.measure(losses, task, out.shared)
        self.balance.steps += 1

    def learnt(self) -> dict[str, Any]:
        """What changes beside the student, as a state dict: adapters, criteria, balance, moving averages."""
        state = self.state_dict()
        averages = {f"teachers.{name}": buffer.clone() for name, buffer in self._averages().items()}
        steps = {"ema_steps": torch.tensor(self._ema_steps)} if averages else {}
        own = {name: value for name, value in state.items() if not name.startswith("student.")}
        return {**own, **averages, **steps}

    def load_learnt(self, state: Mapping[str, Any]) -> None:
        """Take over what `learnt` gave. Raises RuntimeError when it is of another spec."""
        student = {f"student.{name}": value for name, value in self.student.state_dict().items()}
        state = dict(state)
        self._ema_steps = int(state.pop("ema_steps", 0))
        averages = {name: t for name, t in self._averages().items() if f"teachers.{name}" in state}
        if self._averages() and not averages:
            raise RuntimeError("learnt with another spec: it has no moving average")
        for name, buffer in averages.items():  # those that edges ended before it was saved had are not there
            buffer.copy_(state.pop(f"teachers.{name}"))
        keys = self.load_state_dict({**student, **state}, strict=False)
        # a batch norm puts its own counter among the keys, and a frozen one then does not want it
        wrong = [*keys.missing_keys, *(key for key in keys.unexpected_keys if "teachers." not in key)]
        if wrong:
            raise RuntimeError(f"learnt with another spec: {', '.join(wrong)}")

    def __deepcopy__(self, memo: dict[int, Any]) -> Distiller:
        """A copy trains on its own; what has ended stays in it, since the plan is of the original."""
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        own = {name: value for name, value in self.__dict__.items() if name != "_replan"}
        copied.__dict__.update(
            {name: deepcopy(value, memo) for name, value in own.items()}, _replan=self._replan and _no_plan
        )
        return copied

    def _epochs(self, epochs: int | None) -> int:
        return epochs or int(self.spec.train.get("epochs", 100))

    def save(self, path: str | Path) -> None:
        """Write the student, and nothing else, as a checkpoint for `YOLO(path)` and the `yolo` command."""
        student: Any = deepcopy(self.student).eval()
        student.criterion = None  # the detection loss, made by training
        arguments = dict(getattr(student, "args", {}))
        student.args = arguments
        torch.save({"model": student, "train_args": arguments}, path)

    def forward(self, batch: Tensor | Mapping[str, Any]) -> Any:
        """`DistillOutput` in training mode, the student's own output in eval mode.

        Raises RunError (KD504) when an edge reads labels and `batch` has none, and under an autocast to other
        numbers than a teacher's `precision`.
        """
        images = batch if isinstance(batch, Tensor) else batch["img"]
        if not self.training:
            return self.student(images)
        self._check_autocast(images)
        result = self._graph[0](images, *self._take_labels(batch))
        losses, loss = self._balanced(images, result["losses"])
        return DistillOutput(
            predictions=result["predictions"],
            losses=losses,
            raw={name: raw for name, (raw, _) in result["losses"].items()},
            loss=loss,
            taps={name: TapPair(**pair) for name, pair in result.get("taps", {}).items()},
            teacher=result.get("teacher"),
            shared=tuple(result.get("shared", ())),
        )

    def _check_autocast(self, images: Tensor) -> None:
        """Autocast would take the inputs of a teacher's convolutions to its own numbers, weights and all."""
        device = images.device.type
        own = self._lowered[0].precision
        if not own or not torch.is_autocast_enabled(device):
            return
        theirs = torch.get_autocast_dtype(device)
        if any(dtype != theirs for dtype in own.values()):
            name = str(theirs).removeprefix("torch.")
            message = f"a teacher's `precision` is not that of the autocast, {name}"
            hint = (
                "delete `precision`: under autocast the teacher computes in its numbers as the student does"
            )
            raise RunError(Diagnostic("KD504", message, hint=hint))

    def _balanced(
        self, images: Tensor, losses: Mapping[str, tuple[Tensor, Tensor]]
    ) -> tuple[dict[str, Tensor], Tensor]:
        """The weighted losses by edge, balanced if the spec asks for it, and their sum."""
        if not losses:
            return {}, torch.zeros((), device=images.device)
        weighted = {name: value for name, (_, value) in losses.items()}
        values = torch.stack([*weighted.values()])
        if self.balance is None:  # each loss stays its own: the gradient of one does not pass the others
            return weighted, values.sum()
        values, extra = self.balance(values, self._places)
        total = values.sum() if extra is None else values.sum() + extra
        return dict(zip(losses, values.unbind(), strict=True)), total

    def _take_labels(self, batch: Tensor | Mapping[str, Any]) -> list[Tensor]:
        if not self.labels:
            return []
        if isinstance(batch, Tensor) or any(label not in batch for label in self.labels):
            edges = ", ".join(f"'{name}'" for name in self._lowered[0].labelled)
            plural = len(self._lowered[0].labelled) > 1
            raise RunError(
                Diagnostic(
                    "KD504",
                    f"edge{'s' * plural} {edges} need{'s' * (not plural)} labels, and this batch has none",
                    hint=f"call it with a dict of img, {', '.join(LABELS)}, or use others",
                )
            )
        return [batch[label] for label in self.labels]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Distiller:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        # The tensors that the graph reads directly; for the rest twice is as good as once.
        self._graph[0]._apply(fn)  # type: ignore[no-untyped-call]
        self._keep_precision()
        self._relink()
        return self

    def _keep_precision(self) -> None:
        """A teacher with a precision of its own keeps it, whatever the rest is moved to."""
        for name, dtype in self._lowered[0].precision.items():
            if name in self.teachers:
                self.teachers[name].to(dtype)

    def _relink(self) -> None:
        """Let the graph read the very tensors of the teachers, which a move made twice."""
        for node in self.graph.nodes:
            target = str(node.target)
            if node.op == "get_attr" and target.startswith("teachers."):
                owner, _, name = target.rpartition(".")
                self._graph[0].get_submodule(owner)._buffers[name] = attrgetter(target)(self)
