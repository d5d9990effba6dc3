"""Published vectors of box distributions against the criteria."""

from __future__ import annotations

import torch
from reference_logits import rows
from reference_vectors import Vector, case
from torch import Tensor

from kdgraph.nn.criteria.base import EPS
from kdgraph.nn.dfl import distances
from kdgraph.nn.geometry import corners, to_corners
from kdgraph.nn.masks import TeacherScore
from kdgraph.nn.regions import iou
from kdgraph.nn.registry import criterion


@case("ld")
def ld(vector: Vector) -> Tensor:
    """Ours is the weighted mean over cells and sides, LD's over `avg_factor`: times sum(weight) / avg_factor.

    Rows are sides, fed as cells that have four alike; without weights the mean over rows is both sides' own.
    """
    config, student = vector.config, vector.students[0]
    count, bins = student.shape
    weight = vector.arrays.get("weight", torch.ones(count, dtype=student.dtype))
    weight = weight.repeat_interleave(count // len(weight))  # one per anchor: its 4 rows follow one another
    ours, theirs = (rows(x).repeat(1, 4, 1) for x in (student, vector.teachers[0]))
    loss = criterion("ld", temperature=vector.number("T"), reduction=config["reduction"], bins=bins)
    given = config["avg_factor"] is not None
    average = vector.number("avg_factor") + vector.number("avg_factor_eps") if given else count
    scale = float(weight.sum() + EPS / 4) / average
    return vector.number("loss_weight") * scale * loss(ours, theirs, weight[None])


@case("crosskd_reg")
def crosskd_reg(vector: Vector) -> Tensor:
    """Weighted by the teacher's score.

    Theirs sums the four sides and divides by 4 + eps: times 4 / (4 + eps).
    """
    config = vector.config
    mask = TeacherScore()(teacher_branches=[vector.arrays["teacher_cls"]])
    mask = mask * (vector.arrays["label_weight"] > 0).reshape(mask.shape)
    settings = {"temperature": vector.number("T"), "reduction": config["class_reduction"]}
    loss = criterion("ld", bins=config["bins"], **settings)
    factor = 4 / (vector.number("avg_factor") + vector.number("avg_factor_eps"))
    factor *= float((4 * mask.sum() + EPS) / (4 * mask.sum()))  # theirs has no epsilon there
    return vector.number("loss_weight") * factor * loss(vector.students[0], vector.teachers[0], mask)


@case("bckd_box")
def bckd_box(vector: Vector) -> Tensor:
    """Ours divides by N_pos = max(1, sum of mask * max p_t), theirs by `avg_factor` + eps."""
    mask, scores = vector.arrays["label_weight"], vector.arrays["teacher_cls"]
    signals = {name: rows(vector.arrays[name]) for name in ("student_cls", "teacher_cls")}
    loss = criterion("iou", bins=vector.config["bins"])(
        rows(vector.students[0]), rows(vector.teachers[0]), mask[None], **signals
    )
    positives = (mask * scores.sigmoid().amax(1)).sum().clamp(min=1)
    divisor = vector.number("avg_factor") + vector.number("avg_factor_eps")
    return vector.number("loss_weight") * float(positives / divisor) * loss


@case("ddf")
def ddf(vector: Vector) -> Tensor:
    """Queries are cells.

    Theirs has predicted boxes beside the distributions, ours takes the boxes that these expect. So the
    labelled boxes that it is given overlap the latter as much as the recorded ones overlap the former: each
    is the expected box, its width (left and right) cut to that share.
    """
    student, teacher = (x[0].transpose(1, 2) for x in (vector.students, vector.teachers))
    matched = vector.arrays["match_batch"], vector.arrays["match_query"]
    boxes = [vector.arrays["pred_boxes"][matched], vector.arrays["matched_gt_boxes"]]
    overlap = iou(*(corners(to_corners(b[:, :2], b[:, 2:])) for b in boxes))
    target = torch.full(student[:, 0].shape, -1)
    target[matched] = torch.arange(len(overlap))
    share = torch.ones_like(student[:, :4].detach())
    share.transpose(1, 2)[matched] = torch.stack((overlap, torch.ones_like(overlap)), 1).repeat(1, 2)
    bins = vector.config["bins"]
    return criterion("ddf", temperature=vector.number("T"), bins=bins)(
        student,
        teacher,
        teacher_cls=vector.arrays["teacher_cls"].transpose(1, 2),
        target=target,
        target_box=share * distances(student.detach(), bins),
    )
