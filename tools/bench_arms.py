"""The arms of tools/bench: ways to train the same student on the same batch."""

from __future__ import annotations

import copy
import gc
import weakref
from collections.abc import Callable
from typing import Any

import torch
from bench_hooks import LeftOut, hooked
from bench_limit import compiled_teacher
from bench_models import Setup
from bench_step import Arm
from torch import Tensor, nn
from ultralytics.utils import IterableSimpleNamespace

from kdgraph.compiler.api import plan
from kdgraph.compiler.distiller import Distiller
from kdgraph.train.compiling import CompiledStep
from kdgraph.train.training_model import TrainingModel

__all__ = ["LeftOut", "arm", "distiller_of", "take_projector"]

_GAIN = 6.0


def arm(name: str, setup: Setup) -> Arm:
    """One arm, with models of its own. Raises LeftOut with the reason where it cannot be had here."""
    return _BUILDERS[name](setup)


def take_projector(setup: Setup) -> None:
    """Give the setup the adapters of the built-in, for all that have some. Raises LeftOut."""
    torch.manual_seed(setup.options.seed)
    setup.projector = _builtin_model(setup, _student(setup)).projector.cpu()


def _student(setup: Setup) -> Any:
    """A copy on the device, in training mode, with arguments as its loss reads them."""
    student = copy.deepcopy(setup.student).to(setup.device).train()
    arguments = student.args if isinstance(student.args, dict) else vars(student.args)
    student.args = IterableSimpleNamespace(**{**arguments, "imgsz": setup.options.imgsz, "dis": _GAIN})
    return student


def _plain(setup: Setup) -> Arm:
    student = _student(setup)
    return Arm("plain", student, student, lambda batch: student.loss(batch)[0], distils=False)


def _builtin(setup: Setup) -> Arm:
    student = _student(setup)
    model = _builtin_model(setup, student)
    if setup.projector is not None:
        model.projector.load_state_dict(setup.projector.state_dict())
    return Arm("builtin", student, model, lambda batch: model(batch)[0])


def _builtin_model(setup: Setup, student: Any) -> Any:
    try:
        from ultralytics.nn.distill_model import DistillationModel
    except ImportError:
        raise LeftOut("this ultralytics has no built-in distillation: pip install -U ultralytics") from None
    teacher = copy.deepcopy(_only_teacher(setup)).to(setup.device)
    try:
        return DistillationModel(teacher, student).train()
    except (ValueError, AttributeError) as error:
        raise LeftOut(f"the built-in does not take this pair: {error}") from None


def _only_teacher(setup: Setup) -> Any:
    if len(setup.teachers) != 1:
        raise LeftOut(f"it takes one teacher, and the spec has {len(setup.teachers)}")
    return next(iter(setup.teachers.values()))


def _eager(setup: Setup) -> Arm:
    model, teachers = _training_model(setup)
    return Arm("eager", model.student, model, lambda batch: model(batch)[0], keeps=teachers)


def _compiled(setup: Setup) -> Arm:
    model, teachers = _training_model(setup)
    mode = setup.options.compile_mode
    model.step = CompiledStep(model.distiller, True if mode == "default" else mode)
    model(setup.batch)  # its first step sends each edge's gradient alone, so it is never compiled
    return Arm("compiled", model.student, model, lambda batch: model(batch)[0], keeps=teachers, compiled=True)


def _training_model(setup: Setup) -> tuple[TrainingModel, tuple[nn.Module, ...]]:
    """What `kdgraph run` trains, and the teachers that its plan keeps."""
    distiller, teachers = distiller_of(setup, _student(setup))
    return TrainingModel(distiller).train(), teachers


def distiller_of(setup: Setup, student: Any) -> tuple[Distiller, tuple[nn.Module, ...]]:
    """A Distiller on the device, adapters as the built-in's, and the teachers that its plan still holds."""
    teachers = copy.deepcopy(setup.teachers)
    kept = [weakref.ref(teacher) for teacher in teachers.values()]
    torch.manual_seed(setup.options.seed)
    distiller = plan(setup.spec, student=student, teachers=teachers).lower()
    del teachers
    gc.collect()
    if setup.projector is not None and setup.standard:
        for adapter, projector in zip(distiller.adapters.values(), setup.projector, strict=True):
            _copy_parameters(projector, adapter)
    return distiller.to(setup.device), tuple(teacher for ref in kept if (teacher := ref()) is not None)


@torch.no_grad()
def _copy_parameters(source: nn.Module, target: nn.Module) -> None:
    for theirs, ours in zip(source.parameters(), target.parameters(), strict=True):
        ours.copy_(theirs)


def _limit(setup: Setup) -> Arm:
    """Compiles the student's forward; its loss stays as it is, since Ultralytics' own `compile` has it so."""
    student = _student(setup)
    teacher = compiled_teacher(distiller_of(setup, _student(setup))[0], setup.batch, _how(setup))
    forward: Callable[[Tensor], Any] = torch.compile(student, **_how(setup))
    return Arm(
        "limit", student, student, lambda batch: student.loss(batch, forward(batch["img"]))[0],
        distils=False, keeps=(teacher.module,), aside=teacher, compiled=True,
    )  # fmt: skip


def _how(setup: Setup) -> dict[str, Any]:
    mode = setup.options.compile_mode
    return {"dynamic": False, **({} if mode == "default" else {"mode": mode})}


_BUILDERS: dict[str, Callable[[Setup], Arm]] = {
    "plain": _plain,
    "builtin": _builtin,
    "eager": _eager,
    "compiled": _compiled,
    "hooks": lambda setup: hooked(setup, _student(setup), _only_teacher(setup)),
    "limit": _limit,
}
