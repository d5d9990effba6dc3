"""Names to modules: the list of `kdgraph.spec.components`, and what plugins register, built.

Options are what a user may write in a spec, and are checked by the same models. A few components also need
to be told what they are wired to, as further keyword arguments:

| component | wiring |
|---|---|
| criterion `kl`, `box_l2`, `iou` | `bins`: bins per side of DFL logits (default None: classes, distances) |
| criterion `ld`, `ddf`, `m2d2` | `bins`, at least 2 |
| criterion `mgd`, `fgd` | `channels` of both sides |
| criterion `keypoints` | `keypoints`: how many, and of how many numbers each, 2 or 3 |
| mask `valuable_region` | `strides` of the head's levels, finest first |
| every adapter | `student_shape`, `teacher_shape`: `[B, C, H, W]`, of which only C, H and W matter |
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from torch import nn

from kdgraph.errors import closest
from kdgraph.nn import adapters, criteria, masks, object_masks
from kdgraph.nn.balance import Balance, GradientNorm, Uncertainty
from kdgraph.nn.valuable_region import ValuableRegion
from kdgraph.spec import plugins
from kdgraph.spec.components import COMPONENTS, ComponentInfo, Kind

CRITERIA: Mapping[str, type[criteria.Criterion]] = {
    "mimic": criteria.Mimic,
    "cosine": criteria.Cosine,
    "cwd": criteria.ChannelWise,
    "pkd": criteria.Pearson,
    "sl2": criteria.ScoreL2,
    "pfi": criteria.PredictionGuided,
    "attention": criteria.Attention,
    "spatial_softmax": criteria.SpatialSoftmax,
    "channel_softmax": criteria.ChannelSoftmax,
    "gap_mse": criteria.PooledL2,
    "gram_mse": criteria.GramL2,
    "mmd": criteria.MeanDiscrepancy,
    "mgd": criteria.MaskedGenerative,
    "fgd": criteria.FocalGlobal,
    "gi": criteria.GeneralInstance,
    "bce": criteria.BinaryCrossEntropy,
    "kl": criteria.KLDivergence,
    "qfl": criteria.QualityFocal,
    "dist": criteria.Correlation,
    "logit_std": criteria.StandardisedKL,
    "dkd": criteria.Decoupled,
    "nkd": criteria.Normalised,
    "rank": criteria.RankMimicking,
    "ld": criteria.LocalizationDistillation,
    "ddf": criteria.DecoupledFocal,
    "m2d2": criteria.MultimodalDFL,
    "box_l2": criteria.BoxL2,
    "iou": criteria.BoxOverlap,
    "masks": criteria.InstanceMasks,
    "keypoints": criteria.Keypoints,
    "angle": criteria.BoxAngle,
}


MASKS: Mapping[str, Callable[..., nn.Module]] = {
    "all": masks.All,
    "teacher_score": masks.TeacherScore,
    "score_gap": masks.ScoreGap,
    "top_k": masks.TopK,
    "foreground": object_masks.Foreground,
    "background": object_masks.Background,
    "pyramid": object_masks.Pyramid,
    "boxes": object_masks.Boxes,
    "valuable_region": ValuableRegion,
    "gi": object_masks.InInstances,
}

STEERING: Mapping[str, tuple[str, ...]] = {
    "foreground": ("of", "topk"),
    "background": ("of", "topk"),
    "pyramid": ("of", "topk"),
    "gi": ("count", "overlap"),
}
"""Options of masks that choose what is fed to them, the assignment or the instances: no module has these."""


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


_REGISTERED: dict[Kind, dict[str, type[nn.Module]]] = {kind: {} for kind in COMPONENTS}


def install(kind: Kind, name: str, cls: type[nn.Module]) -> None:
    """Let `cls` be built under a name that `kdgraph.spec.plugins` knows."""
    _REGISTERED[kind][name] = cls


def criterion(
    name: str,
    *,
    bins: int | None = None,
    channels: tuple[int, int] | None = None,
    keypoints: tuple[int, int] | None = None,
    **options: Any,
) -> criteria.Criterion:
    """The criterion called `name`: `forward(student, teacher, mask=None, **signals) -> loss`.

    Raises:
        ValueError: no such criterion, an option it has not or a bad value, wiring that it does not know or
            that is missing.
    """
    checked = _checked("criterion", name, options)
    build: Callable[..., Any] = CRITERIA.get(name) or _REGISTERED["criterion"][name]
    wires = _wired("criterion", name, build, bins=bins, channels=channels, keypoints=keypoints)
    made: criteria.Criterion = build(**checked, **wires)
    return made


def mask(name: str, *, strides: Sequence[float] | None = None, **options: Any) -> nn.Module:
    """The mask called `name`: `forward(*, <the signals it reads>) -> [B, 1, H, W] or [B, A]`.

    Raises:
        ValueError: no such mask, an option it has not or a bad value, wiring that it does not know or that is
            missing.
    """
    checked = _checked("mask", name, options)
    own = {key: value for key, value in checked.items() if key not in STEERING.get(name, ())}
    build = MASKS.get(name) or _REGISTERED["mask"][name]
    return build(**own, **_wired("mask", name, build, strides=strides))


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
    if name not in ADAPTERS:
        return _REGISTERED["adapter"][name](student_shape[1], teacher_shape[1], **checked)
    return ADAPTERS[name](student_shape, teacher_shape, **checked)


BALANCERS: Mapping[str, Callable[..., Balance]] = {
    "gradient_norm": lambda edges, at, every, momentum: GradientNorm(edges, every, momentum),
    "uncertainty": Uncertainty,
}


def balance(name: str, edges: int, **options: Any) -> Balance:
    """The balance called `name` between so many edges; at which taps (`at`) is the compiler's business.

    Raises:
        ValueError: no such balance, an option it has not or a bad value.
    """
    checked = _checked("balance", name, options)
    return BALANCERS[name](edges, **checked)


def _wired(kind: Kind, name: str, build: Callable[..., Any], **wires: Any) -> dict[str, Any]:
    """Those of the wires that are given: all must be the component's, and all that it needs be there."""
    given = {key: value for key, value in wires.items() if value is not None}
    known = plugins.find(kind, name).wires
    for key in given:
        if key not in known:
            others = " and ".join(n for n, info in COMPONENTS[kind].items() if key in info.wires)
            raise ValueError(f"{kind} '{name}' knows no {key}: only {others} must be told of them")
    parameters = inspect.signature(build).parameters
    missing = [
        key for key in known if key not in given and parameters[key].default is inspect.Parameter.empty
    ]
    if missing:
        raise ValueError(f"{kind} '{name}' must be told {' and '.join(missing)}")
    return given


def _checked(kind: Kind, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with defaults filled in."""
    info = _info(kind, name)
    try:
        return info.validate(options)
    except ValidationError as error:
        raise ValueError(_faults(kind, info, error)) from error


def _info(kind: Kind, name: str) -> ComponentInfo:
    try:
        return plugins.find(kind, name)
    except KeyError:
        infos = [*COMPONENTS[kind], *_REGISTERED[kind]]
        near = closest(name, infos) or sorted(infos)
        raise ValueError(f"unknown {kind} '{name}': did you mean {' or '.join(near)}?") from None


def _faults(kind: Kind, info: ComponentInfo, error: ValidationError) -> str:
    """One line naming each faulty option, and the ones there are."""
    known = ", ".join(info.options.model_fields) or "none"
    faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
    return f"{kind} '{info.name}': {faults} (its options: {known})"
