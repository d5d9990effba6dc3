"""Where the numbers of a tensor lie in memory."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["channels_last"]


def channels_last(images: Tensor) -> Tensor:
    """[B,C,H,W] with the channels of a pixel beside each other; the same values under the same indices."""
    return images.contiguous(memory_format=torch.channels_last)
