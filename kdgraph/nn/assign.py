"""Which object each anchor is given: task-aligned assignment.

Source: Feng et al., *TOOD: Task-aligned One-stage Object Detection*, ICCV 2021, section 3.2, with the
details of Ultralytics 8.4 (`utils/tal.py`), to which the result is equal: CIoU as the overlap, small boxes
widened to the second stride, an anchor that several boxes want given to the one it overlaps most.

Ultralytics pads the targets to `[B, most per image]` and picks pairs by index. Here they stay the flat list
of N that the data loader gives, each looking at its own image, so no shape depends on values: the whole
compiles to one graph.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from kdgraph.nn.dfl import distances
from kdgraph.nn.geometry import anchors, complete_iou, corners, to_corners
from kdgraph.nn.regions import in_pixels

MARGIN = 1e-9  # an anchor on the very edge of a box is not inside


class Assigner(nn.Module):
    """What assignments of upright and of turned boxes have in common; one of them says what overlaps.

    Args:
        nc: classes of the head.
        reg_max: bins per side; 1 for a head without DFL.
        strides: of the levels, finest first.
    """

    def __init__(
        self,
        nc: int,
        reg_max: int,
        strides: Sequence[float],
        topk: int = 10,
        alpha: float = 0.5,
        beta: float = 6.0,
    ) -> None:
        super().__init__()
        self.nc = nc
        self.reg_max = reg_max
        self.strides = tuple(float(s) for s in strides)
        self.topk = topk
        self.alpha = alpha
        self.beta = beta

    def _check(self, boxes: Tensor, scores: Tensor, feats: Sequence[Tensor]) -> None:
        if len(feats) != len(self.strides):
            raise ValueError(f"{len(feats)} maps for {len(self.strides)} strides")
        images, cells = scores.shape[0], sum(_cells(feats))
        expected = ((images, 4 * self.reg_max, cells), (images, self.nc, cells))
        for name, tensor, shape in zip(("boxes", "scores"), (boxes, scores), expected, strict=True):
            if tensor.shape != shape:
                raise ValueError(f"{name} are {list(tensor.shape)}, but must be {list(shape)} here")

    @property
    def _least(self) -> float:
        """Pixels that each side of a target has at least when anchors inside are looked for."""
        return self.strides[min(1, len(self.strides) - 1)]

    def _best(self, near: Tensor, overlap: Tensor, scores: Tensor) -> Tensor:
        """`[N, A]`: the anchor is a candidate and among the `topk` of its target.

        `overlap` is 0 where `near`, the candidates, is False; `scores` are the logits of the target's class.
        """
        best = self._top(self._merit(scores.float(), overlap))
        return torch.zeros_like(near).scatter(1, best, True) & near

    def _merit(self, scores: Tensor, overlap: Tensor) -> Tensor:
        """`[N, A]`: how well each anchor does for each target, by its score (from logits) and its overlap."""
        return scores.sigmoid().pow(self.alpha) * overlap.pow(self.beta)

    def _top(self, merit: Tensor) -> Tensor:
        """`[N, topk]`, the anchors of most merit for each target; all of them where there are fewer."""
        return merit.topk(min(self.topk, merit.shape[1]), dim=1).indices

    def extra_repr(self) -> str:
        return f"nc={self.nc}, reg_max={self.reg_max}, strides={self.strides}, topk={self.topk}"


class TaskAligned(Assigner):
    """The target of each anchor of a head's predictions, where it has one.

    For each target the `topk` anchors inside its box with the largest score^alpha * overlap^beta are
    foreground; an anchor among the chosen of several targets goes to the one it overlaps most.
    """

    def forward(
        self,
        boxes: Tensor,
        scores: Tensor,
        feats: Sequence[Tensor],
        batch_idx: Tensor,
        cls: Tensor,
        bboxes: Tensor,
    ) -> Tensor:
        """`[B, A]` int64, the index of each anchor's target, -1 for none; arguments as in `assign`."""
        return self.assign(boxes, scores, feats, batch_idx, cls, bboxes)[1]

    @torch.no_grad()
    def assign(
        self,
        boxes: Tensor,
        scores: Tensor,
        feats: Sequence[Tensor],
        batch_idx: Tensor,
        cls: Tensor,
        bboxes: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Foreground `[B, A]`, bool, and the index of each anchor's target in the list, -1 on the background.

        Args:
            boxes: `[B, 4 * reg_max, A]` DFL logits, level after level; with reg_max 1 distances in strides.
            scores: `[B, nc, A]` class logits.
            feats: one `[B, C, H, W]` per level, for the sizes.
            batch_idx: `[N]` or `[N, 1]`, the image of each target; N may be 0.
            cls: `[N]` or `[N, 1]`, the class of each target.
            bboxes: `[N, 4]`, centre x, y, width, height as fractions of the image.

        Raises:
            ValueError: the shapes of boxes, scores or maps do not fit the head or one another.
        """
        self._check(boxes, scores, feats)
        image, label = batch_idx.reshape(-1).long(), cls.reshape(-1).long()
        points, stride = anchors(feats, self.strides)
        truth = in_pixels(bboxes, feats[0], self.strides[0])
        near = self._candidates(truth, points * stride)
        overlap = torch.where(near, self._overlap(truth, self._decode(boxes, points, stride), image), 0)
        chosen = self._best(near, overlap, scores[image, label])
        return one_target_each(chosen, overlap, image, boxes.shape[0])

    def _decode(self, boxes: Tensor, points: Tensor, stride: Tensor) -> Tensor:
        """`[B, A, 4]` corners in pixels of the predictions."""
        left_top, right_bottom = distances(boxes.float(), self.reg_max).transpose(1, 2).chunk(2, -1)
        return torch.cat((points - left_top, points + right_bottom), -1) * stride

    def _candidates(self, truth: Tensor, points: Tensor) -> Tensor:
        """`[N, A]`: the anchor's centre is inside the box.

        Each side of the box is taken as the second stride at least. A box whose corners do not sum to more
        than 0 counts as padding and has no candidates.
        """
        real = truth.sum(-1, keepdim=True) > 0
        left_top, right_bottom = truth.chunk(2, -1)
        size = (right_bottom - left_top).clamp(min=self._least)
        low, high = to_corners((left_top + right_bottom) / 2, size).unsqueeze(1).chunk(2, -1)
        return ((points - low > MARGIN) & (high - points > MARGIN)).all(-1) & real

    def _overlap(self, truth: Tensor, predicted: Tensor, image: Tensor) -> Tensor:
        """`[N, A]` CIoU, 0 at least, of each target with the predictions of its image."""
        return complete_iou(corners(truth.unsqueeze(1)), corners(predicted[image])).clamp(min=0)


def one_target_each(chosen: Tensor, overlap: Tensor, image: Tensor, images: int) -> tuple[Tensor, Tensor]:
    """Foreground `[B, A]` and target `[B, A]` (-1: none) from the pairs chosen `[N, A]`.

    Where several targets chose an anchor, it goes to the first of those that it overlaps most, chosen or not;
    a target with a negative overlap gets none of these.
    Only minima and maxima are scattered, which give the same result in any order, on every device.
    """
    targets, cells = chosen.shape
    number = torch.arange(targets, device=chosen.device).unsqueeze(1).expand(targets, cells)
    to_image = image.unsqueeze(1).expand(targets, cells)

    def per_image(values: Tensor, start: float, reduce: str) -> Tensor:
        return values.new_full((images, cells), start).scatter_reduce(0, to_image, values, reduce)

    first = per_image(torch.where(chosen, number, targets), targets, "amin")
    last = per_image(torch.where(chosen, number, -1), -1, "amax")
    widest = per_image(overlap, 0, "amax").gather(0, to_image)
    closest = per_image(torch.where(overlap == widest, number, targets), targets, "amin")
    target = torch.where(first < last, closest, last)
    return target >= 0, target


def _cells(feats: Sequence[Tensor]) -> list[int]:
    """How many cells each map has."""
    return [feat.shape[2] * feat.shape[3] for feat in feats]
