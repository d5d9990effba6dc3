"""The seed's losses between features against this project's criteria: all are averaged over levels."""

from __future__ import annotations

from reference_levels import level_weight, mean, normaliser
from reference_vectors import Vector, case
from torch import Tensor

from kdgraph.nn.criteria import Attention, Criterion
from kdgraph.nn.registry import criterion


@case("seed_feat")
def seed_feat(vector: Vector) -> Tensor:
    cosine = vector.config["loss_type"] == "cosine"
    loss = criterion("cosine" if cosine else "mimic")
    levels = [
        level_weight(vector, i)
        * normaliser(vector, i, 1 if cosine else student.shape[1], 1)
        * loss(student, teacher, vector.get("mask", i))
        for i, student, teacher in vector.pairs()
    ]
    return mean(levels)


class _Bounded(Attention):
    """Attention whose maps are divided by their norm + eps, as theirs: ours times norm / (norm + eps)."""

    def __init__(self, power: float, eps: float) -> None:
        super().__init__(power)
        self.eps = eps

    def attention(self, x: Tensor) -> Tensor:
        norm = x.abs().pow(self.power).sum(1, keepdim=True).square().sum((2, 3), keepdim=True).sqrt()
        return super().attention(x) * norm / (norm + self.eps)


@case("seed_attn")
def seed_attn(vector: Vector) -> Tensor:
    """`l2` on maps of unit norm, ours on maps with a mean square of 1: over the positions."""
    cosine = vector.config["loss_type"] == "cosine"
    power = vector.number("p")
    loss = Attention(power, "cosine") if cosine else _Bounded(power, vector.number("eps"))
    levels = [
        level_weight(vector, i)
        * (1 if cosine else normaliser(vector, i, 1, 1) / student[0, 0].numel())
        * loss(student, teacher, vector.get("mask", i))
        for i, student, teacher in vector.pairs()
    ]
    return mean(levels)


def _levels(vector: Vector, losses: list[Criterion], factors: list[float]) -> Tensor:
    """A criterion and a factor for each level."""
    levels = [
        level_weight(vector, i) * normaliser(vector, i, 1, 1) * factor * loss(student, teacher, mask)
        for (i, student, teacher), loss, factor in zip(vector.pairs(), losses, factors, strict=True)
        for mask in [vector.get("mask", i)]
    ]
    return mean(levels)


@case("seed_gap_mse")
def seed_gap_mse(vector: Vector) -> Tensor:
    return _levels(vector, [criterion("gap_mse")] * vector.levels, [1.0] * vector.levels)


@case("seed_gram_mse")
def seed_gram_mse(vector: Vector) -> Tensor:
    """Theirs divides the matrices by H W."""
    factors = [student[0, 0].numel() ** -2.0 for student in vector.students]
    return _levels(vector, [criterion("gram_mse")] * vector.levels, factors)


@case("seed_mmd")
def seed_mmd(vector: Vector) -> Tensor:
    """Theirs sums over channels in the exponent, where ours is a mean: sigma over sqrt(C)."""
    sigma = vector.number("sigma")
    losses = [criterion("mmd", sigma=sigma / student.shape[1] ** 0.5) for student in vector.students]
    return _levels(vector, losses, [1.0] * vector.levels)


@case("seed_spatial_att")
def seed_spatial_att(vector: Vector) -> Tensor:
    """Theirs is a mean over positions, ours that times H W."""
    factors = [1 / student[0, 0].numel() for student in vector.students]
    return _levels(vector, [criterion("spatial_softmax")] * vector.levels, factors)


@case("seed_channel_att")
def seed_channel_att(vector: Vector) -> Tensor:
    """Theirs is a mean of squares, ours C^2 times that."""
    factors = [student.shape[1] ** -2.0 for student in vector.students]
    return _levels(vector, [criterion("channel_softmax")] * vector.levels, factors)
