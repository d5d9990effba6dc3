"""Criteria between boxes: distances from the anchor to the four sides."""

from __future__ import annotations

from torch import Tensor

from kdgraph.nn.criteria.base import Criterion, weighted_mean
from kdgraph.nn.dfl import distances


class BoxL2(Criterion):
    """Squared difference of the distances to the four sides.

    Mean over positions (weighted by the mask) and sides of ((d_s - d_t) / scale)^2, d the distance in
    strides.

    `bins=None`: the inputs are distances, `[B, 4, A]` or `[B, 4, H, W]`. `bins=R`: they are DFL logits,
    `[B, 4*R, A]` or `[B, 4*R, H, W]`, and d is their expectation; 1 means a head without bins (distances
    again). `scale` 16 is the reach of 16 bins, so errors are fractions of it.
    """

    def __init__(self, scale: float = 16.0, bins: int | None = None) -> None:
        super().__init__()
        self.scale = scale
        self.bins = bins

    def compare(self, student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
        student, teacher = (distances(x, self.bins or 1) for x in (student, teacher))
        return weighted_mean(((student - teacher) / self.scale).square(), mask)

    def extra_repr(self) -> str:
        return f"scale={self.scale}, bins={self.bins}"
