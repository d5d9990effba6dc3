"""The models of a spec, with the classes of its data."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from torch import nn
from ultralytics.utils import IterableSimpleNamespace

from kdgraph.graph.architectures import build_architecture
from kdgraph.graph.meta import MetaFactories, to_meta
from kdgraph.graph.models import build_model, check_student, check_trainable
from kdgraph.graph.quiet import quiet
from kdgraph.graph.walk import input_channels, unwrapped
from kdgraph.spec.data import DataInfo, check_task, data_info
from kdgraph.spec.schema import ModelSpec, Spec, TeacherSpec, follows_student

__all__ = ["Models", "build_models", "build_student", "build_teacher"]


@dataclass(frozen=True)
class Models:
    """The student, its teachers by name, and the channels of the images of the data."""

    student: nn.Module
    teachers: dict[str, nn.Module]
    channels: int


def build_models(
    spec: Spec,
    *,
    student: nn.Module | None = None,
    teachers: Mapping[str, nn.Module] | None = None,
    weights: bool = True,
) -> Models:
    """All models of a spec; those given are taken as they are.

    A student, and a teacher that is to be trained, get the classes and keypoints of `data`; a trained teacher
    keeps its own. A teacher that is the student's moving average starts as its copy. With `weights=False` all
    are bare architectures on the meta device. The student's `args` become a namespace, as its loss reads
    them. Raises ModelError and DataError.
    """
    info = _info(spec)
    student = build_student(spec, weights=weights) if student is None else unwrapped(student)
    built: dict[str, nn.Module] = {}
    for role in spec.teachers:
        model = (teachers or {}).get(role)
        if model is student or (model is None and follows_student(spec, role)):
            model = deepcopy(student)  # weights are not copied below: it would be the student
        built[role] = build_teacher(spec, role, weights=weights) if model is None else unwrapped(model)
    if isinstance(getattr(student, "args", None), dict):
        student.args = IterableSimpleNamespace(**student.args)  # type: ignore[arg-type]
    return Models(student, built, info.channels if info else 3)


def build_student(spec: Spec, *, weights: bool = True) -> nn.Module:
    """The student of a spec with the classes of its data. Raises ModelError and DataError."""
    info = _info(spec)
    model = _build(spec.student, info, own_classes=False, weights=weights)
    if info is not None:
        check_task(info, str(model.task), spec.span("data"))
    return model


def build_teacher(spec: Spec, role: str = "teacher", *, weights: bool = True) -> nn.Module:
    """A teacher of a spec: with its own classes, or before its training with those of the data.

    Raises ModelError and DataError.
    """
    part = spec.teachers[role]
    if part.train is not None:
        check_trainable(part)
    return _build(part, _info(spec), own_classes=part.train is None, weights=weights)


def _info(spec: Spec) -> DataInfo | None:
    return (
        None
        if spec.data is None
        else data_info(spec.data, spec.path and spec.path.parent, span=spec.span("data"))
    )


def _build(ref: ModelSpec, info: DataInfo | None, *, own_classes: bool, weights: bool) -> nn.Module:
    classes = info.nc if info else None
    channels = info.channels if info else 3
    model: Any = build_model(ref, nc=classes, channels=channels, weights=weights, meta=not weights)
    if not isinstance(ref, TeacherSpec):
        check_student(model, ref)
    if own_classes or info is None:
        return model  # type: ignore[no-any-return]
    if not _fits(model, info):
        model = _adapted(model, ref, info, weights)
    model.names = dict(info.names)
    return model  # type: ignore[no-any-return]


def _fits(model: Any, info: DataInfo) -> bool:
    head = model.model[-1]
    shape = getattr(head, "kpt_shape", None)
    keypoints = shape is None or info.kpt_shape is None or tuple(shape) == tuple(info.kpt_shape)
    return bool(head.nc == info.nc and keypoints and input_channels(model) == info.channels)


def _adapted(model: Any, ref: ModelSpec, info: DataInfo, weights: bool) -> nn.Module:
    """A model with the classes, keypoints and channels of the data: what fits keeps its weights."""
    own: dict[str, Any] = {"nc": info.nc}
    if info.kpt_shape is not None and "kpt_shape" in model.yaml:
        own["kpt_shape"] = list(info.kpt_shape)
    with quiet():
        architecture = {**deepcopy(model.yaml), **own}
        if weights:
            built: Any = build_architecture(architecture, info.nc, info.channels, ref.span("model"))
            built.names = dict(info.names)
            built.load(model, verbose=False)
            return built  # type: ignore[no-any-return]
        with MetaFactories():
            return to_meta(build_architecture(architecture, info.nc, info.channels, ref.span("model")))
