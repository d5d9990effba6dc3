"""Which cells belong to objects: by the assignment, by labelled boxes, by boxes where the models disagree.

Bool, `[B, 1, H, W]` beside a map or `[B, A]` beside all anchors. The assignment itself is in
`kdgraph.nn.assign`; whose predictions it is given, and its `topk`, is settled there.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from kdgraph.nn.geometry import to_corners
from kdgraph.nn.regions import centres, of_images, within
from kdgraph.nn.signals import at_level


class Foreground(nn.Module):
    """The cells that have an object.

    Source: Feng et al., *TOOD: Task-aligned One-stage Object Detection*, ICCV 2021.
    """

    @torch.no_grad()
    def forward(self, *, target: Tensor) -> Tensor:
        """Bool, in the shape of `target`: the index of each cell's object, -1 for none."""
        return target >= 0


class Background(nn.Module):
    """The cells that have no object; as many as the foreground leaves."""

    @torch.no_grad()
    def forward(self, *, target: Tensor) -> Tensor:
        """Bool, in the shape of `target`: the index of each cell's object, -1 for none."""
        return target < 0


class Pyramid(nn.Module):
    """The foreground of all levels together, brought to each of them.

    A cell counts when a foreground cell of any level overlaps it. With sizes that divide one another, coarse
    cells are repeated and fine ones max pooled; with others, cells that overlap in part count too. So no
    level loses an object that another one has, as it would by sampling every second cell of a fine level.
    """

    @torch.no_grad()
    def forward(self, *, target: Tensor, maps: Sequence[Tensor]) -> Tensor:
        """Bool `[B, A]`.

        Args:
            target: `[B, A]`, the index of each cell's object, -1 for none.
            maps: one `[B, C, H, W]` per level, for the sizes.

        Raises:
            ValueError: target has not one value per cell of the maps.
        """
        positive = (target >= 0).float()
        levels = [at_level(positive, maps, i) for i in range(len(maps))]
        return torch.cat([_union(levels, part) for part in maps], 1)


def _union(levels: Sequence[Tensor], like: Tensor) -> Tensor:
    """`[B, H * W]` bool: the cells of the map `like` that a positive cell of any of the levels overlaps.

    Sums of positives over rows and columns, which are above 0 wherever a maximum is: adaptive max pooling
    would say the same, but makes a graph for each size.
    """
    counts = []
    for level in levels:
        down, across = (_overlaps(like.shape[i], level.shape[i], level.device) for i in (2, 3))
        counts.append(down @ level @ across.T)
    return torch.stack(counts).sum(0).flatten(1) > 0


def _overlaps(cells: int, others: int, device: torch.device) -> Tensor:
    """`[cells, others]`, 1 where cells of an axis divided in two ways have more than an edge in common."""
    i = torch.arange(cells, device=device).unsqueeze(1)
    j = torch.arange(others, device=device)
    return ((i * others < (j + 1) * cells) & (j * cells < (i + 1) * others)).float()


class Boxes(nn.Module):
    """The cells whose centre is in a labelled box, its width and height multiplied by `context`.

    Source: Wang et al., *Distilling Object Detectors with Fine-grained Feature Imitation*, CVPR 2019, which
    takes what surrounds objects by the overlap of anchor boxes with them; here by `context`.
    """

    def __init__(self, context: float = 1.0) -> None:
        super().__init__()
        self.context = context

    @torch.no_grad()
    def forward(self, *, objects: Sequence[Tensor], maps: Sequence[Tensor], anchors: bool = False) -> Tensor:
        """Bool `[B, 1, H, W]` for one map; `[B, A]` for several, and for one with `anchors`.

        Args:
            objects: image `[N]`, class `[N, 1]`, and centre x, y, width, height in 0..1 `[N, 4]`.
            maps: `[B, C, H, W]`, for the sizes.
        """
        image, _, bboxes = objects
        centre, size = bboxes.float().chunk(2, -1)
        inside = within(centres(maps), to_corners(centre, self.context * size))
        return _beside(of_images(inside, image, maps[0].shape[0]), maps, anchors)

    def extra_repr(self) -> str:
        return f"context={self.context}"


class InInstances(nn.Module):
    """The cells whose centre is in one of the boxes where the models disagree most.

    Source: Dai et al., *General Instance Distillation for Object Detection*, CVPR 2021; the boxes are those
    of `kdgraph.nn.instances`.
    """

    @torch.no_grad()
    def forward(self, *, instances: Tensor, maps: Sequence[Tensor], anchors: bool = False) -> Tensor:
        """Bool `[B, 1, H, W]` for one map; `[B, A]` for several, and for one with `anchors`.

        Args:
            instances: `[B, K, 4]` corners in 0..1, 0 for none.
            maps: `[B, C, H, W]`, for the sizes.
        """
        return _beside(within(centres(maps), instances).any(1), maps, anchors)


def _beside(mask: Tensor, maps: Sequence[Tensor], anchors: bool) -> Tensor:
    """`[B, A]` as it goes with what is compared: one map, or the anchor axis."""
    return mask if anchors or len(maps) > 1 else at_level(mask, maps, 0)
