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
from kdgraph.nn.dfl import distances

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


def test_numbers_of_classes_change_and_none_stays_none() -> None:
    found = align.Remap((2, -1, 0))(torch.tensor([[0, 1, 2, -1]]))
    assert found.tolist() == [[2, -1, 0, -1]]


# -- cells --


def test_levels_are_picked_along_the_anchors() -> None:
    values, levels = noise(2, 3, 40), maps((4, 6), (2, 6), (2, 2))
    assert torch.equal(align.gathered(values, levels, (0, 2)), values[..., [*range(24), *range(36, 40)]])
    whole = torch.arange(80).reshape(2, 40)
    assert torch.equal(align.gathered(whole, levels, (1,), kind="nearest"), whole[:, 24:36])


def test_levels_are_read_in_the_cells_of_other_maps() -> None:
    values, levels = noise(2, 3, 40), maps((4, 6), (2, 6), (2, 2))
    like = maps((2, 3), (4, 4))
    found = align.gathered(values, levels, (0, 2), like)
    parts = (values[..., :24].reshape(2, 3, 4, 6), values[..., 36:].reshape(2, 3, 2, 2))
    expected = [
        interpolate(p, m.shape[2:], mode="bilinear").flatten(2) for p, m in zip(parts, like, strict=True)
    ]
    torch.testing.assert_close(found, torch.cat(expected, 2))


def test_whole_numbers_stay_whole() -> None:
    large = 2**40 + torch.arange(2 * 24).reshape(2, 24)
    found = align.gathered(large, maps((4, 6)), (0,), maps((2, 3)), kind="nearest")
    assert found.dtype == torch.int64
    assert torch.equal(found, large.reshape(2, 4, 6)[:, 1::2, 1::2].flatten(1))


def test_a_map_of_the_size_is_given_back() -> None:
    values = noise(1, 2, 4, 4)
    assert align.regridded(values, torch.zeros(1, 9, 4, 4)) is values


def test_logarithms_are_interpolated_as_what_they_are_of() -> None:
    logs = noise(1, 8, 4, 4).log_softmax(1)
    found = align.regridded(logs, torch.zeros(1, 1, 2, 2), "log")
    torch.testing.assert_close(found.exp(), interpolate(logs.exp(), (2, 2), mode="bilinear"))
    torch.testing.assert_close(found.exp().sum(1), torch.ones(1, 2, 2))


# -- bins --


@given(
    seed=st.integers(0, 2**31), source=st.integers(2, 20), target=st.integers(2, 20),
    scale=st.sampled_from([0.25, 0.5, 0.7, 1.0, 1.5, 3.0]), spread=st.sampled_from([0.1, 3.0, 30.0]),
)  # fmt: skip
@some
def test_the_expected_distance_is_kept(
    seed: int, source: int, target: int, scale: float, spread: float
) -> None:
    logits = spread * noise(2, 4 * source, 3, seed=seed).double()
    found = align.rebinned(logits, source, target, scale)
    assert found.shape == (2, 4 * target, 3)
    mass = found.unflatten(1, (4, target)).exp()
    torch.testing.assert_close(mass.sum(2), torch.ones(2, 4, 3, dtype=torch.float64))
    expected = (scale * distances(logits, source)).clamp(max=target - 1)
    torch.testing.assert_close(distances(found, target), expected, rtol=0, atol=1e-6)


def test_the_same_bins_are_the_same_distribution() -> None:
    logits = noise(2, 32, 5)
    found = align.rebinned(logits, 8, 8)
    torch.testing.assert_close(found.exp(), logits.unflatten(1, (4, 8)).softmax(2).flatten(1, 2))
    more = align.rebinned(logits, 8, 16).exp().unflatten(1, (4, 16))
    torch.testing.assert_close(more[:, :, :8].flatten(1, 2), found.exp())
    assert more[:, :, 8:].max() < 1e-9


def test_half_a_bin_is_shared_by_its_neighbours() -> None:
    sure = torch.full((1, 4 * 4, 1), -50.0)
    sure[:, 3::4] = 50  # a distance of 3
    found = align.rebinned(sure, 4, 4, 0.5).exp().unflatten(1, (4, 4))
    torch.testing.assert_close(found[0, 0, :, 0], torch.tensor([0, 0.5, 0.5, 0]), atol=1e-6, rtol=0)


def test_bins_are_resampled_in_float32() -> None:
    logits = 5 * noise(1, 64, 6)
    assert align.rebinned(logits.bfloat16(), 16, 8).dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(align.rebinned(logits, 16, 8), align.rebinned(logits.float(), 16, 8))


def test_keypoints_scale_where_they_are_not_whether_they_are_seen() -> None:
    values = noise(2, 6, 3)
    found = align.scaled_keypoints(values, 3, 2.0)
    assert torch.equal(found, values * torch.tensor([2, 2, 1, 2, 2, 1.0]).view(1, 6, 1))
    assert torch.equal(align.scaled_keypoints(values, 2, 0.5), values * 0.5)


# -- images --


@pytest.mark.parametrize(
    ("size", "scale", "seen"),
    [((64, 96), 2, (128, 192)), ((64, 96), 0.5, (32, 64)), ((64, 96), 1.4, (96, 128))],
)
def test_images_of_another_size(size: tuple[int, int], scale: float, seen: tuple[int, int]) -> None:
    images = torch.rand(1, 3, *size)
    found = align.seen(images, None, 3, scale, 32)
    assert found.shape[2:] == seen
    torch.testing.assert_close(found, interpolate(images, seen, mode="bilinear", antialias=scale < 1))


def test_images_of_other_channels() -> None:
    colour, grey = torch.rand(2, 3, 4, 4), torch.rand(2, 1, 4, 4)
    assert align.seen(colour, None, 3, 1, 32) is colour
    assert torch.equal(align.seen(grey, None, 3, 1, 32), grey.repeat(1, 3, 1, 1))
    assert torch.equal(align.seen(colour, (2, 0), 2, 1, 32), colour[:, [2, 0]])
    luma = align.seen(colour, None, 1, 1, 32)
    torch.testing.assert_close(luma[:, 0], 0.299 * colour[:, 0] + 0.587 * colour[:, 1] + 0.114 * colour[:, 2])
    with pytest.raises(ValueError, match="images of 3 channels, and the model takes 4"):
        align.seen(colour, None, 4, 1, 32)


# -- several --


def test_an_average_needs_one_shape() -> None:
    one, other = noise(1, 2, 3), noise(1, 2, 3, seed=1)
    torch.testing.assert_close(align.averaged([one, other]), (one + other) / 2)
    with pytest.raises(ValueError, match="an average needs one shape"):
        align.averaged([one, other[..., :2]])


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
        return [
            self.classes(values),
            self.remap(values[:, 0].long().clamp(-1, 1)),
            align.gathered(values, levels, (1, 0), like),
            align.gathered(align.rebinned(values, 2, 3, 0.7), levels, (0, 1), like, "log"),
            align.scaled_keypoints(values, 2, 0.5),
            align.seen(images, None, 1, 1.5, 32),
            align.enclosing(values[0, :5].T, images),
            align.averaged([values, 2 * values]),
        ]


def test_all_compile_to_one_graph() -> None:
    arguments = (noise(2, 8, 30), maps((4, 6), (2, 3)), maps((2, 3), (4, 6)), torch.rand(2, 3, 32, 64))
    compiled = torch.compile(Everything(), backend="eager", fullgraph=True)
    for one, other in zip(compiled(*arguments), Everything()(*arguments), strict=True):
        torch.testing.assert_close(one, other)
