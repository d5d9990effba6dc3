"""The task loss of a detection head, without any shape that depends on values.

The numbers are those of Ultralytics 8.4 (`utils/loss.py`: `v8DetectionLoss`, `E2ELoss`), also in half
precision, where each step keeps the type that it has there. What Ultralytics picks by mask, for which a step
waits for the device and a compiled graph breaks, is a list of known length here: `kdgraph.nn.positives`.

Sources: boxes, Zheng et al., *Distance-IoU Loss*, AAAI 2020; classes, Feng et al., *TOOD*, ICCV 2021, section
3.2; distances, Li et al., *Generalized Focal Loss*, NeurIPS 2020, equation 6.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdgraph.nn.geometry import complete_iou, corners
from kdgraph.nn.positives import Positives, SoftTaskAligned, around, distances

Losses = tuple[Tensor, dict[str, Tensor]]
"""`[3]` sums over images, which carry the gradient, and the same by name as means, which carry none."""

MARGIN = 0.01
"""How far below the last bin a distance is cut off, so that it lies between two bins."""


class Gains(NamedTuple):
    """Weights of the losses of boxes, of classes, and of distances (DFL or L1)."""

    box: float
    cls: float
    dfl: float


class DetectionLoss(nn.Module):
    """CIoU of boxes, BCE of classes, and DFL of distances, or their L1 where `reg_max` is 1.

    Args:
        assigner: says which anchors answer for which targets; classes, bins and strides are its.
        class_weights: `[nc]`, factors of the classes in the BCE.
    """

    class_weights: Tensor | None

    def __init__(self, assigner: SoftTaskAligned, gains: Gains, class_weights: Tensor | None = None) -> None:
        super().__init__()
        self.assigner = assigner
        self.gains = gains
        self.register_buffer("class_weights", class_weights, persistent=False)
        self.names = ("box_loss", "cls_loss", "dfl_loss" if assigner.reg_max > 1 else "l1_loss")

    def forward(self, preds: Mapping[str, Any], batch: Mapping[str, Any]) -> Losses:
        """The losses (box, cls, dfl or l1) in float32; see `Losses`.

        Args:
            preds: "boxes" `[B, 4 * reg_max, A]` DFL logits, level after level (with reg_max 1 distances in
                strides); "scores" `[B, nc, A]` class logits; "feats", one `[B, C, H, W]` per level.
            batch: "batch_idx" `[N]` or `[N, 1]`, the image of each target; "cls" `[N]` or `[N, 1]`; "bboxes"
                `[N, 4]`, centre x, y, width, height as fractions of the image. N may be 0.

        Raises:
            ValueError: the shapes of the predictions do not fit the head or one another.
        """
        boxes, scores, feats = preds["boxes"], preds["scores"], preds["feats"]
        labels = (batch[key].to(scores.device) for key in ("batch_idx", "cls", "bboxes"))
        found = self.assigner.positives(boxes, scores, feats, *labels)
        size = [n * self.assigner.strides[0] for n in feats[0].shape[2:]]
        box, dfl = self._box_losses(boxes.transpose(1, 2)[found.image, found.anchor], found, size)
        total = found.weight.sum().clamp(min=1)
        parts = (box / total, self._class_loss(scores, found) / total, dfl / total)
        losses = torch.stack([gain * part.float() for gain, part in zip(self.gains, parts, strict=True)])
        return losses * len(scores), dict(zip(self.names, losses.detach(), strict=True))

    def _box_losses(self, logits: Tensor, found: Positives, size: list[float]) -> tuple[Tensor, Tensor]:
        """Sums over the positives, of logits `[E, 4 * reg_max]`, for images of `size` (height, width)."""
        # where no positive is, whatever is predicted must not come through: 0 * inf is no 0
        logits = torch.where(found.weight.unsqueeze(1) > 0, logits, 1)
        sides = distances(logits, self.assigner.reg_max)
        overlap = complete_iou(corners(around(found.point, sides)), corners(found.box))
        left_top, right_bottom = found.box.chunk(2, -1)
        wanted = torch.cat((found.point - left_top, right_bottom - found.point), -1)
        if self.assigner.reg_max > 1:
            each = distribution_focal(logits.reshape(len(logits), 4, self.assigner.reg_max), wanted)
        else:
            each = (_fractions(sides * found.stride, size) - _fractions(wanted * found.stride, size)).abs()
        return ((1 - overlap) * found.weight).sum(), (each.mean(-1) * found.weight).sum()

    def _class_loss(self, scores: Tensor, found: Positives) -> Tensor:
        """The BCE of all scores, as log(1 + e^x) - t x with targets t that are 0 but at the positives."""
        logits = scores.to(torch.promote_types(scores.dtype, torch.float32))
        background = F.softplus(logits)
        shown = logits[found.image, found.label, found.anchor] * found.weight.to(scores.dtype)
        if self.class_weights is not None:
            factors = self.class_weights.to(logits.dtype)  # Ultralytics may give them in float64
            background, shown = background * factors.unsqueeze(1), shown * factors[found.label]
        return background.sum() - shown.sum()


def distribution_focal(logits: Tensor, distances: Tensor) -> Tensor:
    """`[*]` DFL: the cross entropy with the two bins around a distance, each by how near it is.

    Args:
        logits: `[*, bins]`.
        distances: `[*]`, in bins.
    """
    distances = distances.clamp(0, logits.shape[-1] - 1 - MARGIN)
    low = distances.long()
    upper = distances - low
    logp = F.log_softmax(logits, -1)
    below, above = (logp.gather(-1, bin.unsqueeze(-1)).squeeze(-1) for bin in (low, low + 1))
    return -(below * (1 - upper) + above * upper)


def _fractions(sides: Tensor, size: list[float]) -> Tensor:
    """`[E, 4]`: left, right, top, bottom in parts of the image, of left, top, right, bottom in pixels."""
    height, width = size
    return torch.cat((sides[:, 0::2] / width, sides[:, 1::2] / height), -1)


class Schedule(Protocol):
    """Says what the two branches of an end-to-end head count now."""

    o2m: float
    o2o: float


class EndToEndLoss(nn.Module):
    """The losses of both branches of an end-to-end head, weighted; named are those of the one-to-one branch.

    Args:
        one2many, one2one: of the branches.
        schedule: says the weights, which change in training. They are read by `refresh` alone, and lie in a
            buffer: a compiled forward does not hold them for constants, and is not compiled anew.
    """

    weights: Tensor

    def __init__(self, one2many: DetectionLoss, one2one: DetectionLoss, schedule: Schedule) -> None:
        super().__init__()
        self.one2many = one2many
        self.one2one = one2one
        self.schedule = schedule
        self.register_buffer("weights", torch.zeros(2), persistent=False)
        self.refresh()

    def refresh(self) -> None:
        """Reads the weights anew; to be called before each forward, outside of what is compiled."""
        for place, weight in zip(self.weights, (self.schedule.o2m, self.schedule.o2o), strict=True):
            place.fill_(weight)  # from the host without waiting for the device

    def forward(self, preds: Mapping[str, Any], batch: Mapping[str, Any]) -> Losses:
        """As `DetectionLoss`, of predictions "one2many" and "one2one"."""
        many, _ = self.one2many(preds["one2many"], batch)
        one, items = self.one2one(preds["one2one"], batch)
        return many * self.weights[0] + one * self.weights[1], items
