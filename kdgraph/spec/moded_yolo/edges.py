"""`Flags` -> edges: each loss that is on, in the spec language, with the reason where it is not obvious.

moded_YOLO summed its class loss over the levels and took the mean of the others over its three levels. The
terms of an edge are summed, so those others get a third of their factor as weight.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kdgraph.spec.moded_yolo.flags import LEVELS, Flags


@dataclass(frozen=True)
class Line:
    """A key of an edge; its comment says why, where that is not obvious."""

    key: str
    value: str
    comment: str = ""


@dataclass(frozen=True)
class Edge:
    """An edge, and the flags that it was made of."""

    name: str
    lines: tuple[Line, ...]
    flags: frozenset[str]
    idle: bool
    """Whether all its weights are 0."""


@dataclass(frozen=True)
class Loss:
    """A loss of moded_YOLO: what its edge is called and taps, and the flags that say the rest."""

    name: str
    taps: str
    criterion: Callable[[Flags], Line]
    flags: tuple[str, ...]
    """What its criterion reads, and what turns it on."""
    factor: str
    mask: str | None = None
    """The flag that says whether it is masked."""
    levels: bool = False
    """Whether `level_weights` counts for it."""
    mean: bool = True
    """Whether it was the mean over the levels, not their sum."""
    masks: tuple[Line, ...] = ()
    """A mask that no flag says anything of."""


def edge_of(switch: str, flags: Flags) -> Edge:
    """The edge of the loss that `switch` turns on."""
    loss = LOSSES[switch]
    masks = _masks(loss, flags)
    weights = _weights(loss, flags)
    lines = [Line("taps", loss.taps), loss.criterion(flags), *masks]
    if any(weight != 1 for weight in weights):
        lines.append(Line("weight", _by_level(weights), _reason(loss, flags)))
    used = {switch, loss.factor, *loss.flags, *({loss.mask} if loss.mask else ())}
    used |= {"level_weights"} if loss.levels else set()
    used |= {"mask_type"} if loss.mask and masks else set()
    return Edge(loss.name, tuple(lines), frozenset(used), idle=not any(weights))


def _masks(loss: Loss, flags: Flags) -> tuple[Line, ...]:
    """The teacher's foreground, as `mask_type` says, if it is on."""
    if loss.mask is None or not flags[loss.mask]:
        return loss.masks
    name = "pyramid" if flags["mask_type"] == "pyramid" else "foreground"
    return (Line("mask", f"{{{name}: {{of: teacher}}}}", loss.mask),)


def _weights(loss: Loss, flags: Flags) -> list[float]:
    shares = flags["level_weights"] if loss.levels else (1.0,) * len(LEVELS)
    return [flags[loss.factor] * share / (len(LEVELS) if loss.mean else 1) for share in shares]


def _reason(loss: Loss, flags: Flags) -> str:
    product = f"{loss.factor} × level_weights" if loss.levels and "level_weights" in flags else loss.factor
    return f"{product} / {len(LEVELS)}: a mean over the levels" if loss.mean else product


def _by_level(weights: list[float]) -> str:
    """One number, or one for each level: six digits, so that a third is 0.333333."""
    written = [shown(weight, 6) for weight in weights]
    if len(set(written)) == 1:
        return written[0]
    return "{" + ", ".join(f"{level}: {one}" for level, one in zip(LEVELS, written, strict=True)) + "}"


def shown(value: float, digits: int = 10) -> str:
    """A number as every reader of YAML takes it for one: 1.0e-05, not 1e-05."""
    text = f"{value:.{digits}g}"
    return text.replace("e", ".0e") if "e" in text and "." not in text else text


def _classes(flags: Flags) -> Line:
    return _warm("kl" if flags["cls_dist_kl"] else "bce", flags["cls_dist_t"])


def _bins(flags: Flags) -> Line:
    return _warm("kl", flags["dfl_t"])


def _warm(name: str, temperature: float) -> Line:
    """A criterion whose temperature is 1 when nothing is said."""
    options = "" if temperature == 1 else f"{{temperature: {shown(temperature)}}}"
    return Line("criterion", f"{{{name}: {options}}}" if options else name)


def _regions(flags: Flags) -> Line:
    temperature = "" if flags["m2d2_t"] == 1 else f"temperature: {shown(flags['m2d2_t'])}, "
    comment = "variant: mixture keeps apart what the cells of a region say"
    return Line("criterion", f"{{m2d2: {{{temperature}variant: mean_logits}}}}", comment)


def _features(flags: Flags) -> Line:
    return Line("criterion", "cosine" if flags["loss_ty"] == "cosine" else "mimic")


def _attention(flags: Flags) -> Line:
    if flags["loss_ty"] == "cosine":
        return Line("criterion", "{attention: {distance: cosine}}")
    return Line("criterion", "attention", f"{_LARGER} H·W")


def _always(criterion: str, comment: str = "") -> Callable[[Flags], Line]:
    return lambda _: Line("criterion", criterion, comment)


def _neck(name: str, criterion: Callable[[Flags], Line], *flags: str, mask: str | None = None) -> Loss:
    used = ("feat_distill", *flags)
    return Loss(name, "neck.*", criterion, used, "feature_lambda", mask=mask, levels=True)


_LARGER = "of order one: what moded_YOLO computed, times"
_OF_TEACHER = Line("mask", "{foreground: {of: teacher}}", "its regions lie there, whatever dfl_fg_mask says")
_CWD = "channel-wise distillation, as the flag's name says; the code behind it was gap_mse"
_MMD = "sigma is per channel here"

LOSSES: dict[str, Loss] = {
    "cls_dist": Loss(
        "cls",
        "head.cls.*",
        _classes,
        ("cls_dist_kl", "cls_dist_t"),
        "cls_alpha",
        mask="cls_fg_mask",
        levels=True,
        mean=False,
    ),
    "dfl_dist": Loss("dfl", "head.dfl.*", _bins, ("dfl_t",), "dfl_alpha", mask="dfl_fg_mask"),
    "M2D2": Loss("m2d2", "head.dfl.*", _regions, ("m2d2_t",), "m2d2_alpha", masks=(_OF_TEACHER,)),
    "l2_dist": Loss("box", "head.box.*", _always("box_l2"), (), "l2_alpha", mask="l2_fg_mask"),
    "feat": _neck("features", _features, "loss_ty", mask="feat_mask"),
    "feat_att": _neck("attention", _attention, "loss_ty", mask="feat_mask"),
    "use_cwd": _neck("cwd", _always("cwd", _CWD), "feat_oth"),
    "use_crd": _neck("gram", _always("gram_mse", f"{_LARGER} (H·W)²"), "feat_oth"),
    "use_mmd": _neck("mmd", _always("mmd", _MMD), "feat_oth"),
    "use_spatial_att": _neck(
        "spatial", _always("spatial_softmax", f"{_LARGER} H·W"), "feat_oth", mask="feat_mask"
    ),
    "use_channel_att": _neck("channels", _always("channel_softmax", f"{_LARGER} C²"), "feat_oth"),
}
"""Each switch and its loss."""
