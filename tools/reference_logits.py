"""Published vectors of rows of class logits, fed as `[1, K, N]`: every row is a position."""

from __future__ import annotations

import torch
from reference_vectors import Vector, case
from torch import Tensor

from kdgraph.nn.criteria.base import EPS
from kdgraph.nn.criteria.logits import standardised
from kdgraph.nn.registry import criterion


def rows(x: Tensor) -> Tensor:
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


@case("dist")
def dist(vector: Vector) -> Tensor:
    weights = {"inter": vector.number("inter_loss_weight"), "intra": vector.number("intra_loss_weight")}
    loss = criterion("dist", temperature=vector.number("tau"), **weights)
    return vector.number("loss_weight") * loss(rows(vector.students[0]), rows(vector.teachers[0]))


@case("dkd", "logit_std_dkd")
def dkd(vector: Vector) -> Tensor:
    """With standardisation, that of `logit_std` goes before it."""
    student, teacher = rows(vector.students[0]), rows(vector.teachers[0])
    standard = vector.config["method"] == "logit_std_dkd"
    if standard:
        student, teacher = standardised(student), standardised(teacher)
    temperature = vector.number("temperature" if standard else "tau")
    loss = criterion("dkd", temperature=temperature, alpha=vector.number("alpha"), beta=vector.number("beta"))
    weight = 1.0 if standard else vector.number("loss_weight")
    return weight * _per_row(vector) * loss(student, teacher, label=vector.arrays["labels"][None])


@case("nkd")
def nkd(vector: Vector) -> Tensor:
    loss = criterion("nkd", temperature=vector.number("temp"), gamma=vector.number("gamma"))
    labels = vector.arrays["labels"][None]
    return _per_row(vector) * loss(rows(vector.students[0]), rows(vector.teachers[0]), label=labels)


def _per_row(vector: Vector) -> float:
    """Our mean over labelled rows adds EPS to their number, theirs does not."""
    count = len(vector.arrays["labels"])
    return (count + EPS) / count


@case("logit_std")
def logit_std(vector: Vector) -> Tensor:
    """Without standardisation it is `kl`."""
    name = "logit_std" if vector.config["logit_stand"] else "kl"
    loss = criterion(name, temperature=vector.number("temperature"))
    return loss(rows(vector.students[0]), rows(vector.teachers[0]))


@case("bckd_cls", "crosskd_cls")
def quality_focal(vector: Vector) -> Tensor:
    """Ours divides the weighted sum by N_pos = max(1, sum of weight * max p_t), the sources otherwise.

    That is `avg_factor` + eps; without it BCKD divides by the rows, CrossKD by rows * classes. So times N_pos
    over their divisor.
    """
    config, student = vector.config, vector.students[0]
    count, classes = student.shape
    weight = vector.arrays.get("weight", torch.ones(count, dtype=student.dtype))
    positives = (weight * vector.teachers[0].sigmoid().amax(1)).sum().clamp(min=1)
    loss = criterion("qfl", beta=vector.number("beta"))(rows(student), rows(vector.teachers[0]), weight[None])
    if config["avg_factor"] is not None:
        divisor = vector.number("avg_factor") + vector.number("avg_factor_eps")
    else:
        divisor = count if config["method"] == "bckd_cls" else count * classes
    return vector.number("loss_weight") * float(positives / divisor) * loss
