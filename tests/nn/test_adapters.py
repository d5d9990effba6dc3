"""Bringing the student to the teacher's shape."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from kdgraph.nn.adapters import MLP, Chain, auto_chain
from kdgraph.nn.registry import adapter

shapes = st.tuples(*[st.integers(1, 4)] * 4)


@given(student=shapes, teacher=shapes)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_auto_brings_any_map_to_any_other(student: tuple[int, ...], teacher: tuple[int, ...]) -> None:
    features = torch.randn(student, requires_grad=True)
    size = torch.zeros(student[0], *teacher[1:], requires_grad=True)
    adapted = adapter("auto", student, teacher)(features, size)
    assert adapted.shape == size.shape
    adapted.sum().backward()
    assert size.grad is None
    assert features.grad is not None


@pytest.mark.parametrize(
    ("student", "teacher", "names"),
    [
        ((1, 8, 4, 4), (2, 8, 4, 4), ["identity"]),
        ((1, 64, 30), (1, 64, 30), ["identity"]),
        ((1, 8, 4, 4), (1, 16, 4, 4), ["conv1x1"]),
        ((1, 8, 4, 4), (1, 8, 8, 8), ["resize"]),
        ((1, 8, 4, 4), (1, 16, 8, 8), ["conv1x1", "resize"]),
        ((1, 8, 8, 8), (1, 16, 4, 4), ["resize", "conv1x1"]),
    ],
)
def test_auto_takes_what_is_needed(
    student: tuple[int, ...], teacher: tuple[int, ...], names: list[str]
) -> None:
    assert auto_chain(student, teacher) == names
    assert isinstance(adapter("auto", student, teacher), Chain) == (len(names) > 1)


@pytest.mark.parametrize(("student", "teacher"), [((1, 8, 4), (1, 9, 4)), ((1, 8, 4, 4), (1, 8, 16))])
@pytest.mark.parametrize("name", ["auto", "conv1x1", "mlp", "resize", "identity"])
def test_shapes_that_nothing_brings_together(
    name: str, student: tuple[int, ...], teacher: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match=r"\[1, 8, 4.* (to|and) \[1, "):
        adapter(name, student, teacher)


def test_identity_needs_equal_shapes() -> None:
    with pytest.raises(ValueError, match="identity can't bring"):
        adapter("identity", (1, 8, 4, 4), (1, 9, 4, 4))
    x = torch.randn(1, 8, 4, 4)
    assert adapter("identity", x.shape, x.shape)(x, x) is x


@pytest.mark.parametrize("norm", [False, True])
def test_conv1x1_is_a_linear_map_of_the_channels(norm: bool) -> None:
    module = adapter("conv1x1", (1, 3, 4, 5), (1, 6, 4, 5), norm=norm).eval()
    x = torch.randn(2, 3, 4, 5)
    linear = torch.einsum("oi,bihw->bohw", module.conv.weight[:, :, 0, 0], x)
    wanted = linear / (1 + 1e-5) ** 0.5 if norm else linear + module.conv.bias.view(-1, 1, 1)
    torch.testing.assert_close(module(x, x), wanted)
    assert (module.conv.bias is None) == norm


def test_mlp_is_the_projector_of_ultralytics() -> None:
    # the layers that ultralytics.nn.distill_model puts in `projector`
    theirs = nn.Sequential(nn.Conv2d(3, 6, 1), nn.ReLU(), nn.Conv2d(6, 6, 1))
    ours = MLP(3, 6)
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)))
    x = torch.randn(2, 3, 4, 5)
    assert torch.equal(ours(x, x), theirs(x))


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_resize_keeps_a_constant_and_the_size_of_the_teacher(mode: str) -> None:
    resized = adapter("resize", (1, 2, 3, 4), (1, 2, 6, 5), mode=mode)(
        torch.full((2, 2, 3, 4), 7.0), torch.zeros(2, 9, 6, 5)
    )
    assert torch.equal(resized, torch.full((2, 2, 6, 5), 7.0))


def test_resize_bilinear_has_half_pixel_centres() -> None:
    ramp = torch.tensor([[[[0.0, 1.0]]]])
    resized = adapter("resize", (1, 1, 1, 2), (1, 1, 1, 4))(ramp, torch.zeros(1, 1, 1, 4))
    assert resized.flatten().tolist() == [0.0, 0.25, 0.75, 1.0]


def test_resize_follows_the_size_of_the_batch() -> None:
    resize = adapter("resize", (1, 2, 3, 4), (1, 2, 6, 8))
    for size in [(6, 8), (10, 4)]:
        assert resize(torch.zeros(1, 2, 3, 4), torch.zeros(1, 2, *size)).shape[2:] == size
