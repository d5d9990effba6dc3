"""The box distributions of a DFL head (Li et al., *Generalized Focal Loss*, NeurIPS 2020).

Such a head describes each of the four sides of a box (left, top, right, bottom of the anchor) by `bins`
logits: the distance to that side, in strides, is the expectation of their softmax over the bins 0 ..
bins-1. Channels are side-major: channel = side * bins + bin.
"""

from __future__ import annotations

import torch
from torch import Tensor


def sides(logits: Tensor, bins: int) -> Tensor:
    """`[B, 4*bins, *]` logits seen as `[B, 4, bins, *]`.

    Raises:
        ValueError: the channels are not four times `bins`.
    """
    if logits.shape[1] != 4 * bins:
        of_bins = f" of {bins} bins" if bins > 1 else ""
        raise ValueError(f"{logits.shape[1]} channels are not 4 sides{of_bins}")
    return logits.reshape(logits.shape[0], 4, bins, *logits.shape[2:])


def distances(logits: Tensor, bins: int) -> Tensor:
    """Distances in bins (= strides), `[B, 4, *]`, of `[B, 4*bins, *]` logits.

    A head with one bin (`reg_max` 1) has no distribution: its channels already are the distances.

    Raises:
        ValueError: the channels are not four times `bins`.
    """
    grouped = sides(logits, bins)
    if bins == 1:
        return logits
    # half precision would round to 1/16 bin
    probability = grouped.to(torch.promote_types(logits.dtype, torch.float32)).softmax(2)
    values = torch.arange(bins, dtype=probability.dtype, device=probability.device)
    values = values.view(-1, *[1] * (probability.ndim - 3))
    return (probability * values).sum(2)  # no matrix product: autocast would take that in half precision
