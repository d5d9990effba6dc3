"""Criteria between maps of attention: where in an image, or in which channels, features are large."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from kdgraph.nn.criteria.base import Criterion, weighted_mean


class Attention(Criterion):
    """Attention transfer: where in the image the features are large, whatever their channels.

    The map of an image is A = sum over channels of |F|^power, divided by its root mean square over the
    image's positions, which takes its scale away. The sides may differ in channels.

    `l2`: mean over positions (weighted by the mask) of (A_s - A_t)^2. Published on maps of unit norm, whose
    mean square is 1 / (H W): so this is H W times the published value, and a published weight is to be
    divided by H W. `cosine`: 1 - cos(A_s, A_t) of the whole maps, mean over images; with a mask each image's
    term is multiplied by the mask's mean over the image, so with few positives the value is small. As
    computed, half the mean of (A_s - A_t)^2, which is the same and keeps more digits: without a mask `cosine`
    is half of `l2`.

    An image without any feature has an empty map, at a mean squared distance of 1 to any other. Values are
    0 .. 2 (`l2` without mask); on features of untrained YOLO necks `l2` is 0.15 to 0.6.

    Source: Zagoruyko & Komodakis, *Paying More Attention to Attention*, ICLR 2017, equation 2.
    """

    same_channels = False

    def __init__(self, power: float = 2.0, distance: Literal["l2", "cosine"] = "l2") -> None:
        super().__init__()
        self.power = power
        self.distance = distance

    def compare(self, student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
        squares = (self.attention(student) - self.attention(teacher)).square()
        if self.distance == "l2":
            return weighted_mean(squares, mask)
        each = squares.flatten(1).mean(1) / 2
        return (each if mask is None else each * mask.flatten(1).mean(1)).mean()

    def attention(self, x: Tensor) -> Tensor:
        """The map of each image, `[B, 1, *]`, with a mean square of 1 (0 where all features are 0)."""
        magnitude = x.abs()
        # the map's scale is divided out below; without its largest value a power of 4 overflows
        top = magnitude.detach().flatten(1).amax(1).view(-1, *[1] * (x.ndim - 1))
        powers = self._power(magnitude / torch.where(top > 0, top, 1.0))
        total = powers.sum(1, keepdim=True)
        mean_square = total.square().flatten(1).mean(1).view_as(top)
        return total * torch.where(mean_square > 0, mean_square, 1.0).rsqrt()

    def _power(self, share: Tensor) -> Tensor:
        """share^power, with derivative 0 at (nearly) 0, where that of a power below 1 overflows."""
        if self.power >= 1:
            return share.pow(self.power)
        large = share > torch.finfo(share.dtype).eps
        return torch.where(large, torch.where(large, share, 1.0).pow(self.power), 0.0)

    def extra_repr(self) -> str:
        return f"power={self.power}, distance={self.distance!r}"


class SpatialSoftmax(Criterion):
    """Where in the image the features are large, as a distribution over positions.

    q = softmax over the positions of an image of (sum over channels of |F|) / temperature; H W * mean over
    positions (weighted by the mask) of (q_s - q_t)^2, which without a mask is the sum over positions. The
    sides may differ in channels.

    0 .. 2 without a mask; near 2 where each side has one position that stands out. On features of untrained
    YOLO necks 0.7 to 1.9, and 0.4 to 1 at a temperature of 10: the sum over hundreds of channels makes the
    softmax sharp.
    """

    same_channels = False

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        self.temperature = temperature

    def compare(self, student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
        gap = self._distribution(student) - self._distribution(teacher)
        return weighted_mean(gap.square(), mask) * gap[0].numel()

    def _distribution(self, x: Tensor) -> Tensor:
        """`[B, 1, *]`, each image's sum 1."""
        total = x.abs().sum(1, keepdim=True)
        return (total.flatten(2) / self.temperature).softmax(2).view_as(total)

    def extra_repr(self) -> str:
        return f"temperature={self.temperature}"


class ChannelSoftmax(Criterion):
    """Which channels are large, as a distribution over channels.

    q = softmax over channels of (mean over positions of F) / temperature; mean over images and channels of
    (C q_s - C q_t)^2, C q being 1 for channels that are all alike: C^2 times the plain mean of squares.

    On features of untrained YOLO necks 0.05 to 0.1, so it needs a weight of about 10, or a temperature of
    about 0.2.
    """

    masked = False

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        self.temperature = temperature

    def compare(self, student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
        return (self._relative(student) - self._relative(teacher)).square().mean()

    def _relative(self, x: Tensor) -> Tensor:
        """`[B, C]`, each image's mean 1."""
        return (x.flatten(2).mean(2) / self.temperature).softmax(1) * x.shape[1]

    def extra_repr(self) -> str:
        return f"temperature={self.temperature}"
