"""Criteria between feature maps `[B, C, H, W]`."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from kdgraph.nn.criteria.base import Criterion, per_positive, weighted_mean


class Mimic(Criterion):
    """Mean squared difference: mean over positions (weighted by the mask) and channels of (s - t)^2.

    Takes any pair of tensors of one shape. With `norm="image"` both sides are first divided by their root
    mean square over all channels and positions of the image (bounded below by 1e-6, so an image of zeros
    stays one): blind to scale, 0 .. 4 without a mask. Mask coefficients mean something else in each network,
    and angles half a turn apart are one angle: `masks` and `angle` know of that.

    0.65 on features of untrained YOLO necks, 1.8 with `image`. Source: Romero et al., *FitNets*, ICLR 2015.
    """

    def __init__(self, norm: Literal["none", "image"] = "none") -> None:
        super().__init__()
        self.norm = norm

    def compare(self, student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
        if self.norm == "image":
            student, teacher = _of_unit_size(student), _of_unit_size(teacher)
        return weighted_mean((student - teacher).square(), mask)

    def extra_repr(self) -> str:
        return f"norm={self.norm!r}"


def _of_unit_size(x: Tensor) -> Tensor:
    """`x` with a mean square of 1 in each image."""
    size = x.square().flatten(1).mean(1).clamp(min=1e-12).sqrt()
    return x / size.view(-1, *[1] * (x.ndim - 1))


class ScoreL2(Criterion):
    """Squared difference weighted by the teacher's confidence: sum w (s - t)^2 / (C * sum w + 1e-9).

    The weight w of a position is the mask, `teacher_score` unless the spec says otherwise, and the student
    comes through an `mlp` adapter: then this is the distillation term of Ultralytics 8.4
    (`nn/distill_model.py`, before its factors `dis` and batch size).
    """

    def compare(self, student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
        return weighted_mean((student - teacher).square(), mask)


class PredictionGuided(Criterion):
    """Prediction-guided feature imitation: features count where the two models predict differently.

    sum over positions (weighted by the mask) of P * mean over channels of (s - t)^2, over N_pos = max(1, sum
    over positions of mask * max_c p_t). P = sum over classes of (p_t - p_s)^2, p = sigma(class logit), is a
    constant: no gradient makes the predictions agree. So the value is per object's cell that the teacher
    sees, as in `qfl`, and does not shrink with the images' empty ground or with classes that nobody predicts.

    Published are means over positions and over classes (in MMRazor's `pgfi.py`): N_pos / (B * nc * positions)
    of this, a thousandth and less, so a published weight is to be divided by as much.

    On features of untrained YOLO necks 0.1 to 0.6 where the teacher is sure of some cells, and next to
    nothing where neither side has learnt to predict. At equal predictions it is 0, whatever the features.

    `student_cls`, `teacher_cls`: class logits at the same cells, `[B, nc, H, W]` or `[B, nc, A]`.

    Source: Li et al., *Knowledge Distillation for Object Detection via Rank Mimicking and Prediction-guided
    Feature Imitation*, AAAI 2022.

    Raises:
        ValueError: the logits are not those of the features' cells.
    """

    def compare(
        self,
        student: Tensor,
        teacher: Tensor,
        mask: Tensor | None,
        *,
        student_cls: Tensor,
        teacher_cls: Tensor,
    ) -> Tensor:
        for logits in (student_cls, teacher_cls):
            if logits.shape[2:] != student.shape[2:]:
                cells = f"{list(logits.shape[2:])} beside features at {list(student.shape[2:])}"
                raise ValueError(f"pfi: class logits at {cells}")
        score = teacher_cls.sigmoid()
        gap = (score - student_cls.sigmoid()).square().sum(1, keepdim=True)
        cost = gap * (student - teacher).square().mean(1, keepdim=True)
        return per_positive(cost, score.amax(1, keepdim=True), mask)


class Cosine(Criterion):
    """One minus the cosine of the angle between the channel vectors at a position, averaged over positions.

    Norms are bounded below by 1e-6, so a position where one side is all zero costs 1 and has a finite
    gradient. Blind to the length of the vectors.
    """

    def compare(self, student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
        directions = (F.normalize(x, dim=1, eps=1e-6) for x in (student, teacher))
        return weighted_mean(1 - torch.mul(*directions).sum(1, keepdim=True), mask)


class ChannelWise(Criterion):
    """Channel-wise distillation: where in the map each channel is active.

    tau^2 * mean over images and channels of KL(softmax(t / tau) || softmax(s / tau)), softmax and sum over
    positions. With `norm="batch"` both sides are first standardised per channel with their own statistics
    over the batch (biased variance, eps 1e-5), as RTMDet and DAMO-YOLO do: then one weight fits every level
    and pair of models. The statistics are those of one process's batch, so with `batch` an image's value
    depends on the others.

    Source: Shu et al., *Channel-wise Knowledge Distillation for Dense Prediction*, ICCV 2021.
    """

    masked = False
    frugal = True

    def __init__(self, tau: float = 1.0, norm: Literal["none", "batch"] = "none") -> None:
        super().__init__()
        self.tau = tau
        self.norm = norm

    def compare(self, student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
        log_s, log_t = (self._log_attention(x) for x in (student, teacher))
        return (log_t.exp() * (log_t - log_s)).sum(-1).mean() * self.tau**2

    def _log_attention(self, x: Tensor) -> Tensor:
        if self.norm == "batch":
            # not F.batch_norm, which refuses the 1x1 map of a single small image, where this loss is just 0
            x = torch.batch_norm(x, None, None, None, None, True, 0.0, 1e-5, False)
        return (x.flatten(2) / self.tau).log_softmax(-1)

    def extra_repr(self) -> str:
        return f"tau={self.tau}, norm={self.norm!r}"


class Pearson(Criterion):
    """PKD: half the mean squared difference of features standardised per channel, which is 1 - correlation.

    Each channel is centred and divided by (standard deviation + 1e-6) over the batch and positions,
    unbiased, which leaves a factor 1 - 1/(B H W) in the value. Blind to scale and
    offset of a channel.

    Source: Cao et al., *PKD: General Distillation Framework for Object Detectors via Pearson Correlation
    Coefficient*, NeurIPS 2022.
    """

    masked = False
    frugal = True

    def compare(self, student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
        return (_standardised(student) - _standardised(teacher)).square().mean() / 2


def _standardised(x: Tensor) -> Tensor:
    """`x` with mean 0 and deviation 1 per channel, over all other dimensions."""
    over = [d for d in range(x.ndim) if d != 1]
    several = x.numel() > x.shape[1]  # an unbiased deviation of one value is NaN
    deviation, mean = torch.std_mean(x, over, correction=int(several), keepdim=True)
    return (x - mean) / (deviation + 1e-6)
