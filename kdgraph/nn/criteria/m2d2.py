"""M2D2: what the distributions over a whole region of an object say together, as the target of each cell."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from kdgraph.nn.connected import regions
from kdgraph.nn.criteria.base import weighted_mean
from kdgraph.nn.criteria.distributions import Distributions
from kdgraph.nn.dfl import sides


class MultimodalDFL(Distributions):
    """T^2 * KL(target || softmax(s / T)) over the bins of each side, where the target is that of a region.

    A region is the 8-connected cells of one object (`target` >= 0) in a map. Its cells are several views of
    one box, each with distributions of its own, so what the teacher says of a side there has several modes; a
    cell that learns from its own anchor alone loses them.

    With `variant="mixture"` the target is the mean of the cells' softmax(t / T), each where it is in the map:
    bin b of the side left is an edge at column - b, of right at column + b, of top at row - b, of bottom at
    row + b. A cell gets of that mean what lies on its own bins, renormalised. With `"mean_logits"` it is the
    softmax of the mean of t / T, bin by bin, wherever the cells are.

    `pooling` counts the cells of a region alike (`uniform`), or by max over classes of sigma(`teacher_cls`)
    (`score`). The loss is the mean over all regions' cells (weighted by the mask) and the four sides. In a
    region of one cell it is that of `kl`. `kdgraph.nn.connected` says which regions are found whole.

    Beside a trained YOLOv8s an untrained YOLO11n has 2 at each level.

    Maps only: student and teacher `[B, 4*bins, H, W]`. Needs memory in proportion to the cells, however large
    the regions are. It has no publication.
    """

    def __init__(
        self,
        temperature: float = 1.0,
        variant: Literal["mixture", "mean_logits"] = "mixture",
        pooling: Literal["uniform", "score"] = "uniform",
        *,
        bins: int,
    ) -> None:
        super().__init__(temperature, bins)
        self.variant = variant
        self.pooling = pooling

    def compare(
        self, student: Tensor, teacher: Tensor, mask: Tensor | None, *, teacher_cls: Tensor, target: Tensor
    ) -> Tensor:
        if student.ndim != 4:
            raise ValueError(f"{type(self).__name__}: expected [B, C, H, W], got {list(student.shape)}")
        goal = self._goal(sides(teacher, self.bins), teacher_cls, target)
        log_s = (sides(student, self.bins) / self.temperature).log_softmax(2)
        cost = (torch.xlogy(goal, goal) - goal * log_s).sum(2) * self.temperature**2
        foreground = (target >= 0).to(cost.dtype)
        return weighted_mean(cost, foreground if mask is None else foreground * mask)

    @torch.no_grad()
    def _goal(self, logits: Tensor, teacher_cls: Tensor, target: Tensor) -> Tensor:
        """The target of every cell and side, `[B, 4, bins, H, W]` as the logits."""
        region = regions(target[:, 0])
        weight = self._weight(teacher_cls, region)
        soft = (logits / self.temperature).flatten(3)
        mean = self.variant == "mean_logits"
        goal = _pooled(soft, weight, region).softmax(2) if mean else self._mixed(soft, weight, region, logits)
        return goal.view_as(logits)

    def _weight(self, teacher_cls: Tensor, region: Tensor) -> Tensor:
        """`[B, H * W]`: 1, or the score over the highest in the region, so that not all of them underflow."""
        if self.pooling == "uniform":
            return torch.ones_like(region, dtype=teacher_cls.dtype)
        score = F.logsigmoid(teacher_cls.amax(1)).flatten(1)
        return (score - _extreme(score, region, "amax")).exp()

    def _mixed(self, soft: Tensor, weight: Tensor, region: Tensor, like: Tensor) -> Tensor:
        """`[B, 4, bins, H * W]`: what the region's mixture says of each cell's own bins."""
        own = soft.softmax(2)
        place = _places(region, self.bins, like.shape[-1]).flatten(1)
        axes = torch.zeros_like(place, dtype=own.dtype)  # as many places as bins of all cells
        axes = axes.scatter_add(1, place, (own * weight[:, None, None]).flatten(1))
        mixed = axes.gather(1, place).view_as(own)
        total = mixed.sum(2, keepdim=True)
        # a cell of no weight, all of whose bins are out of the others' reach, keeps its own distribution
        reached = total > torch.finfo(total.dtype).tiny
        return torch.where(reached, mixed / torch.where(reached, total, 1), own)

    def extra_repr(self) -> str:
        options = f"temperature={self.temperature}, variant={self.variant!r}, pooling={self.pooling!r}"
        return f"{options}, bins={self.bins}"


def _pooled(values: Tensor, weight: Tensor, region: Tensor) -> Tensor:
    """`[B, 4, bins, H * W]`, at each cell the weighted mean over its region."""
    flat = torch.cat((values.flatten(1, 2) * weight.unsqueeze(1), weight.unsqueeze(1)), 1)
    index = region.unsqueeze(1).expand_as(flat)
    total = torch.zeros_like(flat).scatter_add(2, index, flat).gather(2, index)
    return (total[:, :-1] / total[:, -1:]).view_as(values)


def _extreme(values: Tensor, region: Tensor, which: Literal["amin", "amax"]) -> Tensor:
    """`[B, H * W]`, at each cell the least or greatest value of its region."""
    found = torch.zeros_like(values).scatter_reduce(1, region, values, which, include_self=False)
    return found.gather(1, region)


def _places(region: Tensor, bins: int, width: int) -> Tensor:
    """Where each bin of each side of each cell lies on its region's axis, `[B, 4, bins, H * W]`.

    For each side every region has a stretch of an axis to itself, that begins where the first bin of its
    first column (or row) can lie. Connected, it spans no more columns than it has cells, so its edges lie
    within cells + bins - 1 places: a stretch of cells * bins holds them, and all stretches of a side have the
    length H * W * bins together.
    """
    cells = region.shape[1]
    cell = torch.arange(cells, device=region.device).expand_as(region)
    count = torch.zeros_like(region).scatter_add(1, region, torch.ones_like(region))
    stretch = (bins * count).gather(1, region)
    start = (bins * (count.cumsum(1) - count)).gather(1, region)
    column, row = (x - _extreme(x, region, "amin") for x in (cell % width, cell // width))
    step = torch.arange(bins, device=region.device).unsqueeze(1)
    back = bins - 1 - step
    edges = ((column, back), (row, back), (column, step), (row, step))  # left, top, right, bottom
    place = torch.stack([first.unsqueeze(1) + offset for first, offset in edges], 1)
    # regions that were found in parts only must not reach into each other
    place = torch.minimum(place, stretch[:, None, None] - 1) + start[:, None, None]
    side = torch.arange(4, device=region.device).view(-1, 1, 1)
    return place + side * cells * bins
