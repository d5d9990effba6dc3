"""Options of criteria, masks and adapters: names, types, bounds, defaults and what they mean."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from kdgraph.spec.components.base import NotNegative, Options, Positive, TapName

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Part = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
"""A share that must leave something."""
Count = Annotated[int, Field(ge=1)]
Whose = Literal["student", "teacher"]

_WHOSE = "whose predictions the labels are assigned to"
_TOPK = "how many candidate cells each labelled object may have"


# Features


class Mimic(Options):
    norm: Literal["none", "image"] = Field(
        "none",
        description="scale the tensor of each image to a mean square of 1 first (image), or not (none)",
    )


class Cwd(Options):
    tau: Positive = Field(
        1.0, description="temperature of the softmax over positions; the loss is scaled by tau²"
    )
    norm: Literal["none", "batch"] = Field(
        "none", description="standardise each channel over batch and positions first (batch), or not (none)"
    )


class Attention(Options):
    power: Positive = Field(2.0, description="exponent of the features' magnitude in the attention map")
    distance: Literal["l2", "cosine"] = Field(
        "l2", description="squared difference of the maps, or one minus the cosine between them"
    )


class Softened(Options):
    temperature: Positive = Field(1.0, description="divides what the softmax is taken of")


class Mmd(Options):
    sigma: Positive = Field(
        1.0, description="width of the Gaussian kernel, for root mean square differences of the channels"
    )


class Mgd(Options):
    drop: Part = Field(0.65, description="share of the student's cells that are hidden, to be regenerated")


class Fgd(Options):
    temperature: Positive = Field(0.5, description="of both attention maps; lower makes them sharper")
    foreground: NotNegative = Field(1e-3, description="weight of the features within labelled boxes")
    background: NotNegative = Field(5e-4, description="weight of the features outside of them")
    attention: NotNegative = Field(1e-3, description="weight of the difference of the attention maps")
    relation: NotNegative = Field(5e-6, description="weight of the features with global context added")


class Instances(Options):
    count: Count = Field(10, description="how many instances an image has at most")
    overlap: Share = Field(0.3, description="IoU with a better instance from which a box is dropped")


class Gi(Instances):
    cells: Count = Field(10, description="each instance is sampled on a grid of cells × cells points")
    relation: NotNegative = Field(
        1.0, description="weight of the distances between instances, beside the features"
    )


# Logits


class Temperature(Options):
    temperature: Positive = Field(
        1.0,
        description="divides the logits before they become probabilities; the loss is scaled by its square",
    )


class Bce(Options):
    temperature: Positive = Field(1.0, description="divides the teacher's logits before their sigmoid")


class Qfl(Options):
    beta: NotNegative = Field(
        1.0,
        description="exponent of |p_t - p_s|, the focus on classes where the two disagree; 0 is plain BCE",
    )


class Dist(Options):
    temperature: Positive = Field(1.0, description="divides the logits; the loss is scaled by its square")
    inter: NotNegative = Field(1.0, description="weight of the correlation over the classes of a cell")
    intra: NotNegative = Field(1.0, description="weight of the correlation over the cells of a class")


class Dkd(Options):
    temperature: Positive = Field(1.0, description="divides the logits; the loss is scaled by its square")
    alpha: NotNegative = Field(1.0, description="weight of the labelled class against all others together")
    beta: NotNegative = Field(8.0, description="weight of the other classes among themselves")


class Nkd(Options):
    temperature: Positive = Field(1.0, description="of the other classes; their part is scaled by its square")
    gamma: NotNegative = Field(1.5, description="weight of the other classes")


class LogitStd(Options):
    temperature: Positive = Field(
        2.0, description="divides the standardised logits; the loss is scaled by its square"
    )


class Rank(Options):
    temperature: Positive = Field(
        1.0, description="divides the scores before their softmax over an object's cells"
    )


# Distributions and boxes


class Ld(Options):
    temperature: Positive = Field(10.0, description="divides the logits; the loss is scaled by its square")
    reduction: Literal["mean", "sum"] = Field(
        "mean", description="over the bins of a side: mean as in LD, sum as in CrossKD"
    )


class Ddf(Options):
    temperature: Positive = Field(5.0, description="divides the logits; the loss is scaled by its square")
    of: Whose = Field("student", description=_WHOSE)
    topk: Count = Field(10, description=_TOPK)


class M2d2(Options):
    temperature: Positive = Field(1.0, description="divides the logits; the loss is scaled by its square")
    variant: Literal["mixture", "mean_logits"] = Field(
        "mixture",
        description="a region's target: the mixture of its cells' distributions, at one common position of "
        "each side (mixture), or the mean of their logits, bin by bin (mean_logits)",
    )
    pooling: Literal["uniform", "score"] = Field(
        "uniform",
        description="how the cells of a region count: alike, or by the teacher's highest class score",
    )


class BoxL2(Options):
    scale: Positive = Field(
        16.0, description="distances in bins are divided by it, so that the loss is of order one"
    )


class Masks(Options):
    count: Count = Field(
        32, description="at how many cells of each image masks are compared, those with the largest weights"
    )
    temperature: Positive = Field(1.0, description="both sides' mask logits are divided by it")


class Keypoints(Options):
    delta: Positive = Field(
        1.0, description="differences below it, in strides, count by their square, those beyond linearly"
    )


# Masks


class Power(Options):
    power: NotNegative = Field(1.0, description="exponent of the weight; 0 weighs all cells alike")


class TeacherScore(Options):
    power: NotNegative = Field(
        1.0, description="exponent of the teacher's highest class score; 0 weighs all cells alike"
    )


class Foreground(Options):
    of: Whose = Field("student", description=_WHOSE)
    topk: int = Field(10, ge=1, description=_TOPK)


class Boxes(Options):
    context: Positive = Field(
        1.0,
        description="the boxes' width and height are multiplied by it; above 1 their surroundings count too",
    )


class ValuableRegion(Options):
    gamma: Part = Field(
        0.25, description="the region reaches down to this share of an object's threshold for positives"
    )
    topk: Count = Field(9, description="nearest cells of each level that an object's threshold is taken from")
    anchor: Positive = Field(8.0, description="side of the square anchor boxes, in strides")


class TopK(Options):
    k: Count = Field(100, description="how many cells of each image count, those with the highest scores")


# Adapters


class Conv1x1(Options):
    norm: bool = Field(False, description="batch norm after the convolution")


class Resize(Options):
    mode: Literal["bilinear", "nearest"] = Field("bilinear", description="how values between cells are found")


# Balancers


class GradientNorm(Options):
    at: TapName = Field(
        "neck.*", description="taps of the student that all edges lie behind, by name or glob"
    )
    every: Count = Field(
        16, description="steps from one measurement to the next; each costs a backward per edge"
    )
    momentum: Part = Field(0.9, description="how much of the last measurement's norms is kept in the next")
