"""Names to modules: the closed list of `kdgraph.spec.components`, built.

Options are what a user may write in a spec, and are checked by the same models. A few components also need
to be told what they are wired to, as further keyword arguments:

| component | wiring |
|---|---|
| criterion `kl`, `box_l2` | `bins`: bins per side of DFL logits (default None: classes, distances) |
| mask `foreground` | `nc`, `reg_max`, `strides` of the head whose predictions are assigned |
| every adapter | `student_shape`, `teacher_shape`: `[B, C, H, W]`, of which only C, H and W matter |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from torch import nn

from kdgraph.errors import closest
from kdgraph.nn import adapters, criteria, masks
from kdgraph.nn.assign import TaskAligned
from kdgraph.spec.components import COMPONENTS, Kind

CRITERIA: Mapping[str, type[criteria.Criterion]] = {
    "mimic": criteria.Mimic,
    "cosine": criteria.Cosine,
    "cwd": criteria.ChannelWise,
    "pkd": criteria.Pearson,
    "sl2": criteria.ScoreL2,
    "bce": criteria.BinaryCrossEntropy,
    "kl": criteria.KLDivergence,
    "qfl": criteria.QualityFocal,
    "box_l2": criteria.BoxL2,
}


def _foreground(of: str, topk: int, *, nc: int, reg_max: int, strides: Sequence[float]) -> nn.Module:
    """The assignment; whose predictions it is fed (`of`) is the compiler's business."""
    return TaskAligned(nc, reg_max, strides, topk)


MASKS: Mapping[str, Callable[..., nn.Module]] = {
    "all": masks.All,
    "teacher_score": masks.TeacherScore,
    "foreground": _foreground,
}


def _identity(student: Sequence[int], teacher: Sequence[int]) -> nn.Module:
    if tuple(student[1:]) != tuple(teacher[1:]):
        raise ValueError(f"identity can't bring {list(student)} to {list(teacher)}")
    return adapters.Identity()


def _auto(student: Sequence[int], teacher: Sequence[int]) -> nn.Module:
    links = [adapter(name, student, teacher) for name in adapters.auto_chain(student, teacher)]
    return links[0] if len(links) == 1 else adapters.Chain(*links)


ADAPTERS: Mapping[str, Callable[..., nn.Module]] = {
    "auto": _auto,
    "identity": _identity,
    "conv1x1": lambda student, teacher, norm: adapters.Conv1x1(student[1], teacher[1], norm),
    "mlp": lambda student, teacher: adapters.MLP(student[1], teacher[1]),
    "resize": lambda student, teacher, mode: adapters.Resize(mode),
}


def criterion(name: str, *, bins: int | None = None, **options: Any) -> criteria.Criterion:
    """The criterion called `name`: `forward(student, teacher, mask=None) -> loss`.

    Raises:
        ValueError: no such criterion, an option it has not or a bad value, `bins` where none can be.
    """
    checked = _checked("criterion", name, options)
    if bins is None:
        return CRITERIA[name](**checked)
    if name not in ("kl", "box_l2"):
        raise ValueError(f"criterion '{name}' knows no bins: only kl and box_l2 read distributions")
    return CRITERIA[name](**checked, bins=bins)


def mask(name: str, **options: Any) -> nn.Module:
    """The mask called `name`.

    `foreground` is a `TaskAligned` and needs `nc`, `reg_max` and `strides` as well.

    Raises:
        ValueError: no such mask, an option it has not or a bad value, wiring that is missing.
    """
    needed = ("nc", "reg_max", "strides") if name == "foreground" else ()
    missing = [key for key in needed if key not in options]
    wiring = {key: options.pop(key) for key in needed if key in options}
    checked = _checked("mask", name, options)
    if missing:
        raise ValueError(f"mask '{name}' must be told {', '.join(missing)} of the head")
    return MASKS[name](**checked, **wiring)


def adapter(
    name: str, student_shape: Sequence[int], teacher_shape: Sequence[int], **options: Any
) -> nn.Module:
    """The adapter called `name` for these shapes: `forward(student, teacher) -> student, adapted`.

    `auto` becomes what `adapters.auto_chain` says, several links as one `adapters.Chain`.

    Raises:
        ValueError: no such adapter, an option it has not or a bad value, shapes it can't bring together.
    """
    checked = _checked("adapter", name, options)
    if name in ("conv1x1", "mlp", "resize") and not len(student_shape) == len(teacher_shape) == 4:
        shapes = f"{list(student_shape)} and {list(teacher_shape)}"
        raise ValueError(f"adapter '{name}' needs maps [B, C, H, W], got {shapes}")
    return ADAPTERS[name](student_shape, teacher_shape, **checked)


def _checked(kind: Kind, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with defaults filled in."""
    infos = COMPONENTS[kind]
    if name not in infos:
        near = closest(name, infos) or sorted(infos)
        raise ValueError(f"unknown {kind} '{name}': did you mean {' or '.join(near)}?")
    try:
        return infos[name].validate(options)
    except ValidationError as error:
        raise ValueError(_faults(kind, name, error)) from error


def _faults(kind: Kind, name: str, error: ValidationError) -> str:
    """One line naming each faulty option, and the ones there are."""
    known = ", ".join(COMPONENTS[kind][name].options.model_fields) or "none"
    faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
    return f"{kind} '{name}': {faults} (its options: {known})"
