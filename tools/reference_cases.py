"""Published loss vectors against this project's criteria: what to feed which, and the factor between them.

A criterion here averages over positions; many sources sum, or divide by something else. The factor (in one
case an offset) is written in the case, with its reason: never in the criterion.
"""

from __future__ import annotations

import torch
from reference_vectors import Vector, Verdict, case, check
from torch import Tensor, nn

from kdgraph.nn.adapters import MLP, Conv1x1, Resize
from kdgraph.nn.assign import level_mask
from kdgraph.nn.criteria.base import EPS, Criterion
from kdgraph.nn.dfl import sides
from kdgraph.nn.masks import TeacherScore
from kdgraph.nn.registry import criterion

__all__ = ["Verdict", "check"]


def _total(losses: list[Tensor]) -> Tensor:
    return torch.stack(losses).sum()


def _mean(losses: list[Tensor]) -> Tensor:
    return torch.stack(losses).mean()


def _conv(weight: Tensor, bias: Tensor | None) -> dict[str, Tensor]:
    return {"weight": weight, "bias": torch.zeros_like(weight[:, 0, 0, 0]) if bias is None else bias}


def _load(module: nn.Module, **convolutions: dict[str, Tensor]) -> nn.Module:
    state = {f"{name}.{key}": value for name, conv in convolutions.items() for key, value in conv.items()}
    module.double().load_state_dict(state)
    return module.requires_grad_(False)


def _aligned(vector: Vector, level: int) -> Tensor:
    """The student's features through the recorded 1x1 adapter, where there is one."""
    student, weight = vector.students[level], vector.get("align_weight", level)
    if weight is None:
        return student
    adapter = Conv1x1(weight.shape[1], weight.shape[0])
    convolution = _conv(weight, vector.get("align_bias", level))
    adapted: Tensor = _load(adapter, conv=convolution)(student, vector.teachers[level])
    return adapted


# features


@case("cwd")
def cwd(vector: Vector) -> Tensor:
    loss = criterion("cwd", tau=vector.number("tau"))
    return vector.number("loss_weight") * loss(vector.students[0], vector.teachers[0])


@case("cwd_bn")
def cwd_bn(vector: Vector) -> Tensor:
    loss = criterion("cwd", tau=vector.number("tau"), norm="batch")
    levels = [loss(_aligned(vector, i), teacher) for i, _, teacher in vector.pairs()]
    return vector.number("loss_weight") * _total(levels)


@case("pkd")
def pkd(vector: Vector) -> Tensor:
    loss, resize = criterion("pkd"), Resize("bilinear")
    levels = [loss(resize(student, teacher), teacher) for _, student, teacher in vector.pairs()]
    return vector.number("loss_weight") * _total(levels)


@case("mimic")
def mimic(vector: Vector) -> Tensor:
    loss = criterion("mimic")
    return _total([loss(_aligned(vector, i), teacher) for i, _, teacher in vector.pairs()])


@case("l2_mmrazor")
def l2_mmrazor(vector: Vector) -> Tensor | None:
    """Sum over B, where ours is a mean: times the values per image. With `div_element` it is the mean."""
    if vector.config["normalize"]:
        return None
    student = vector.students[0]
    factor = 1 if vector.config["div_element"] else student[0].numel()
    return vector.number("loss_weight") * factor * criterion("mimic")(student, vector.teachers[0])


@case("sl2")
def sl2(vector: Vector) -> Tensor:
    """`model` is the term as added to the training loss: times `dis` and the batch size."""
    if vector.config["form"] == "single":
        student, teacher = vector.students[0], vector.teachers[0]
        mask = TeacherScore()(vector.arrays["teacher_cls_logits"])
        return criterion("sl2")(student, teacher, level_mask(mask, [teacher], 0))
    names = ("teacher_cls_logits", "teacher_cls_logits_one2one")
    mask = TeacherScore()(*(vector.arrays[n] for n in names if n in vector.arrays))
    levels = [_sl2_level(vector, i, level_mask(mask, vector.teachers, i)) for i in range(vector.levels)]
    return vector.number("dis") * vector.students[0].shape[0] * _total(levels)


def _sl2_level(vector: Vector, level: int, mask: Tensor) -> Tensor:
    student, teacher = vector.students[level], vector.teachers[level]
    one, two = (
        _conv(vector.arrays[f"proj{level}_{name}_weight"], vector.arrays[f"proj{level}_{name}_bias"])
        for name in ("conv1", "conv2")
    )
    projector = _load(MLP(student.shape[1], teacher.shape[1]), conv1=one, conv2=two)
    return criterion("sl2")(projector(student, teacher), teacher, mask)


# logits in rows, fed as [1, K, N]: every row is a position


def _rows(x: Tensor) -> Tensor:
    return x.T.unsqueeze(0)


@case("kl")
def kl(vector: Vector) -> Tensor:
    """`batchmean` divides by B only, ours by all positions: times the positions per image (1 for rows)."""
    student, teacher = vector.students[0], vector.teachers[0]
    if student.ndim == 2:
        student, teacher = student.unsqueeze(-1), teacher.unsqueeze(-1)
    positions = student[0, 0].numel()
    loss = criterion("kl", temperature=vector.number("tau"))(student, teacher)
    return vector.number("loss_weight") * positions * loss


@case("ld")
def ld(vector: Vector) -> Tensor:
    """Ours is the weighted mean over rows of the sum over bins; LD averages bins, over `avg_factor`.

    So times sum(weight) / (bins * avg_factor); without weights the mean over rows is both sides' own.
    """
    config, student = vector.config, vector.students[0]
    rows, bins = student.shape
    weight = vector.arrays.get("weight", torch.ones(rows, dtype=student.dtype))
    weight = weight.repeat_interleave(rows // len(weight))  # one per anchor: its 4 rows follow one another
    loss = criterion("kl", temperature=vector.number("T"))(
        _rows(student), _rows(vector.teachers[0]), weight[None]
    )
    given = config["avg_factor"] is not None
    average = vector.number("avg_factor") + vector.number("avg_factor_eps") if given else rows
    return vector.number("loss_weight") * (weight.sum() + EPS) / (bins * average) * loss


@case("bckd_cls", "crosskd_cls")
def quality_focal(vector: Vector) -> Tensor:
    """Ours divides the weighted sum by N_pos = max(1, sum of weight * max p_t), the sources otherwise.

    That is `avg_factor` + eps; without it BCKD divides by the rows, CrossKD by rows * classes. So times N_pos
    over their divisor.
    """
    config, student = vector.config, vector.students[0]
    rows, classes = student.shape
    weight = vector.arrays.get("weight", torch.ones(rows, dtype=student.dtype))
    positives = (weight * vector.teachers[0].sigmoid().amax(1)).sum().clamp(min=1)
    loss = criterion("qfl", beta=vector.number("beta"))(
        _rows(student), _rows(vector.teachers[0]), weight[None]
    )
    if config["avg_factor"] is not None:
        divisor = vector.number("avg_factor") + vector.number("avg_factor_eps")
    else:
        divisor = rows if config["method"] == "bckd_cls" else rows * classes
    return vector.number("loss_weight") * float(positives / divisor) * loss


@case("crosskd_reg")
def crosskd_reg(vector: Vector) -> Tensor:
    """Weighted by the teacher's score.

    Theirs sums the four sides and divides by 4 + eps: times 4 / (4 + eps). With `class_reduction` mean they
    average over the bins where we sum: over `bins`.
    """
    config = vector.config
    mask = TeacherScore()(vector.arrays["teacher_cls"])
    mask = mask * (vector.arrays["label_weight"] > 0).reshape(mask.shape)
    loss = criterion("kl", temperature=vector.number("T"), bins=config["bins"])
    factor = 4 / (vector.number("avg_factor") + vector.number("avg_factor_eps"))
    factor /= config["bins"] if config["class_reduction"] == "mean" else 1
    factor *= float((4 * mask.sum() + EPS) / (4 * mask.sum()))  # theirs has no epsilon there
    return vector.number("loss_weight") * factor * loss(vector.students[0], vector.teachers[0], mask)


# seed variants: head maps are [B, 64 + nc, H, W], box bins first


def _normaliser(vector: Vector, level: int, channels: int, per_channel: int) -> float:
    """Theirs over ours: a masked mean there adds 1e-6 to the normaliser, here EPS.

    Ours is (mask sum * channels + EPS). Theirs is that with 1e-6 where the sum runs over channels
    (`per_channel` 1); where they first average the channels of a position it is channels * (mask sum +
    1e-6) (`per_channel` = channels).
    """
    mask = vector.get("mask", level)
    if mask is None:
        return 1.0
    cells = float(mask.sum()) * channels
    return (cells + EPS) / (cells + per_channel * vector.number("eps"))


def _level_weight(vector: Vector, level: int) -> float:
    weights = vector.config.get("level_weights")
    return 1.0 if weights is None else float(weights[level])


@case("seed_feat")
def seed_feat(vector: Vector) -> Tensor:
    """Averaged over levels."""
    cosine = vector.config["loss_type"] == "cosine"
    loss = criterion("cosine" if cosine else "mimic")
    levels = [
        _level_weight(vector, i)
        * _normaliser(vector, i, 1 if cosine else student.shape[1], 1)
        * loss(student, teacher, vector.get("mask", i))
        for i, student, teacher in vector.pairs()
    ]
    return _mean(levels)


@case("seed_cls_bce")
def seed_cls_bce(vector: Vector) -> Tensor:
    """Summed over levels."""
    loss = criterion("bce", temperature=vector.number("temperature"))
    levels = [
        _level_weight(vector, i)
        * _normaliser(vector, i, vector.config["nc"], 1)
        * loss(student[:, 64:], teacher[:, 64:], vector.get("mask", i))
        for i, student, teacher in vector.pairs()
    ]
    return vector.number("cls_alpha") * _total(levels)


@case("seed_cls_kl")
def seed_cls_kl(vector: Vector) -> Tensor:
    """Summed over levels."""
    loss = criterion("kl", temperature=vector.number("temperature"))
    levels: list[Tensor] = []
    for i, student, teacher in vector.pairs():
        mask, factor = vector.get("mask", i), _level_weight(vector, i)
        student, teacher = student[:, 64:], teacher[:, 64:]
        if vector.config["mask_broadcast_quirk"] and mask is not None:
            levels.append(factor * _every_mask_with_every_image(vector, loss, student, teacher, mask))
        else:
            levels.append(factor * _normaliser(vector, i, 1, 1) * loss(student, teacher, mask))
    return vector.number("cls_alpha") * _total(levels)


def _every_mask_with_every_image(
    vector: Vector, loss: Criterion, student: Tensor, teacher: Tensor, mask: Tensor
) -> Tensor:
    """[B, H, W] * [B, 1, H, W] is [mask's image, divergence's image, H, W]: B * B pairs, fed here one by one.

    The source divides by the masks' sum, not by that over all pairs, which is B times it.
    """
    images = len(mask)
    pairs = loss(*(x.repeat(images, 1, 1, 1) for x in (student, teacher)), mask.repeat_interleave(images, 0))
    return float((images * mask.sum() + EPS) / (mask.sum() + vector.number("eps"))) * pairs


@case("seed_dfl_kl")
def seed_dfl_kl(vector: Vector) -> Tensor:
    """Averaged over levels, T^2 times a mean as here, but with log(t + 1e-8) for log t.

    That is an offset which depends on the teacher only, so gradients are not touched by it.
    """
    temperature = vector.number("temperature")
    loss = criterion("kl", temperature=temperature, bins=16)
    levels = []
    for i, student, teacher in vector.pairs():
        mask = vector.get("mask", i)
        offset = _log_offset(teacher[:, :64] / temperature, vector.number("log_eps"))
        mean = offset.mean() if mask is None else (offset * mask).sum() / (mask.sum() + vector.number("eps"))
        exact = loss(student[:, :64], teacher[:, :64], mask)
        levels.append(_normaliser(vector, i, 4, 4) * exact + temperature**2 * mean)
    return vector.number("dfl_alpha") * _mean(levels)


def _log_offset(logits: Tensor, eps: float) -> Tensor:
    """sum over bins of t * (log(t + eps) - log t), mean of the four sides, `[B, 1, H, W]`."""
    t = sides(logits, 16).softmax(2)
    return (t * ((t + eps).log() - t.log())).sum(2).mean(1, keepdim=True)


@case("seed_box_l2")
def seed_box_l2(vector: Vector) -> Tensor:
    """Averaged over levels."""
    loss = criterion("box_l2", bins=16)
    levels = [
        _normaliser(vector, i, 4, 4) * loss(student[:, :64], teacher[:, :64], vector.get("mask", i))
        for i, student, teacher in vector.pairs()
    ]
    return vector.number("l2_alpha") * _mean(levels)
