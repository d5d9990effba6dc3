"""What criteria with parameters of their own share: the width they are built for, and their precision."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def width(name: str, channels: tuple[int, int] | None) -> int:
    """The channels of both taps behind the adapter.

    Raises:
        ValueError: they are not told, or differ.
    """
    if channels is None:
        raise ValueError(f"{name} must be told the channels of student and teacher, channels=(256, 256)")
    student, teacher = channels
    if student != teacher:
        raise ValueError(f"{name}: the student has {student} channels, the teacher {teacher}")
    return teacher


def start(layer: nn.Conv2d, follower: Literal["linear", "relu"] = "linear") -> nn.Conv2d:
    """The layer with new weights, which keep the size of what goes through it and then its follower."""
    nn.init.kaiming_normal_(layer.weight, nonlinearity=follower)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def convolve(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """The layer in the precision of `x`, whatever its weights are kept in, also under autocast."""
    bias = None if layer.bias is None else layer.bias.to(x.dtype)
    with torch.autocast(x.device.type, enabled=False):
        return F.conv2d(x, layer.weight.to(x.dtype), bias, padding=layer.padding)
