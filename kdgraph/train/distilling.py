"""One of Ultralytics' trainers, with a Distiller in place of its model.

Data, augmentation, AMP, EMA, validation, plots, callbacks and checkpoints are Ultralytics' own.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn
from ultralytics.engine.trainer import BaseTrainer
from ultralytics.utils import DEFAULT_CFG, LOGGER, RANK
from ultralytics.utils.torch_utils import unwrap_model

from kdgraph.compiler.api import plan
from kdgraph.compiler.distiller import Distiller
from kdgraph.graph.models import build_model
from kdgraph.graph.pair import build_student
from kdgraph.spec.schedule import ended
from kdgraph.spec.schema import ModelSpec, Spec
from kdgraph.train.compared import pairs_of
from kdgraph.train.compile_choice import obstacle
from kdgraph.train.compiling import CompiledStep
from kdgraph.train.folder import RunFolder
from kdgraph.train.observer import Observer
from kdgraph.train.training_model import TrainingModel, column

__all__ = ["Distilling"]

_EMA_ATTRIBUTES = ["yaml", "nc", "args", "names", "stride", "class_weights"]
_NOTES = "kdgraph"  # what the run's folder says, among the arguments that a process of a multi-GPU run gets


class Distilling(BaseTrainer):  # type: ignore[misc]
    """Makes a trainer of a task train the student of a spec; put it before that trainer.

    `spec` and `teachers` (role -> path of its checkpoint, where it has one) may be left out when the run's
    folder, `save_dir`, holds them: so the processes of a multi-GPU run and a resumed run find them.
    """

    def __init__(
        self,
        cfg: Any = DEFAULT_CFG,
        overrides: dict[str, Any] | None = None,
        _callbacks: dict[str, Any] | None = None,
        spec: Spec | None = None,
        teachers: dict[str, str] | None = None,
    ) -> None:
        overrides = dict(overrides or {})
        notes = overrides.pop(_NOTES, None)
        overrides["compile"] = False  # Ultralytics would compile the whole model, what it measures included
        super().__init__(cfg, overrides, _callbacks)
        self.folder = RunFolder(Path(self.save_dir))
        if notes is not None:
            self.folder.restore(notes)
        self.spec = spec or self.folder.spec()
        self.teachers = self.folder.teachers() if teachers is None else teachers
        self._step = 0

    model: Any
    ema: Any
    _observer: Observer | None = None  # Ultralytics' constructor already runs callbacks

    @property
    def distiller(self) -> Distiller:
        model: TrainingModel = unwrap_model(self.model)
        return model.distiller

    # Building

    def setup_model(self) -> Any:
        if self.resume:
            return super().setup_model()
        if not isinstance(self.model, nn.Module):
            self.model = build_student(self.spec)
        return None

    def set_model_attributes(self) -> None:
        """Called once the student stands on its device: here it becomes part of the Distiller."""
        super().set_model_attributes()
        self._leave_precision_to_amp()
        planned = plan(self.spec, student=self.model, teachers=self._build_teachers())
        distiller = planned.lower()
        self._observer = Observer(pairs_of(planned.graph))
        self.spec = distiller.spec  # with the edges of a recipe as they are for these models
        distiller.to(self.device)
        self.model = TrainingModel(distiller, self._compiled_step(distiller))

    def _leave_precision_to_amp(self) -> None:
        """With AMP the teachers compute in its numbers, as the student does."""
        own = [role for role, part in self.spec.teachers.items() if part.precision is not None]
        if not own or not self.args.amp or self.device.type == "cpu":  # where Ultralytics has no AMP
            return
        LOGGER.info(f"kdgraph: precision: amp is on, so {', '.join(own)} computes as the student does")
        teachers = {
            role: part.model_copy(update={"precision": None}) for role, part in self.spec.teachers.items()
        }
        self.spec = self.spec.model_copy(update={"teachers": teachers})

    def _compiled_step(self, distiller: Distiller) -> CompiledStep:
        how = self.spec.train.get("compile", False)
        against = obstacle(self.args, self.device.type) if how == "auto" else None
        return CompiledStep(distiller, how, obstacle=against)

    def _build_teachers(self) -> dict[str, nn.Module]:
        """Those that have a checkpoint; the compiler builds the others itself."""
        specs = self.spec.teachers
        refs = {role: ModelSpec(model=path, trust=specs[role].trust) for role, path in self.teachers.items()}
        return {role: build_model(ref, nc=None) for role, ref in refs.items()}

    def set_class_weights(self) -> None:
        with self._plain_student():
            super().set_class_weights()

    @contextmanager
    def _plain_student(self) -> Iterator[None]:
        """For steps of the base class that write attributes on the model."""
        model = self.model
        self.model = unwrap_model(model).student
        try:
            yield
        finally:
            self.model = model

    # Training

    def train(self) -> None:
        """Train, in processes of their own when there are several devices."""
        if self.ddp:  # Ultralytics empties the folder before it starts them
            setattr(self.args, _NOTES, self.folder.notes())
        super().train()

    def optimizer_step(self) -> None:
        super().optimizer_step()
        self.distiller.update_ema()

    def run_callbacks(self, event: str) -> None:
        """Ultralytics' callbacks, and what kdgraph does at the same moments.

        Not as callbacks of its own: those are pickled for the processes of a multi-GPU run.
        """
        if event == "on_train_epoch_start":
            self._step = 0
            self._retire()
            unwrap_model(self.model).step.begin(*self._left(), self.batch_size)
        elif event == "on_train_batch_start":
            self.distiller.set_epoch(self.epoch + self._step / len(self.train_loader), self.epochs)
            self._step += 1
        elif event == "on_train_epoch_end":
            unwrap_model(self.model).watch.close_epoch()
        if self._observer is not None:
            self._observer.see(event, self)
        super().run_callbacks(event)

    def _retire(self) -> None:
        """Compile edges away that have ended; optimiser, adapters and columns stay as they are."""
        ending = self._ending()
        if ending and self._observer is not None:
            self._observer.ending(self, ending)
        gone = self.distiller.retire(self.epoch, self.epochs)
        if gone:
            unwrap_model(self.model).watch.forget(gone)
            unwrap_model(self.model).step.anew()
            left = ", ".join(self.distiller.active) or "none: the student trains on alone"
            LOGGER.info(f"kdgraph: ended and compiled away: {', '.join(gone)}; edges left: {left}")

    def _left(self) -> tuple[int, float]:
        """How many steps the run still has from this epoch on, and how many seconds at most."""
        steps = (self.epochs - self.epoch) * len(self.train_loader)
        if not self.args.time:
            return steps, math.inf
        return steps, 3600 * self.args.time - (time.time() - self.train_time_start)

    def _ending(self) -> list[str]:
        """The edges whose last epoch was the one before; none of those that ended before a resume."""
        now = [name for name in self.distiller.active if ended(self.spec, name, self.epoch, self.epochs)]
        before = self.epoch - 1
        return [name for name in now if before >= 0 and not ended(self.spec, name, before, self.epochs)]

    def progress_string(self) -> str:
        """The head of the progress line; an edge goes by its own name there, cut to the column's width."""
        edges = {column(name): f"kd_{name}"[:10] for name in self.spec.edges}
        names = [edges.get(name, name) for name in self.loss_names]
        return ("\n" + "%11s" * (4 + len(names))) % ("Epoch", "GPU_mem", *names, "Instances", "Size")

    def label_loss_items(self, loss_items: dict[str, Any] | None = None, prefix: str = "train") -> Any:
        """Validation has no edges, so it has no columns of zeros for them either."""
        if prefix == "val":
            edges = {column(name) for name in self.spec.edges}
            if loss_items is None:
                return [f"{prefix}/{name}" for name in self.loss_names if name not in edges]
            loss_items = {name: value for name, value in loss_items.items() if name not in edges}
        return super().label_loss_items(loss_items, prefix)

    # Saving and resuming

    def save_model(self) -> bool:
        self.ema.update_attr(unwrap_model(self.model).student, include=_EMA_ATTRIBUTES)
        self.folder.save_learnt(self.distiller.learnt(), self.epoch)
        saved: bool = super().save_model()
        return saved

    def _load_checkpoint_state(self, ckpt: dict[str, Any]) -> None:
        """Called when a run resumes, and when Ultralytics goes back to last.pt after a NaN."""
        self.distiller.load_learnt(self.folder.load_learnt(ckpt["epoch"]))
        super()._load_checkpoint_state(ckpt)

    def final_eval(self) -> None:
        if self._observer is not None:
            self._observer.last(self)
        super().final_eval()
        if RANK in {-1, 0}:
            self.folder.learnt.unlink(missing_ok=True)  # finished: last.pt is stripped too, nothing resumes
