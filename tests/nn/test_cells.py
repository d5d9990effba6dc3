"""Values in the cells of other maps, against the same cell by cell."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import interpolate

from kdgraph.nn.cells import gathered, regridded

some = settings(max_examples=25, deadline=None, derandomize=True)
sizes = st.tuples(st.integers(1, 7), st.integers(1, 7))


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def maps(*sizes: tuple[int, int], images: int = 2) -> list[Tensor]:
    return [torch.zeros(images, 1, *size) for size in sizes]


def between(values: Tensor, size: tuple[int, int]) -> Tensor:
    """`[B, C, H, W]` at the centres of `size` cells: of the four cells around each."""
    height, width = values.shape[2:]
    found = values.new_empty(*values.shape[:2], *size)
    for row in range(size[0]):
        for column in range(size[1]):
            y = min(max((row + 0.5) * height / size[0] - 0.5, 0), height - 1)
            x = min(max((column + 0.5) * width / size[1] - 0.5, 0), width - 1)
            top, left = int(y), int(x)
            low, right = min(top + 1, height - 1), min(left + 1, width - 1)
            above = values[..., top, left] * (1 - x + left) + values[..., top, right] * (x - left)
            below = values[..., low, left] * (1 - x + left) + values[..., low, right] * (x - left)
            found[..., row, column] = above * (1 - y + top) + below * (y - top)
    return found


# -- one level --


@given(have=sizes, want=sizes, seed=st.integers(0, 99))
@some
def test_values_between_cells(have: tuple[int, int], want: tuple[int, int], seed: int) -> None:
    values, target = noise(2, 3, *have, seed=seed), torch.zeros(1, 1, *want)
    torch.testing.assert_close(regridded(values, target), between(values, want))
    found = regridded(values.log_softmax(1), target, "log")
    torch.testing.assert_close(found.exp(), between(values.softmax(1), want))
    torch.testing.assert_close(found.exp().sum(1), torch.ones(2, *want))


@given(have=sizes, want=sizes)
@some
def test_the_next_cell(have: tuple[int, int], want: tuple[int, int]) -> None:
    values = torch.arange(2 * have[0] * have[1]).reshape(2, 1, *have)
    found = regridded(values, torch.zeros(1, 1, *want), "nearest")
    assert torch.equal(found.float(), interpolate(values.float(), want, mode="nearest-exact"))


@pytest.mark.parametrize("kind", ["linear", "log", "angle", "nearest"])
def test_a_map_of_the_size_is_given_back(kind: str) -> None:
    values = noise(1, 2, 4, 4)
    assert regridded(values, torch.zeros(1, 9, 4, 4), kind) is values  # type: ignore[arg-type]


def test_no_probability_stays_finite() -> None:
    logs = torch.full((1, 4, 2, 2), -1000.0)
    logs[:, 0] = 0
    for dtype in (torch.float32, torch.float16):
        found = regridded(logs.to(dtype), torch.zeros(1, 1, 3, 3), "log")
        assert found.dtype == torch.float32
        assert found.isfinite().all()
        torch.testing.assert_close(found.exp()[:, 1:], torch.zeros(1, 3, 3, 3), atol=1e-11, rtol=0)


def test_directions_on_either_side_of_where_they_begin_anew() -> None:
    """Angles 0.02 apart as directions, but nearly half a turn as numbers."""
    angles = torch.tensor([-math.pi / 4 + 0.01, 3 * math.pi / 4 - 0.01]).expand(1, 1, 2, 2)
    found = regridded(angles, torch.zeros(1, 1, 2, 3), "angle")[..., 1]
    torch.testing.assert_close(found.cos().abs(), torch.full((1, 1, 2), math.cos(math.pi / 4)))
    torch.testing.assert_close((found + math.pi / 4).sin(), torch.zeros(1, 1, 2), atol=1e-6, rtol=0)


@given(start=st.floats(-10, 10), step=st.floats(-0.3, 0.3))
@some
def test_directions_that_turn_evenly(start: float, step: float) -> None:
    angles = (start + step * torch.arange(3, dtype=torch.float64)).expand(1, 1, 1, 3)
    found = regridded(angles, torch.zeros(1, 1, 1, 5), "angle")[0, 0, 0, 2]  # in the middle
    assert math.sin(found.item() - (start + step)) == pytest.approx(0, abs=1e-9)


def test_gradients_reach_the_values() -> None:
    for kind in ("linear", "log", "angle", "nearest"):
        values = noise(1, 2, 4, 4).requires_grad_()
        regridded(values, torch.zeros(1, 1, 3, 3), kind).sum().backward()  # type: ignore[arg-type]
        assert values.grad is not None
        assert values.grad.isfinite().all()
        assert values.grad.abs().sum() > 0


# -- along the anchors --


def test_levels_are_picked() -> None:
    values, levels = noise(2, 3, 40), maps((4, 6), (2, 6), (2, 2))
    assert torch.equal(gathered(values, levels, (0, 2)), values[..., [*range(24), *range(36, 40)]])
    whole = torch.arange(80).reshape(2, 40)
    assert torch.equal(gathered(whole, levels, (1,), kind="nearest"), whole[:, 24:36])


def test_levels_are_read_in_the_cells_of_other_maps() -> None:
    values, levels = noise(2, 3, 40), maps((4, 6), (2, 6), (2, 2))
    like = maps((2, 3), (4, 4))
    found = gathered(values, levels, (0, 2), like)
    first, last = values[..., :24].reshape(2, 3, 4, 6), values[..., 36:].reshape(2, 3, 2, 2)
    expected = torch.cat((between(first, (2, 3)).flatten(2), between(last, (4, 4)).flatten(2)), 2)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gathered(values[:, 0], levels, (0, 2), like), found[:, 0])  # a mask


def test_one_level_that_keeps_its_cells_is_exact() -> None:
    values, levels = noise(2, 3, 40), maps((4, 6), (2, 6), (2, 2))
    found = gathered(values, levels, (0, 1), maps((2, 3), (2, 6)))
    assert torch.equal(found[..., 6:], values[..., 24:36])


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.bool])
def test_whole_numbers_stay_whole(dtype: torch.dtype) -> None:
    numbers = 2**62 + torch.arange(2 * 24).reshape(2, 24)
    values = (numbers % 2 == 0) if dtype == torch.bool else numbers.to(dtype)
    found = gathered(values, maps((4, 6)), (0,), maps((2, 3)), kind="nearest")
    assert found.dtype == dtype
    assert torch.equal(found, values.reshape(2, 4, 6)[:, 1::2, 1::2].flatten(1))


def test_values_and_maps_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match=r"values are \[2, 3, 40\], but the maps have 36 cells"):
        gathered(noise(2, 3, 40), maps((4, 6), (2, 6)), (0,))
