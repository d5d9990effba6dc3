"""The anchors that answer for an object, as a list, and how much of it each is worth.

Source: Feng et al., *TOOD: Task-aligned One-stage Object Detection*, ICCV 2021, section 3.2: the label of a
positive is not 1 but its merit, scaled so that the best of each object has the object's largest overlap. With
the details of Ultralytics 8.4 (`utils/tal.py`), the types of half precision included.

A target chooses `topk` anchors at most, so a list of N * topk has room for all positives. Its length is known
before any value is, and what only positives lose is computed on it alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from kdgraph.nn.assign import TaskAligned, one_target_each
from kdgraph.nn.geometry import anchors
from kdgraph.nn.regions import in_pixels

EPS = 1e-9
"""Added to the largest merit of a target, by which is divided."""


class Positives(NamedTuple):
    """E = N * topk places: each positive is at one of them, all others have weight 0 and indices in range."""

    image: Tensor
    """`[E]` int64"""
    anchor: Tensor
    """`[E]` int64"""
    label: Tensor
    """`[E]` int64, the class of the anchor's target"""
    weight: Tensor
    """`[E]` 0 .. 1, how much of that class the anchor should show"""
    point: Tensor
    """`[E, 2]` x, y of the anchor in strides"""
    stride: Tensor
    """`[E, 1]` of the anchor, in pixels"""
    box: Tensor
    """`[E, 4]` corners of its target in strides"""


class SoftTaskAligned(TaskAligned):
    """Task-aligned assignment with soft labels; of the anchors it is given, a target keeps the `topk2` best.

    Args:
        topk2: positives a target has at most once no anchor has two targets; None is no such limit. With 1
            the assignment is one-to-one.

    The others are those of `TaskAligned`.
    """

    def __init__(
        self,
        nc: int,
        reg_max: int,
        strides: Sequence[float],
        topk: int = 10,
        topk2: int | None = None,
        alpha: float = 0.5,
        beta: float = 6.0,
    ) -> None:
        super().__init__(nc, reg_max, strides, topk, alpha, beta)
        self.topk2 = topk2

    @torch.no_grad()
    def positives(
        self,
        boxes: Tensor,
        scores: Tensor,
        feats: Sequence[Tensor],
        batch_idx: Tensor,
        cls: Tensor,
        bboxes: Tensor,
    ) -> Positives:
        """The positives among a head's predictions; arguments and errors as in `assign`."""
        self._check(boxes, scores, feats)
        image, label = batch_idx.reshape(-1).long(), cls.reshape(-1).long()
        points, stride = (x.to(feats[0].dtype) for x in anchors(feats, self.strides))
        truth = in_pixels(bboxes, feats[0], self.strides[0])
        near = self._candidates(truth, points * stride)
        predicted = (around(points, distances(boxes.transpose(1, 2), self.reg_max)) * stride).float()
        overlap = torch.where(near, self._overlap(truth, predicted, image), 0)
        merit = self._merit(scores[image, label], overlap)
        best = self._top(merit)
        chosen = torch.zeros_like(near).scatter(1, best, True) & near
        target = one_target_each(chosen, overlap, image, len(scores))[1]
        where, anchor = image.unsqueeze(1).expand(best.shape).reshape(-1), best.reshape(-1)
        own = target[where, anchor].clamp(min=0)  # of none: an index all the same
        real = _once(chosen, best, image, len(scores)) & self._kept(target[image], merit)[own, anchor]
        weight = _soft_labels(merit[own, anchor], overlap[own, anchor], real, own, len(truth))
        scale = stride[anchor]
        return Positives(where, anchor, label[own], weight, points[anchor], scale, truth[own] / scale)

    def _kept(self, target: Tensor, merit: Tensor) -> Tensor:
        """`[N, A]`: the anchor is not beyond the `topk2` best of those whose `target` is the row's."""
        if self.topk2 is None:
            return torch.ones_like(merit, dtype=torch.bool)
        own = torch.where(target == _rows(target), merit, 0)
        best = own.topk(min(self.topk2, own.shape[1]), dim=1).indices
        return torch.zeros_like(own, dtype=torch.bool).scatter(1, best, True)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, topk2={self.topk2}"


def distances(logits: Tensor, bins: int) -> Tensor:
    """`[*, 4]` in strides, of `[*, 4 * bins]` logits, as `kdgraph.nn.dfl` but rounded as Ultralytics rounds.

    Under autocast the sum over bins is a matrix product of half precision.
    """
    if bins == 1:
        return logits
    values = torch.arange(bins, dtype=logits.dtype, device=logits.device)
    return logits.reshape(*logits.shape[:-1], 4, bins).softmax(-1).matmul(values)


def around(points: Tensor, distances: Tensor) -> Tensor:
    """`[*, 4]` corners of the boxes with sides at `distances` `[*, 4]` from `points` `[*, 2]`."""
    left_top, right_bottom = distances.chunk(2, -1)
    return torch.cat((points - left_top, points + right_bottom), -1)


def _once(chosen: Tensor, best: Tensor, image: Tensor, images: int) -> Tensor:
    """`[N * topk]`: the place holds an anchor that its target chose and that no earlier target did."""
    targets, cells = chosen.shape
    row, anchor = _rows(best).reshape(-1), best.reshape(-1)
    valid, place = chosen[row, anchor], image[row] * cells + anchor
    first = place.new_full((images * cells,), targets)
    first = first.scatter_reduce(0, place, torch.where(valid, row, targets), "amin")
    return first[place] == row


def _soft_labels(merit: Tensor, overlap: Tensor, real: Tensor, target: Tensor, targets: int) -> Tensor:
    """`[E]`: merit * largest overlap / largest merit, the largest of the same target; 0 where not `real`."""
    merit, overlap = torch.where(real, merit, 0), torch.where(real, overlap, 0)

    def largest(values: Tensor) -> Tensor:
        return values.new_zeros(targets).scatter_reduce(0, target, values, "amax")[target]

    return merit * largest(overlap) / (largest(merit) + EPS)


def _rows(table: Tensor) -> Tensor:
    """The number of its row at each place of a table."""
    return torch.arange(len(table), device=table.device).unsqueeze(1).expand(table.shape)
