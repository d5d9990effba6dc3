"""Masked generative distillation: what is left of the student's features must tell what the teacher has."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kdgraph.nn.criteria.base import Criterion
from kdgraph.nn.criteria.learnt import convolve, start, width


class MaskedGenerative(Criterion):
    """Squared difference between the teacher's features and those regenerated from a part of the student's.

    A share `drop` of the cells of each image, drawn anew in every forward (in eval mode too), is set to 0 in
    all of the student's channels; then a block of this module's, G = 3x3 convolution - ReLU - 3x3
    convolution, at the teacher's width, must fill them in: mean over B, C, H, W of (G(m * s) - t)^2.
    Published is alpha / B times the sum, so a published alpha is a weight of alpha * C * H * W here: 2e-5 and
    256 channels on 80 x 80 cells make 33.

    G is trained with the student and used for nothing else. Its weights start so that it keeps the size of
    what it is given (He et al. 2015); the value then is about the mean square of t plus that of m * s, 0.5 on
    features of untrained YOLO necks.

    Source: Yang et al., *Masked Generative Distillation*, ECCV 2022, equations 4 to 6.

    Raises:
        ValueError: `channels`, of student and teacher, is missing, or the two differ.
    """

    masked = False

    def __init__(self, drop: float = 0.65, channels: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.drop = drop
        count = width("mgd", channels)
        self.first = start(nn.Conv2d(count, count, 3, padding=1), "relu")
        self.second = start(nn.Conv2d(count, count, 3, padding=1))

    def compare(self, student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
        if student.ndim != 4:
            raise ValueError(f"mgd: expected [B, C, H, W], got {list(student.shape)}")
        kept = torch.rand_like(student[:, :1]) >= self.drop
        return self.regenerated(student, teacher, kept)

    def regenerated(self, student: Tensor, teacher: Tensor, kept: Tensor) -> Tensor:
        """The loss with the cells `kept` `[B, 1, H, W]` (bool, or 0 and 1), not drawn."""
        hidden = convolve(self.first, student * kept).relu()
        return (convolve(self.second, hidden) - teacher).square().mean()

    def extra_repr(self) -> str:
        return f"drop={self.drop}"
