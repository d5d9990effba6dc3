"""Folded weights are rounded once, and laid out as they were, however large they are."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from kdgraph.compiler.frozen import frozen


def layers(inner: int, channels: int, kernel: int, groups: int) -> Any:
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(inner, channels, kernel, groups=groups), nn.BatchNorm2d(channels)
    for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        tensor.detach().uniform_(0.1, 3)
    return conv, norm


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64])
@pytest.mark.parametrize(
    "shape", [(3, 8, 3, 1), (128, 200, 3, 1), (1, 70000, 1, 1), (6000, 3, 3, 1), (96, 96, 7, 96)]
)
def test_a_folded_convolution(shape: tuple[int, int, int, int], dtype: torch.dtype) -> None:
    conv, norm = layers(*shape)
    conv, norm = conv.to(dtype, memory_format=torch.channels_last), norm.to(dtype)
    folded: Any = frozen(conv, norm)
    scale = norm.weight.double() * (norm.running_var.double() + norm.eps).rsqrt()
    weight = (conv.weight.double() * scale.reshape(-1, 1, 1, 1)).to(dtype)
    bias = (conv.bias.double() - norm.running_mean.double()) * scale + norm.bias.double()
    assert torch.equal(folded.weight, weight)
    assert folded.weight.stride() == conv.weight.stride()
    torch.testing.assert_close(folded.bias, bias.to(dtype), rtol=2 * torch.finfo(dtype).eps, atol=1e-15)
    assert folded.state_dict() == {}
    assert not any(tensor.requires_grad for tensor in folded.buffers())
