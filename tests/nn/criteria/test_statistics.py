"""Statistics of feature maps: what they keep and what they are blind to."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kdgraph.nn.registry import criterion

few = settings(max_examples=20, deadline=None, derandomize=True)
seeds = st.integers(0, 2**32 - 1)


def features(seed: int = 0, images: int = 3) -> tuple[Tensor, Tensor]:
    noise = torch.Generator().manual_seed(seed)
    student, teacher = torch.randn(2, images, 5, 4, 6, generator=noise).double()
    return student, teacher


@pytest.mark.parametrize("name", ["gap_mse", "mmd", "channel_softmax"])
@given(seed=seeds)
@few
def test_pooled_features_do_not_know_where(name: str, seed: int) -> None:
    student, teacher = features(seed)
    elsewhere = student.flatten(2)[..., torch.randperm(24, generator=torch.Generator().manual_seed(seed))]
    loss = criterion(name)
    moved = loss(elsewhere.view_as(student), teacher)
    torch.testing.assert_close(moved, loss(student, teacher), rtol=1e-9, atol=1e-15)


@given(shift=st.floats(-100, 100))
@few
def test_gap_mse_of_a_constant_shift_is_its_square(shift: float) -> None:
    student, _ = features()
    loss = criterion("gap_mse")(student + shift, student)
    assert loss.item() == pytest.approx(shift**2, rel=1e-9, abs=1e-12)


@given(factors=st.lists(st.floats(0.01, 100), min_size=5, max_size=5))
@few
def test_gram_mse_is_blind_to_each_channel_s_scale(factors: list[float]) -> None:
    student, teacher = features()
    scaled = student * torch.tensor(factors, dtype=torch.float64).view(1, 5, 1, 1)
    loss = criterion("gram_mse")
    torch.testing.assert_close(loss(scaled, teacher), loss(student, teacher), rtol=1e-9, atol=0)


def test_gram_mse_of_opposite_and_equal_channels() -> None:
    x = torch.randn(1, 1, 4, 4).double()
    alike, opposed = torch.cat((x, x), 1), torch.cat((x, -x), 1)
    # 0 on the diagonal, (1 - -1)^2 off it
    assert criterion("gram_mse")(alike, opposed).item() == pytest.approx(2)


@pytest.mark.parametrize("which", [slice(0, 1), slice(None)], ids=["one", "all"])
def test_gram_mse_of_dead_channels_has_finite_gradients(which: slice) -> None:
    student, teacher = (x.float() for x in features())
    student[:, which] = 0
    student.requires_grad_()
    loss = criterion("gram_mse")(student, teacher)
    (gradient,) = torch.autograd.grad(loss, student)
    assert loss.isfinite()
    assert gradient.isfinite().all()


@given(seed=seeds)
@few
def test_mmd_does_not_know_which_image(seed: int) -> None:
    student, teacher = features(seed)
    order = torch.randperm(3, generator=torch.Generator().manual_seed(seed))
    loss = criterion("mmd")
    torch.testing.assert_close(loss(student[order], teacher), loss(student, teacher), rtol=1e-9, atol=1e-15)
    assert loss(student[order], student).item() == pytest.approx(0, abs=1e-12)


def test_mmd_of_one_image_is_that_of_its_kernel() -> None:
    student, teacher = features(images=1)
    squares = criterion("gap_mse")(student, teacher)
    for sigma in (0.1, 1.0, 3.0):
        wanted = 2 - 2 * (-squares / (2 * sigma**2)).exp()
        torch.testing.assert_close(criterion("mmd", sigma=sigma)(student, teacher), wanted, rtol=1e-9, atol=0)


def test_mmd_of_far_apart_batches_ends_at_the_share_of_an_image_in_its_batch() -> None:
    far = 100 * torch.arange(6.0).view(6, 1, 1, 1).expand(-1, 5, 2, 2)
    # nobody is near anybody: of B^2 pairs only the B of an image with itself count, on both sides
    assert criterion("mmd")(far[:3], far[3:]).item() == pytest.approx(2 / 3)
    assert criterion("mmd")(far[:1], far[3:4]).item() == pytest.approx(2)


def test_mmd_with_summed_channels_is_that_with_a_smaller_sigma() -> None:
    student, teacher = (x.mean((2, 3)) for x in features())

    def likeness(a: Tensor, b: Tensor) -> Tensor:
        return (-torch.cdist(a, b).square() / 2).exp().mean()

    published = likeness(student, student) + likeness(teacher, teacher) - 2 * likeness(student, teacher)
    ours = criterion("mmd", sigma=5**-0.5)(*features())
    torch.testing.assert_close(ours, published, rtol=1e-9, atol=0)
