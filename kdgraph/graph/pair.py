"""The two models of a spec, with the classes of its data."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from torch import nn
from ultralytics.utils import IterableSimpleNamespace

from kdgraph.graph.architectures import build_architecture
from kdgraph.graph.meta import MetaFactories, to_meta
from kdgraph.graph.models import build_model
from kdgraph.graph.quiet import quiet
from kdgraph.spec.data import DataInfo, data_info
from kdgraph.spec.schema import ModelSpec, Spec

__all__ = ["Pair", "build_pair", "build_student", "build_teacher"]


@dataclass(frozen=True)
class Pair:
    """Student and teacher, and the channels of the images that both take."""

    student: nn.Module
    teacher: nn.Module
    channels: int


def build_pair(
    spec: Spec, *, student: nn.Module | None = None, teacher: nn.Module | None = None, weights: bool = True
) -> Pair:
    """Both models of a spec; a model given is taken as it is.

    A student, and a teacher that is to be trained, get the classes of `data`; a trained teacher keeps
    its own. With `weights=False` both are bare architectures on the meta device. The student's `args`
    become a namespace, as its detection loss reads them. Raises ModelError and DataError.
    """
    info = _info(spec)
    if student is None:
        student = build_student(spec, weights=weights)
    if teacher is None:
        teacher = build_teacher(spec, weights=weights)
    if teacher is student:
        teacher = deepcopy(teacher)  # else the teacher would follow its student: weights are not copied below
    if isinstance(getattr(student, "args", None), dict):
        student.args = IterableSimpleNamespace(**student.args)  # type: ignore[arg-type]
    return Pair(student, teacher, info.channels if info else 3)


def build_student(spec: Spec, *, weights: bool = True) -> nn.Module:
    """The student of a spec with the classes of its data. Raises ModelError and DataError."""
    return _build(spec.student, _info(spec), own_classes=False, weights=weights)


def build_teacher(spec: Spec, *, weights: bool = True) -> nn.Module:
    """The teacher of a spec: with its own classes, or before its training with those of the data."""
    return _build(spec.teacher, _info(spec), own_classes=spec.teacher.train is None, weights=weights)


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
    if own_classes or info is None:
        return model  # type: ignore[no-any-return]
    if model.model[-1].nc != info.nc:
        model = _with_classes(model, ref, info, weights)
    model.names = dict(info.names)
    return model  # type: ignore[no-any-return]


def _with_classes(model: Any, ref: ModelSpec, info: DataInfo, weights: bool) -> nn.Module:
    """A checkpoint's model with the classes of the data: what fits keeps its weights, as in a fine-tune."""
    with quiet():
        architecture = {**deepcopy(model.yaml), "nc": info.nc}
        if weights:
            built: Any = build_architecture(architecture, info.nc, info.channels, ref.span("model"))
            built.names = dict(info.names)
            built.load(model, verbose=False)
            return built  # type: ignore[no-any-return]
        with MetaFactories():
            return to_meta(build_architecture(architecture, info.nc, info.channels, ref.span("model")))
