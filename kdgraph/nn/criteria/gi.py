"""Features of general instances, and their relations."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from kdgraph.nn.criteria.base import EPS, Criterion


class GeneralInstance(Criterion):
    """Features of the boxes where the models disagree most, and the distances between these boxes.

    Each instance k is a grid of `cells` x `cells` points, spread evenly over its box and read from the maps
    by bilinear interpolation: s_k and t_k, `[C, cells, cells]`. Over the instances of the batch, and over the
    pairs of two of the same image,

        features  = mean over k of mean (s_k - t_k)^2
        relations = mean over (i, j) of smooth L1 (|s_i - s_j| / phi_s, |t_i - t_j| / phi_t)
        loss      = features + relation * relations

    with phi the mean of the distances in the image. Relations are blind to the scale of either side, so their
    gradient is larger the more alike the student's instances look; of two instances alone they say nothing,
    as phi is their distance. For necks of an untrained YOLO11n beside a trained one `features` is 0.2 to 0.4,
    about the mean squared difference of the maps, and `relations` 0.1 to 0.15.

    Source: Dai et al., *General Instance Distillation for Object Detection*, CVPR 2021, sections 3.2
    (features) and 3.3 (relations). Theirs sum over an instance's channels and points, and over pairs; means
    here, so that neither grows with width or count. Their response term is any criterion between class
    logits with the mask `gi`.

    `compare` reads `instances`, `[B, K, 4]` corners in 0..1, 0 for none (`kdgraph.nn.instances`, which has
    the options `count` and `overlap`). Without instances the loss is 0, with gradient 0. On a GPU the
    gradient of the interpolation is summed in no fixed order.
    """

    masked = False

    def __init__(self, count: int = 10, overlap: float = 0.3, cells: int = 10, relation: float = 1.0) -> None:
        super().__init__()
        self.count = count
        self.overlap = overlap
        self.cells = cells
        self.relation = relation

    def compare(self, student: Tensor, teacher: Tensor, mask: Tensor | None, *, instances: Tensor) -> Tensor:
        real = (instances[..., 2:] > instances[..., :2]).all(-1).to(student.dtype)  # [B, K]
        ours, theirs = (self._features(x, instances) for x in (student, teacher))
        features = ((ours - theirs).square().mean(-1) * real).sum() / (real.sum() + EPS)
        pairs = real.unsqueeze(1) * real.unsqueeze(2)
        pairs = pairs * (1 - torch.eye(real.shape[1], dtype=real.dtype, device=real.device))
        ours, theirs = (_relations(x, pairs) for x in (ours, theirs))
        relations = F.smooth_l1_loss(ours, theirs, reduction="none").sum() / (pairs.sum() + EPS)
        return features + self.relation * relations

    def _features(self, x: Tensor, instances: Tensor) -> Tensor:
        """`[B, K, C * cells * cells]`, each box seen on its grid."""
        steps = (torch.arange(self.cells, dtype=x.dtype, device=x.device) + 0.5) / self.cells
        low, high = instances.unsqueeze(-1).chunk(2, 2)  # [B, K, 2, 1]
        across, down = (low + steps * (high - low)).unbind(2)  # [B, K, cells] each
        shape = (*down.shape, self.cells)
        points = torch.stack((across.unsqueeze(2).expand(shape), down.unsqueeze(3).expand(shape)), -1)
        grid = 2 * points.flatten(1, 2) - 1
        read = F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)
        return read.reshape(x.shape[0], x.shape[1], *shape[1:]).transpose(1, 2).flatten(2)

    def extra_repr(self) -> str:
        return f"count={self.count}, overlap={self.overlap}, cells={self.cells}, relation={self.relation}"


def _relations(features: Tensor, pairs: Tensor) -> Tensor:
    """`[B, K, K]` distances between `[B, K, D]`, over their mean in each image; 0 where `pairs` is.

    Differences, not products: those would round away small distances, and autocast would take them in half
    precision. Equal features have distance 0, with gradient 0.
    """
    distances = pairs * torch.cdist(features, features, compute_mode="donot_use_mm_for_euclid_dist")
    mean = distances.sum((1, 2), keepdim=True) / (pairs.sum((1, 2), keepdim=True) + EPS)
    return distances / (mean + EPS)
