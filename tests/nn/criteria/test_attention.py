"""Maps of attention: what they are blind to, how they relate to the published values, and where they end."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from kdgraph.nn.criteria import Attention
from kdgraph.nn.registry import criterion

few = settings(max_examples=20, deadline=None, derandomize=True)
scales = st.floats(0.01, 100)


def features(*channels: int, size: tuple[int, ...] = (5, 7)) -> list[Tensor]:
    """Three images of each of these channels."""
    noise = torch.Generator().manual_seed(0)
    return [torch.randn(3, c, *size, generator=noise).double() for c in channels]


def unit_norm(x: Tensor, power: float) -> Tensor:
    """The map of each image as published, `[B, positions]`."""
    return F.normalize(x.abs().pow(power).mean(1).flatten(1))


@pytest.mark.parametrize("power", [1.0, 2.0, 4.0])
def test_l2_is_the_published_mean_times_the_positions(power: float) -> None:
    student, teacher = features(4, 6)
    published = F.mse_loss(unit_norm(student, power), unit_norm(teacher, power))
    loss = criterion("attention", power=power)(student, teacher)
    torch.testing.assert_close(loss, 5 * 7 * published, rtol=1e-12, atol=0)


@pytest.mark.parametrize("power", [1.0, 2.0, 4.0])
def test_cosine_is_one_minus_the_cosine_and_half_of_l2(power: float) -> None:
    student, teacher = features(4, 6)
    loss = criterion("attention", power=power, distance="cosine")(student, teacher)
    cosine = F.cosine_similarity(unit_norm(student, power), unit_norm(teacher, power))
    torch.testing.assert_close(loss, 1 - cosine.mean(), rtol=1e-12, atol=0)
    torch.testing.assert_close(
        loss, criterion("attention", power=power)(student, teacher) / 2, rtol=1e-12, atol=0
    )


def test_cosine_counts_an_image_by_its_share_of_the_mask() -> None:
    student, teacher = features(4, 6)
    mask = torch.zeros(3, 1, 5, 7)
    mask[0, 0, 0], mask[1] = 1, 1  # a fifth of the first image, all of the second, none of the third
    loss = criterion("attention", distance="cosine")
    each = [loss(s[None], t[None]) for s, t in zip(student, teacher, strict=True)]
    torch.testing.assert_close(loss(student, teacher, mask), (each[0] / 5 + each[1]) / 3, rtol=1e-12, atol=0)


@pytest.mark.parametrize("distance", ["l2", "cosine"])
@given(one=scales, other=scales)
@few
def test_attention_is_blind_to_each_image_s_scale(distance: str, one: float, other: float) -> None:
    student, teacher = features(4, 6)
    loss = criterion("attention", distance=distance)
    factors = torch.tensor([one, 1.0, other]).view(3, 1, 1, 1)
    torch.testing.assert_close(loss(student * factors, teacher), loss(student, teacher), rtol=1e-9, atol=0)


@pytest.mark.parametrize("size", [1e-20, 1e-3, 1e4])
@pytest.mark.parametrize("power", [0.5, 2.0, 4.0, 20.0])
def test_no_power_overflows(power: float, size: float) -> None:
    student, teacher = (x.float() for x in features(256, 256, size=(8, 8)))
    student = (size * student).requires_grad_()
    loss = criterion("attention", power=power)(student, teacher)
    exact = criterion("attention", power=power)(student.detach().double(), teacher.double())
    (gradient,) = torch.autograd.grad(loss, student)
    torch.testing.assert_close(loss.double(), exact, rtol=1e-4, atol=1e-6)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("power", [0.01, 0.5, 0.99, 1.0, 1.5, 2.0])
def test_features_of_zero_have_finite_gradients(power: float) -> None:
    student, teacher = (x.float() for x in features(4, 6))
    student[:, :, 0], student[0, 0, 1] = 0, 1e-40
    student.requires_grad_()
    (gradient,) = torch.autograd.grad(criterion("attention", power=power)(student, teacher), student)
    assert gradient.isfinite().all()
    assert gradient.any()


@pytest.mark.parametrize(("distance", "worth"), [("l2", 1.0), ("cosine", 0.5)])
def test_an_image_without_features_is_at_distance_one(distance: str, worth: float) -> None:
    student, teacher = features(4, 6)
    nothing = torch.zeros_like(student, requires_grad=True)
    loss = criterion("attention", distance=distance)(nothing, teacher)
    (gradient,) = torch.autograd.grad(loss, nothing)
    assert loss.item() == pytest.approx(worth)
    assert not gradient.any()
    assert criterion("attention", distance=distance)(nothing, torch.zeros_like(teacher)).item() == 0


def test_maps_have_a_mean_square_of_one() -> None:
    (x,) = features(4)
    size = Attention(3.0).attention(x).square().mean((1, 2, 3))
    torch.testing.assert_close(size, torch.ones_like(size))


@pytest.mark.parametrize("name", ["attention", "spatial_softmax"])
def test_channels_may_differ_but_not_positions(name: str) -> None:
    student, teacher = features(4, 6)
    assert criterion(name)(student, teacher).item() > 0
    with pytest.raises(ValueError, match="student is"):
        criterion(name)(student, teacher[:, :, :4])
    with pytest.raises(ValueError, match="student is"):
        criterion(name)(student, teacher[:2])


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_spatial_softmax_sums_over_positions(temperature: float) -> None:
    student, teacher = features(4, 6)
    soft = [(x.abs().sum(1).flatten(1) / temperature).softmax(1) for x in (student, teacher)]
    wanted = F.mse_loss(*soft, reduction="sum") / 3
    got = criterion("spatial_softmax", temperature=temperature)(student, teacher)
    torch.testing.assert_close(got, wanted, rtol=1e-12, atol=0)


def test_spatial_softmax_is_two_where_each_side_looks_elsewhere() -> None:
    student, teacher = torch.zeros(2, 1, 4, 6, 6)
    student[:, :, 0, 0] = teacher[:, :, 5, 5] = 1e3
    assert criterion("spatial_softmax")(student, teacher).item() == pytest.approx(2)


@given(shift=st.floats(-50, 50))
@few
def test_channel_softmax_is_blind_to_what_all_channels_share(shift: float) -> None:
    student, teacher = features(5, 5)
    loss = criterion("channel_softmax")
    torch.testing.assert_close(loss(student + shift, teacher), loss(student, teacher), rtol=1e-9, atol=0)


@pytest.mark.parametrize("channels", [2, 8, 64])
def test_channel_softmax_is_relative_to_channels_that_are_alike(channels: int) -> None:
    alike, one = torch.zeros(2, 3, channels, 4, 4)
    one[:, 0] = 1e3
    # (C - 1)^2 for the one and 1 for each of the others, over C
    assert criterion("channel_softmax")(alike, one).item() == pytest.approx(channels - 1)


def test_options_are_shown() -> None:
    shown = repr(criterion("attention", power=3.0, distance="cosine"))
    assert shown == "Attention(power=3.0, distance='cosine')"
    assert repr(criterion("spatial_softmax")) == "SpatialSoftmax(temperature=1.0)"
