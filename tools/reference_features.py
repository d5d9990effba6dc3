"""Published losses between features against this project's criteria."""

from __future__ import annotations

import torch
from reference_levels import total
from reference_vectors import Vector, case
from torch import Tensor, nn

from kdgraph.nn.adapters import MLP, Conv1x1, Resize
from kdgraph.nn.criteria import FocalGlobal, MaskedGenerative
from kdgraph.nn.criteria.fgd import Context
from kdgraph.nn.masks import TeacherScore
from kdgraph.nn.registry import criterion
from kdgraph.nn.signals import at_level

State = dict[str, Tensor]


def _conv(weight: Tensor, bias: Tensor | None) -> State:
    return {"weight": weight, "bias": torch.zeros_like(weight[:, 0, 0, 0]) if bias is None else bias}


def _recorded(vector: Vector, name: str) -> State:
    return _conv(vector.arrays[f"{name}_weight"], vector.arrays[f"{name}_bias"])


def _load(module: nn.Module, **layers: State) -> nn.Module:
    state = {f"{name}.{key}": value for name, layer in layers.items() for key, value in layer.items()}
    module.double().load_state_dict(state)
    return module.requires_grad_(False)


def _aligned(vector: Vector, level: int = 0) -> Tensor:
    """The student's features through the recorded 1x1 adapter, where there is one."""
    student, weight = vector.students[level], vector.get("align_weight", level)
    if weight is None:
        return student
    adapter = Conv1x1(weight.shape[1], weight.shape[0])
    convolution = _conv(weight, vector.get("align_bias", level))
    adapted: Tensor = _load(adapter, conv=convolution)(student, vector.teachers[level])
    return adapted


@case("cwd")
def cwd(vector: Vector) -> Tensor:
    loss = criterion("cwd", tau=vector.number("tau"))
    return vector.number("loss_weight") * loss(vector.students[0], vector.teachers[0])


@case("cwd_bn")
def cwd_bn(vector: Vector) -> Tensor:
    loss = criterion("cwd", tau=vector.number("tau"), norm="batch")
    levels = [loss(_aligned(vector, i), teacher) for i, _, teacher in vector.pairs()]
    return vector.number("loss_weight") * total(levels)


@case("pkd")
def pkd(vector: Vector) -> Tensor:
    loss, resize = criterion("pkd"), Resize("bilinear")
    levels = [loss(resize(student, teacher), teacher) for _, student, teacher in vector.pairs()]
    return vector.number("loss_weight") * total(levels)


@case("mimic")
def mimic(vector: Vector) -> Tensor:
    loss = criterion("mimic")
    return total([loss(_aligned(vector, i), teacher) for i, _, teacher in vector.pairs()])


@case("l2_mmrazor")
def l2_mmrazor(vector: Vector) -> Tensor:
    """Sum over B, where ours is a mean: times the values per image. With `div_element` it is the mean.

    With `normalize` an image is scaled to a norm of `mult`, where ours has a mean square of 1: times mult^2
    over the values per image.
    """
    student, norm, factor = vector.students[0], "none", 1.0
    values = student[0].numel()
    if vector.config["normalize"]:
        norm, factor = "image", vector.number("mult") ** 2 / values
    factor *= 1 if vector.config["div_element"] else values
    return vector.number("loss_weight") * factor * criterion("mimic", norm=norm)(student, vector.teachers[0])


@case("sl2")
def sl2(vector: Vector) -> Tensor:
    """`model` is the term as added to the training loss: times `dis` and the batch size."""
    if vector.config["form"] == "single":
        student, teacher = vector.students[0], vector.teachers[0]
        mask = TeacherScore()(teacher_branches=[vector.arrays["teacher_cls_logits"]])
        return criterion("sl2")(student, teacher, at_level(mask, [teacher], 0))
    names = ("teacher_cls_logits", "teacher_cls_logits_one2one")
    mask = TeacherScore()(teacher_branches=[vector.arrays[n] for n in names if n in vector.arrays])
    levels = [_sl2_level(vector, i, at_level(mask, vector.teachers, i)) for i in range(vector.levels)]
    return vector.number("dis") * vector.students[0].shape[0] * total(levels)


def _sl2_level(vector: Vector, level: int, mask: Tensor) -> Tensor:
    student, teacher = vector.students[level], vector.teachers[level]
    one, two = (_recorded(vector, f"proj{level}_{name}") for name in ("conv1", "conv2"))
    projector = _load(MLP(student.shape[1], teacher.shape[1]), conv1=one, conv2=two)
    return criterion("sl2")(projector(student, teacher), teacher, mask)


@case("at")
def at(vector: Vector) -> Tensor:
    """On maps of unit norm, ours on maps with a mean square of 1: over the positions."""
    student, teacher = vector.students[0], vector.teachers[0]
    loss = criterion("attention", power=vector.number("p"))(student, teacher)
    return vector.number("loss_weight") / student[0, 0].numel() * loss


@case("mgd")
def mgd(vector: Vector) -> Tensor:
    """Sum over B, where ours is a mean: times the values per image. The cells that were kept are recorded."""
    teacher = vector.teachers[0]
    loss = MaskedGenerative(vector.number("lambda_mgd"), channels=(teacher.shape[1], teacher.shape[1]))
    first, second = (_recorded(vector, f"gen_conv{i}") for i in (1, 2))
    _load(loss, first=first, second=second)
    kept = vector.arrays["keep_mask"]
    return vector.number("alpha_mgd") * teacher[0].numel() * loss.regenerated(_aligned(vector), teacher, kept)


@case("fgd")
def fgd(vector: Vector) -> Tensor:
    teacher = vector.teachers[0]
    coefficients = {
        "foreground": vector.number("alpha_fgd"),
        "background": vector.number("beta_fgd"),
        "attention": vector.number("gamma_fgd"),
        "relation": vector.number("lambda_fgd"),
    }
    loss = FocalGlobal(vector.number("temp"), **coefficients, channels=(teacher.shape[1], teacher.shape[1]))
    _load_context(vector, loss.student_context, "s")
    _load_context(vector, loss.teacher_context, "t")
    return loss(_aligned(vector), teacher, objects=_objects(vector))


def _load_context(vector: Vector, context: Context, side: str) -> None:
    squeeze, expand = (_recorded(vector, f"channel_add_{side}_{name}") for name in ("conv1", "conv2"))
    norm = {key: vector.arrays[f"channel_add_{side}_ln_{key}"].flatten() for key in ("weight", "bias")}
    _load(context, where=_recorded(vector, f"conv_mask_{side}"), squeeze=squeeze, norm=norm, expand=expand)


def _objects(vector: Vector) -> list[Tensor]:
    """Boxes are recorded by their corners, in pixels of images `img_shapes` (height, width)."""
    image = vector.arrays["gt_batch_idx"]
    size = vector.arrays["img_shapes"][image].flip(1)
    low, high = (vector.arrays["gt_boxes"] / size.repeat(1, 2)).split(2, 1)
    return [image, torch.zeros(len(image), 1), torch.cat(((low + high) / 2, high - low), 1)]
