"""The criterion between the masks of segmentation heads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from kdgraph.nn.criteria.base import EPS, Criterion
from kdgraph.nn.criteria.logits import binary_divergence
from kdgraph.nn.regions import centres, within

__all__ = ["InstanceMasks"]

GOLDEN = (5**0.5 - 1) / 2
"""Its multiples, modulo 1, fill 0..1 evenly however many there are."""


class InstanceMasks(Criterion):
    """The masks that coefficients and prototypes make together, pixel by pixel, within the teacher's boxes.

    Two networks' prototypes have no common basis, so neither they nor the coefficients can be compared; the
    masks can. At the `count` cells of each image with the largest weights of the mask (equal ones taken from
    all over the image), the logits are the cell's coefficients times the prototypes, and the value is
    KL(sigma(t / T) || sigma(s / T)) * T^2 of two outcomes, object or not: a mean over the pixels of the box
    that the teacher gives the cell, since masks are trained and used within boxes; then over the cells by
    their weights. The teacher's masks are resized to the student's.

    Student and teacher are coefficients, `[B, nm, A]` or `[B, nm, H, W]`, prototypes `[B, nm, Hp, Wp]`, of
    any nm and size each. Gradients reach the student's coefficients and prototypes. About 0.8 beside a sure
    teacher when the student is untrained.

    Source: of these masks, and of their crop, Bolya et al., *YOLACT*, ICCV 2019, equation 1 and section 3.2.
    """

    same_channels: ClassVar[bool] = False
    learns: ClassVar[frozenset[str]] = frozenset({"student_proto"})

    def __init__(self, count: int = 32, temperature: float = 1.0) -> None:
        super().__init__()
        self.count = count
        self.temperature = temperature

    def compare(
        self,
        student: Tensor,
        teacher: Tensor,
        mask: Tensor | None,
        *,
        student_proto: Tensor,
        teacher_proto: Tensor,
        teacher_box: Tensor,
        maps: Sequence[Tensor],
    ) -> Tensor:
        everywhere = torch.ones_like(teacher[:, :1]) if mask is None else mask
        weights, cells = _leading(everywhere.flatten(1), self.count)
        ours = _masks(_picked(student, cells), student_proto)
        theirs = _masks(_picked(teacher, cells), teacher_proto)
        if theirs.shape[2:] != ours.shape[2:]:
            theirs = F.interpolate(theirs, ours.shape[2:], mode="bilinear", align_corners=False)
        boxes = _picked(_corners(teacher_box, maps), cells).transpose(1, 2)
        inside = within(centres([student_proto]), boxes).to(ours.dtype)
        cost = binary_divergence(ours, theirs, self.temperature).flatten(2) * inside
        return (cost.sum(2) / inside.sum(2).clamp(min=1) * weights).sum() / (weights.sum() + EPS)

    def extra_repr(self) -> str:
        return f"count={self.count}, temperature={self.temperature}"


def _leading(weights: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The largest of `[B, A]` weights and their cells, `[B, K]` both; K is `count`, or A where that is less.

    Which of many equal ones come first, `topk` leaves open: here they do in an order that is spread out.
    """
    order = torch.arange(weights.shape[1], device=weights.device, dtype=weights.dtype) * GOLDEN % 1
    cells = (weights * (1 + order / 1024)).topk(min(count, weights.shape[1]), 1).indices
    return weights.gather(1, cells), cells


def _picked(values: Tensor, cells: Tensor) -> Tensor:
    """`[B, C, K]`, of values `[B, C, *]` those of the cells `[B, K]`."""
    return values.flatten(2).gather(2, cells.unsqueeze(1).expand(-1, values.shape[1], -1))


def _masks(coefficients: Tensor, prototypes: Tensor) -> Tensor:
    """Mask logits `[B, K, Hp, Wp]` of `[B, nm, K]` and `[B, nm, Hp, Wp]`."""
    with torch.autocast(prototypes.device.type, enabled=False):  # it would take products in half precision
        masks = torch.bmm(coefficients.transpose(1, 2), prototypes.flatten(2))
    return masks.reshape(*masks.shape[:2], *prototypes.shape[2:])


def _corners(distances: Tensor, maps: Sequence[Tensor]) -> Tensor:
    """The corners `[B, 4, A]` as fractions of the image, of boxes by distances in strides `[B, 4, *]`."""
    points, sizes = centres(maps).T, torch.cat([_size(part) for part in maps], 1)
    left_top, right_bottom = distances.flatten(2).chunk(2, 1)
    return torch.cat((points - left_top / sizes, points + right_bottom / sizes), 1)


def _size(part: Tensor) -> Tensor:
    """Width and height `[2, H*W]` in cells of a map, once for each of its cells."""
    height, width = part.shape[2:]
    return torch.stack([torch.full((height * width,), n, device=part.device) for n in (width, height)])
