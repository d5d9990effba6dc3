"""What all arms of tools/bench start from: a spec, its models with the same weights, and a batch."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from typing import Any

import torch
from bench_batch import folder_batch, synthetic_batch
from bench_options import STUDENT, TEACHER
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from kdgraph.graph.pair import build_student, build_teacher
from kdgraph.spec.parse import load, parse
from kdgraph.spec.schema import Spec, follows_student

__all__ = ["SL2", "Setup", "WrongUse", "built", "spec_of"]

SL2 = "  sl2: {taps: neck.*, criterion: sl2, weight: 6.0}"
"""What Ultralytics' built-in distillation computes, with its default gain."""


class WrongUse(ValueError):
    """What was asked for cannot be measured, with the reason."""


@dataclass
class Setup:
    """The models are templates: an arm trains copies.

    `standard`: the spec computes what the built-in does. `projector`: then the weights of all arms' adapters,
    level by level. `text`: the spec, if it was made here.
    """

    spec: Spec
    student: Any
    teachers: dict[str, Any]
    batch: dict[str, Tensor]
    options: argparse.Namespace
    text: str | None = None
    standard: bool = False
    projector: nn.ModuleList | None = None

    @property
    def device(self) -> torch.device:
        return torch.device(self.options.device)


def spec_of(options: argparse.Namespace, edges: str = SL2) -> tuple[Spec, str | None]:
    """The spec of a run, and its text if it was made here."""
    if options.spec is None:
        teacher = {"model": options.teacher or TEACHER}
        if options.precision:
            teacher["precision"] = options.precision
        names = json.dumps(options.student or STUDENT), json.dumps(teacher)
        text = "student: {}\nteacher: {}\ntrain: {{imgsz: {}}}\nedges:\n{}\n".format(
            *names, options.imgsz, edges
        )
        return parse(text, "tools/bench"), text
    spec = load(options.spec)
    update: dict[str, Any] = {"train": {**spec.train, "imgsz": options.imgsz}}
    if options.student:
        update["student"] = spec.student.model_copy(update={"model": options.student})
    if options.teacher:
        if len(spec.teachers) != 1:
            raise WrongUse(f"--teacher: {options.spec} has {len(spec.teachers)} teachers, change them there")
        fresh = {"model": options.teacher, "train": None, "python": None}
        update["teachers"] = {role: part.model_copy(update=fresh) for role, part in spec.teachers.items()}
    if options.precision:
        own = {"precision": options.precision}
        teachers = update.get("teachers", spec.teachers)
        update["teachers"] = {role: part.model_copy(update=own) for role, part in teachers.items()}
    return spec.model_copy(update=update), None


def built(options: argparse.Namespace, edges: str = SL2) -> Setup:
    """Models from yaml get random weights of the seed, and batch norms that have seen a few batches.

    Raises KdgraphError for models that cannot be built, and WrongUse for a student that is no detector.
    """
    spec, text = spec_of(options, edges)
    torch.manual_seed(options.seed)
    student: Any = build_student(spec)
    if getattr(student, "task", None) != "detect":
        raise WrongUse(f"--student: {spec.student.model} does not detect; only detectors are measured")
    stride = int(max(student.stride))
    if options.imgsz % stride:
        raise WrongUse(f"--imgsz: {options.imgsz} is no multiple of the student's stride of {stride}")
    roles = [role for role in spec.teachers if not follows_student(spec, role)]
    teachers: dict[str, Any] = {role: build_teacher(spec, role) for role in roles}
    batch = _batch(options, int(student.model[-1].nc))
    for model in (student, *teachers.values()):
        _settle(model, batch["img"])
    for name, parameter in student.named_parameters():
        parameter.requires_grad_(".dfl" not in name)  # Ultralytics' trainer freezes it as well
    return Setup(spec, student, teachers, batch, options, text, text is not None and edges == SL2)


def _batch(options: argparse.Namespace, classes: int) -> dict[str, Tensor]:
    try:
        batch = (
            synthetic_batch(options.batch, options.imgsz, classes, options.seed)
            if options.images is None
            else folder_batch(options.images, options.batch, options.imgsz, classes)
        )
    except ValueError as error:
        raise WrongUse(f"--images: {error}") from None
    return {name: tensor.to(options.device) for name, tensor in batch.items()}


@torch.no_grad()
def _settle(model: nn.Module, images: Tensor) -> None:
    """Let fresh batch norms see images: at their initial statistics a deep network's features die away.

    Nothing happens to a model that was trained, or that has none.
    """
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if not norms or any(int(norm.num_batches_tracked or 0) for norm in norms):
        return
    momentum = [norm.momentum for norm in norms]
    pixels = nn.functional.interpolate(images[:4].cpu().float(), (128, 128))
    for norm in norms:
        norm.train().momentum = None  # the plain average
    for shifted in (pixels, pixels.flip(2), pixels.flip(3)):
        model(shifted)
    for norm, value in zip(norms, momentum, strict=True):
        norm.eval().momentum = value
