from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.autograd import gradcheck
from torch.nn import functional as F

from kdgraph.nn import norm_act
from kdgraph.nn.norm_act import norm_silu


@pytest.fixture(autouse=True)
def _small_maps_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(norm_act, "_WORTH", 0)


def norm(channels: int, dtype: torch.dtype = torch.float32, **options: Any) -> nn.BatchNorm2d:
    made = nn.BatchNorm2d(channels, **{"eps": 1e-3, "momentum": 0.03, **options})
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.randn_like(parameter))
    return made.to(dtype) if dtype == torch.float64 else made


def both(x: Tensor, layer: nn.BatchNorm2d) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Value, gradients and statistics of the function and of the two modules that it stands for."""
    found = []
    for function in (norm_silu, lambda x, layer: F.silu(layer(x))):
        own, given = copy.deepcopy(layer), x.clone().requires_grad_()
        y = function(given, own)
        y.backward(torch.linspace(-1, 1, y.numel(), dtype=y.dtype).reshape(y.shape))
        grads = {name: p.grad for name, p in own.named_parameters() if p.grad is not None}
        found.append({"y": y.detach(), "x": given.grad, **dict(own.named_buffers()), **grads})
    return found[0], found[1]


@given(
    shape=st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, 6), st.integers(1, 6)),
    dtype=st.sampled_from([torch.float64, torch.float32, torch.bfloat16]),
    last=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_it_is_the_two_modules(shape: tuple[int, int, int, int], dtype: torch.dtype, last: bool) -> None:
    if shape[0] * shape[2] * shape[3] == 1:
        return  # no statistics of one value
    torch.manual_seed(0)
    x = torch.randn(shape).to(dtype)
    x = x.contiguous(memory_format=torch.channels_last) if last else x
    ours, theirs = both(x, norm(shape[1], dtype))
    tolerance = {torch.float64: 1e-9, torch.float32: 1e-3, torch.bfloat16: 5e-2}[dtype]
    assert torch.equal(ours["y"], theirs["y"])
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, rtol=tolerance, atol=tolerance, msg=name)


def test_gradients_are_those_of_differences() -> None:
    torch.manual_seed(0)
    layer = norm(3, torch.float64)
    x = torch.randn(2, 3, 3, 4, dtype=torch.float64, requires_grad=True)

    def function(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        held = copy.deepcopy(layer)
        held._parameters.update(weight=weight, bias=bias)
        return norm_silu(x, held)

    assert gradcheck(function, (x, layer.weight, layer.bias))


def test_between_forward_and_backward_it_keeps_one_map_where_modules_keep_two() -> None:
    def kept(function: Any) -> int:
        x, sizes = torch.randn(2, 4, 8, 8, requires_grad=True), []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()) or t, lambda t: t):
            function(x, norm(4))
        return sum(size == x.numel() for size in sizes)

    assert kept(norm_silu) == 1
    assert kept(lambda x, layer: F.silu(layer(x))) == 2


def test_a_backward_can_come_twice() -> None:
    x = torch.randn(2, 4, 8, 8, requires_grad=True)
    y = norm_silu(x, norm(4)).sum()
    first, second = (torch.autograd.grad(y, x, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)


def test_a_frozen_weight_gets_no_gradient() -> None:
    layer = norm(4).requires_grad_(False)
    x = torch.randn(2, 4, 8, 8, requires_grad=True)
    norm_silu(x, layer).sum().backward()
    assert x.grad is not None
    assert layer.weight.grad is None


@pytest.mark.parametrize(
    "layer",
    [
        norm(4).eval(),
        norm(4, momentum=None),
        norm(4, track_running_stats=False),
        nn.BatchNorm2d(4, affine=False),
    ],
    ids=["in eval mode", "averaging", "without statistics", "without weights"],
)  # fmt: skip
def test_norms_of_another_kind_run_as_they_are(layer: nn.BatchNorm2d) -> None:
    ours, theirs = both(torch.randn(2, 4, 8, 8), layer)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())


def test_hooks_of_the_norm_are_called() -> None:
    layer, seen = norm(4), []
    layer.register_forward_hook(lambda module, inputs, output: seen.append(output))
    norm_silu(torch.randn(2, 4, 8, 8, requires_grad=True), layer)
    assert len(seen) == 1


def test_autocast_computes_as_the_modules_do() -> None:
    x = torch.randn(2, 4, 8, 8).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        ours, theirs = both(x, norm(4))
    assert ours["y"].dtype == theirs["y"].dtype == torch.bfloat16
    assert torch.equal(ours["y"], theirs["y"])
