"""Focal and global distillation: objects and background apart, by attention, and with the image's context."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdgraph.nn.criteria.base import Criterion
from kdgraph.nn.criteria.learnt import convolve, start, width


class FocalGlobal(Criterion):
    """FGD: foreground * L_fg + background * L_bg + attention * L_at + relation * L_re.

    With |.| the magnitudes, per image: S = H W * softmax over positions of (mean over channels of |F|) /
    temperature; K = C * softmax over channels of (mean over positions of |F|) / temperature.

    | part | sum over channels and positions, over B |
    |---|---|
    | L_fg | w_fg * S_t * K_t * (s - t)^2; w_fg of a cell is 1 / the cells of its box, of its smallest box |
    | L_bg | w_bg * S_t * K_t * (s - t)^2; w_bg of a cell in no box is 1 / the cells in no box of its image |
    | L_at | abs(S_s - S_t) and abs(K_s - K_t) |
    | L_re | (R_s(s) - R_t(t))^2, R = the features with their `Context` added |

    A box covers the cells from floor of its low sides to ceil of its high sides, both included, in units of
    cells. `objects` are the labels: image `[N]`, class `[N, 1]` (not looked at), centre x, y, width, height
    as fractions of the image `[N, 4]`; N may be 0.

    The coefficients are the published ones for one-stage detectors, so weight 1 is the published loss: 1.5 to
    3.6 on features of untrained YOLO necks, with three boxes in an image. As published, L_fg grows with the
    boxes of an image, L_at and L_re with its cells. Both contexts are learnt, the teacher's as well, but the
    teacher's features are constants.

    Source: Yang et al., *Focal and Global Knowledge Distillation for Detectors*, CVPR 2022.

    Raises:
        ValueError: `channels`, of student and teacher, is missing, or the two differ.
    """

    masked = False

    def __init__(
        self,
        temperature: float = 0.5,
        foreground: float = 1e-3,
        background: float = 5e-4,
        attention: float = 1e-3,
        relation: float = 5e-6,
        channels: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.foreground = foreground
        self.background = background
        self.attention = attention
        self.relation = relation
        count = width("fgd", channels)
        self.student_context = Context(count)
        self.teacher_context = Context(count)

    def compare(
        self, student: Tensor, teacher: Tensor, mask: Tensor | None, *, objects: list[Tensor]
    ) -> Tensor:
        if student.ndim != 4:
            raise ValueError(f"fgd: expected [B, C, H, W], got {list(student.shape)}")
        image, _, boxes = objects
        parts = (
            self.focal(student, teacher, focus(image, boxes, student)),
            self.attention * self._attention_gap(student, teacher),
            self.relation * (self.student_context(student) - self.teacher_context(teacher)).square().sum(),
        )
        return torch.stack(parts).sum() / student.shape[0]

    def focal(self, student: Tensor, teacher: Tensor, within: Tensor) -> Tensor:
        """foreground * L_fg + background * L_bg, not yet over B; `within` is `focus`."""
        outside = (within == 0).to(student.dtype)
        outside = outside / outside.sum((2, 3), keepdim=True).clamp(min=1)
        cells = (self.foreground * within + self.background * outside) * self._positions(teacher)
        return (cells * self._channels(teacher) * (student - teacher).square()).sum()

    def _attention_gap(self, student: Tensor, teacher: Tensor) -> Tensor:
        """L_at, not yet over B."""
        maps = (self._positions(student) - self._positions(teacher)).abs().sum()
        return maps + (self._channels(student) - self._channels(teacher)).abs().sum()

    def _positions(self, x: Tensor) -> Tensor:
        """S, `[B, 1, H, W]`."""
        magnitude = x.abs().mean(1, keepdim=True)
        soft = (magnitude.flatten(1) / self.temperature).softmax(1)
        return soft.view_as(magnitude) * soft.shape[1]

    def _channels(self, x: Tensor) -> Tensor:
        """K, `[B, C, 1, 1]`."""
        return (x.abs().mean((2, 3), keepdim=True) / self.temperature).softmax(1) * x.shape[1]

    def extra_repr(self) -> str:
        names = ("temperature", "foreground", "background", "attention", "relation")
        return ", ".join(f"{name}={getattr(self, name)}" for name in names)


class Context(nn.Module):
    """Features with what the whole image says added to each cell: the block of GCNet.

    x + E(relu(layer norm(Q(sum over positions of p * x)))), p = softmax over positions of a 1x1 convolution
    to one channel; Q and E are 1x1 convolutions to half the channels and back. E starts at 0, so that a new
    block adds nothing.

    Source: Cao et al., *GCNet*, ICCV workshops 2019.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(1, channels // 2)
        self.where = nn.Conv2d(channels, 1, 1)
        self.squeeze = nn.Conv2d(channels, hidden, 1)
        self.norm = nn.LayerNorm(hidden)
        self.expand = nn.Conv2d(hidden, channels, 1)
        start(self.where)
        for parameter in self.expand.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, C, H, W]`, as `x`."""
        share = convolve(self.where, x).flatten(2).softmax(2).view_as(x[:, :1])
        hidden = convolve(self.squeeze, (share * x).sum((2, 3), keepdim=True))
        weight, bias = (p.to(x.dtype) for p in (self.norm.weight, self.norm.bias))
        normed = F.layer_norm(hidden.flatten(1), self.norm.normalized_shape, weight, bias, self.norm.eps)
        return x + convolve(self.expand, normed.relu().view_as(hidden))


def focus(image: Tensor, boxes: Tensor, like: Tensor) -> Tensor:
    """1 / the number of cells of the smallest box on each cell of the maps `like`, 0 where there is none.

    `[B, 1, H, W]`, of N boxes: the indices of their images `[N]`, and centre x, y, width, height in 0 .. 1
    `[N, 4]`. As published, the cells that a box would have beyond the map's edge are counted, too.
    """
    images, _, height, width = like.shape
    columns = _span(boxes[:, 0], boxes[:, 2], width)
    rows = _span(boxes[:, 1], boxes[:, 3], height)
    share = (rows.unsqueeze(2) * columns.unsqueeze(1)).flatten(1)  # of a box, 0 outside: [N, H * W]
    target = image.long().unsqueeze(1).expand_as(share)
    covered = like.new_zeros(images, height * width).scatter_reduce(0, target, share.to(like.dtype), "amax")
    return covered.view(images, 1, height, width)


def _span(centre: Tensor, size: Tensor, cells: int) -> Tensor:
    """1 / their number on the cells along an axis that a box covers, 0 on the others: `[N, cells]`."""
    low, high = ((centre + side * size / 2).unsqueeze(1) * cells for side in (-1, 1))
    low, high = low.floor(), high.ceil()
    place = torch.arange(cells, device=centre.device)
    return ((place >= low) & (place <= high)) / (high - low + 1)
