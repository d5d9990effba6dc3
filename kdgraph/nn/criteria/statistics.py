"""Criteria between statistics of feature maps: what is left when positions are averaged out."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from kdgraph.nn.criteria.base import Criterion


class PooledL2(Criterion):
    """Mean squared difference of the mean features: mean over images and channels of (g_s - g_t)^2.

    g `[B, C]` is F averaged over positions.

    On features of untrained YOLO necks 0.05 to 0.1, so it needs a weight of about 10: averaging over
    positions leaves little of the differences.
    """

    masked = False

    def compare(self, student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
        return (_pooled(student) - _pooled(teacher)).square().mean()


class GramL2(Criterion):
    """Which channels are active together: mean squared difference of the cosines between every two.

    The channels of an image are the rows of `[C, H W]`, scaled to unit norm (bounded below by 1e-6); their
    products G `[C, C]` are cosines. Mean over images and pairs of channels of (G_s - G_t)^2, 0 .. 4. A Gram
    matrix divided by H W, as some write it, gives (H W)^-2 of this.

    On features of untrained YOLO necks 0.1 to 0.4.
    """

    masked = False

    def compare(self, student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
        with torch.autocast(student.device.type, enabled=False):  # it would take products in half precision
            return (_cosines(student) - _cosines(teacher)).square().mean()


class MeanDiscrepancy(Criterion):
    """Squared maximum mean discrepancy between the mean features of the student's and the teacher's images.

    With g `[B, C]` the features averaged over positions and the kernel k(a, b) =
    exp(-mean over channels of (a - b)^2 / (2 sigma^2)): mean k(g_s, g_s') + mean k(g_t, g_t') -
    2 mean k(g_s, g_t), each over all B^2 pairs of images, an image and itself among them. 0 .. 2.
    It matches the batch as a whole: which image had which features makes no difference. With the channels
    summed in the exponent, as some write it, sigma is to be divided by sqrt(C) here. On several GPUs
    each compares the images of its own.

    On features of untrained YOLO necks 0.001 to 0.004, so it needs a weight of about 300, or a sigma of about
    0.1 (0.5 to 0.6), the size of the differences between mean features.

    Source: Huang & Wang, *Like What You Like: Knowledge Distill via Neuron Selectivity Transfer*, arXiv
    1707.01219, equation 3, with images for samples.
    """

    masked = False

    def __init__(self, sigma: float = 1.0) -> None:
        super().__init__()
        self.sigma = sigma

    def compare(self, student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
        s, t = _pooled(student), _pooled(teacher)
        return self._likeness(s, s) + self._likeness(t, t) - 2 * self._likeness(s, t)

    def _likeness(self, a: Tensor, b: Tensor) -> Tensor:
        """Mean of the kernel over all pairs."""
        squares = (a.unsqueeze(1) - b).square().mean(2)
        return (squares / (-2 * self.sigma**2)).exp().mean()

    def extra_repr(self) -> str:
        return f"sigma={self.sigma}"


def _pooled(x: Tensor) -> Tensor:
    """`[B, C]`, the mean over positions."""
    return x.flatten(2).mean(2)


def _cosines(x: Tensor) -> Tensor:
    """`[B, C, C]`, between the channels of each image."""
    rows = F.normalize(x.flatten(2), dim=2, eps=1e-6)
    return rows @ rows.transpose(1, 2)
