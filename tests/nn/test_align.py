"""Tensors of two heads brought together, against the same written another way."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import interpolate

from kdgraph.nn import align

some = settings(max_examples=40, deadline=None, derandomize=True)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def maps(*sizes: tuple[int, int], images: int = 2) -> list[Tensor]:
    return [torch.zeros(images, 1, *size) for size in sizes]


# -- classes --


def test_classes_are_picked_and_joined() -> None:
    values = noise(2, 5, 7)
    found = align.Classes([(4,), (0, 2), (1, 2, 3)])(values)
    expected = torch.stack((values[:, 4], values[:, [0, 2]].amax(1), values[:, 1:4].amax(1)), 1)
    assert torch.equal(found, expected)
    assert torch.equal(align.Classes([(3,), (1,)])(values.unsqueeze(-1)), values[:, [3, 1], :, None])
    assert not align.Classes([(0,)]).state_dict()


def test_the_gradient_goes_to_the_largest_class() -> None:
    values = noise(1, 4, 3).requires_grad_()
    align.Classes([(2,), (0, 1, 3)])(values).sum().backward()
    largest = values[:, [0, 1, 3]].argmax(1)
    expected = torch.zeros(1, 4, 3)
    expected[:, 2] = 1
    expected.scatter_(1, torch.tensor([0, 1, 3])[largest].unsqueeze(1), 1)
    assert torch.equal(values.grad, expected)


def test_numbers_of_classes_change_and_none_stays_none() -> None:
    remap = align.Remap((2, -1, 0))
    assert remap(torch.tensor([[0, 1, 2, -1]])).tolist() == [[2, -1, 0, -1]]
    assert remap(torch.zeros(0, dtype=torch.int64)).shape == (0,)
    assert not remap.state_dict()


# -- distances --


def test_keypoints_scale_where_they_are_not_whether_they_are_seen() -> None:
    values = noise(2, 6, 3)
    found = align.scaled_keypoints(values, 3, 2.0)
    assert torch.equal(found, values * torch.tensor([2, 2, 1, 2, 2, 1.0]).view(1, 6, 1))
    assert torch.equal(align.scaled_keypoints(values, 2, 0.5), values * 0.5)
    assert torch.equal(align.scaled_keypoints(values.unsqueeze(-1), 3, 2.0), found.unsqueeze(-1))
    with pytest.raises(ValueError, match="6 channels are no keypoints of 4 numbers"):
        align.scaled_keypoints(values, 4, 2.0)


def test_distances_scale() -> None:
    values = noise(2, 4, 3)
    assert torch.equal(align.scaled(values, 0.5), values / 2)


# -- images --


@pytest.mark.parametrize(
    ("scale", "seen"),
    [(2, (128, 192)), (0.5, (32, 64)), (1.4, (96, 128)), (0.1, (32, 32))],
)
def test_images_of_another_size(scale: float, seen: tuple[int, int]) -> None:
    images = torch.rand(1, 3, 64, 96)
    found = align.seen(images, None, 3, scale, 32)
    assert found.shape[2:] == seen
    torch.testing.assert_close(found, interpolate(images, seen, mode="bilinear", antialias=scale < 1))


def test_smaller_images_are_averages() -> None:
    """A pattern of single pixels becomes grey, not one of its two colours."""
    checks = (torch.arange(64).view(-1, 1) + torch.arange(64)).remainder(2).float().expand(1, 3, 64, 64)
    found = align.seen(checks, None, 3, 0.5, 32)
    torch.testing.assert_close(found[..., 2:-2, 2:-2], torch.full((1, 3, 28, 28), 0.5), atol=0.02, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_images_in_half_precision(dtype: torch.dtype) -> None:
    images = torch.rand(1, 3, 64, 64).to(dtype)
    found = align.seen(images, None, 3, 0.5, 32)
    assert found.dtype == dtype
    torch.testing.assert_close(found, align.seen(images.float(), None, 3, 0.5, 32).to(dtype))


@pytest.mark.parametrize(
    ("size", "scale", "stride"), [((64, 96), 1, 32), ((64, 96), 1.1, 32), ((50, 70), 1, 1)]
)
def test_images_that_are_seen_as_they_are(size: tuple[int, int], scale: float, stride: int) -> None:
    images = torch.rand(1, 3, *size)
    assert align.seen(images, None, 3, scale, stride) is images


def test_images_that_only_the_student_takes() -> None:
    assert align.seen(torch.rand(1, 3, 160, 96), None, 3, 1, 64).shape[2:] == (128, 128)


def test_images_of_other_channels() -> None:
    colour, grey = torch.rand(2, 3, 4, 4), torch.rand(2, 1, 4, 4)
    assert torch.equal(align.seen(grey, None, 3, 1, 1), grey.repeat(1, 3, 1, 1))
    assert torch.equal(align.seen(colour, (2, 0), 2, 1, 1), colour[:, [2, 0]])
    luma = align.seen(colour, None, 1, 1, 1)
    torch.testing.assert_close(luma[:, 0], 0.299 * colour[:, 0] + 0.587 * colour[:, 1] + 0.114 * colour[:, 2])


@pytest.mark.parametrize(("channels", "count"), [(None, 4), (None, 2), ((0, 1, 2), 1), ((0,), 3)])
def test_channels_that_do_not_fit(channels: tuple[int, ...] | None, count: int) -> None:
    number = len(channels) if channels else 3
    with pytest.raises(ValueError, match=f"images of {number} channels, and the model takes {count}"):
        align.seen(torch.rand(2, 3, 4, 4), channels, count, 1, 32)


# -- several --


def test_an_average_needs_one_shape() -> None:
    one, other = noise(1, 2, 3), noise(1, 2, 3, seed=1)
    torch.testing.assert_close(align.averaged([one, other]), (one + other) / 2)
    with pytest.raises(ValueError, match="an average needs one shape"):
        align.averaged([one, other[..., :2]])


@given(middle=st.floats(-5, 5), apart=st.floats(-0.7, 0.7), turns=st.integers(-2, 2))
@some
def test_the_average_of_directions(middle: float, apart: float, turns: int) -> None:
    """Half turns count for nothing."""
    one, other = (torch.full((1, 1, 1), middle + a, dtype=torch.float64) for a in (apart, -apart))
    found = align.averaged([one, other + turns * math.pi], "angle")
    assert math.sin(found.item() - middle) == pytest.approx(0, abs=1e-9)


# -- boxes around turned boxes --


@given(angle=st.floats(-7, 7), wide=st.floats(0.01, 0.5), high=st.floats(0.01, 0.5))
@some
def test_the_box_around_a_turned_box_touches_its_corners(angle: float, wide: float, high: float) -> None:
    image = torch.zeros(1, 3, 48, 80)
    box = torch.tensor([[0.4, 0.6, wide, high, angle]], dtype=torch.float64)
    x, y, w, h = align.enclosing(box, image)[0].tolist()
    assert (x, y) == (0.4, 0.6)
    corners = [
        (a * wide * 80 / 2 * math.cos(angle) - b * high * 48 / 2 * math.sin(angle),
         a * wide * 80 / 2 * math.sin(angle) + b * high * 48 / 2 * math.cos(angle))
        for a in (-1, 1) for b in (-1, 1)
    ]  # fmt: skip
    assert w * 80 == pytest.approx(2 * max(cx for cx, _ in corners))
    assert h * 48 == pytest.approx(2 * max(cy for _, cy in corners))


def test_upright_boxes_and_none_at_all() -> None:
    boxes = torch.rand(3, 4)
    assert align.enclosing(boxes, torch.zeros(1, 3, 8, 8)) is boxes
    assert align.enclosing(torch.zeros(0, 5), torch.zeros(1, 3, 8, 8)).shape == (0, 4)


# -- in a graph --


class Everything(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.classes, self.remap = align.Classes([(0, 1), (2,)]), align.Remap((1, 0))

    def forward(
        self, values: Tensor, levels: list[Tensor], like: list[Tensor], images: Tensor
    ) -> list[Tensor]:
        labels = values[:, 0].long().clamp(-1, 1)
        return [
            self.classes(values),
            self.remap(labels),
            align.gathered(labels, levels, (1, 0), like, "nearest"),
            align.gathered(values, levels, (1, 0), like),
            align.gathered(values[:, :1], levels, (1,), like[:1], "angle"),
            align.gathered(align.rebinned(values, 2, 3, 0.7), levels, (0, 1), like, "log"),
            align.rebinned(values, 2, 2, 3.0),
            align.scaled(values, 2.0),
            align.scaled_keypoints(values, 2, 0.5),
            align.seen(images, None, 1, 1.5, 32),
            align.seen(images, (2, 0), 2, 0.5, 32),
            align.enclosing(values[0, :5].T, images),
            align.averaged([values, 2 * values]),
            align.averaged([values, 2 * values], "angle"),
        ]


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_all_compile_to_one_graph(backend: str) -> None:
    values = noise(2, 8, 30).requires_grad_()
    arguments = (values, maps((4, 6), (2, 3)), maps((2, 3), (4, 6)), torch.rand(2, 3, 32, 64))
    compiled = torch.compile(Everything(), backend=backend, fullgraph=True)(*arguments)
    plain = Everything()(*arguments)
    for one, other in zip(compiled, plain, strict=True):
        torch.testing.assert_close(one, other)
    slopes = [
        torch.autograd.grad(sum(part.sum() for part in parts if part.requires_grad), values)[0]
        for parts in (compiled, plain)
    ]
    torch.testing.assert_close(*slopes)
    assert slopes[0].isfinite().all()
