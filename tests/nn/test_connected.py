"""Connected regions against a flood fill."""

from __future__ import annotations

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kdgraph.nn.connected import ROUNDS, regions
from tests.nn.naive_m2d2 import flood


def wanted(values: Tensor) -> list[int]:
    """The index of the first cell of each cell's region, of one image `[H, W]`."""
    size = (values.shape[0], values.shape[1])
    found = list(range(values.numel()))
    for region in flood(values.flatten().tolist(), size):
        first, *_ = (y * size[1] + x for y, x in region)
        for y, x in region:
            found[y * size[1] + x] = first
    return found


@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.tuples(st.integers(1, 14), st.integers(1, 14)),
    owners=st.integers(1, 4),
    share=st.floats(0.1, 1),
)
@settings(max_examples=80, deadline=None, derandomize=True)
def test_regions_are_those_of_a_flood_fill(
    seed: int, size: tuple[int, int], owners: int, share: float
) -> None:
    noise = torch.Generator().manual_seed(seed)
    values = torch.randint(0, owners, (3, *size), generator=noise)
    values[torch.rand(values.shape, generator=noise) > share] = -1
    assert regions(values).tolist() == [wanted(image) for image in values]


def snake(size: int) -> Tensor:
    """One row after the other, joined at alternating ends."""
    values = torch.full((size, size), -1)
    values[::2] = 5
    for turn, y in enumerate(range(1, size, 2)):
        values[y, 0 if turn % 2 else -1] = 5
    return values


def spiral(size: int) -> Tensor:
    values, turns, stuck = torch.full((size, size), -1), [(0, 1), (1, 0), (0, -1), (-1, 0)], 0
    y, x = 0, 0
    values[0, 0] = 5
    while stuck < 2:
        dy, dx = turns[0]
        stuck += 1
        while all(0 <= n < size for n in (y + dy, x + dx)) and _free(values, y + 2 * dy, x + 2 * dx):
            y, x, stuck = y + dy, x + dx, 0
            if values[y, x] == 5:
                return values
            values[y, x] = 5
        turns.append(turns.pop(0))
    return values


def _free(values: Tensor, y: int, x: int) -> bool:
    size = len(values)
    return not (0 <= y < size and 0 <= x < size) or values[y, x].item() != 5


def walk(size: int, seed: int) -> Tensor:
    """A random path of one object, which often touches itself."""
    values, chance = torch.full((size, size), -1), random.Random(seed)
    y = x = size // 2
    for _ in range(8 * size):
        values[y, x] = 5
        y, x = (min(size - 1, max(0, n + chance.choice((-1, 0, 1)))) for n in (y, x))
    return values


LONG = {"snake": snake(80), "spiral": spiral(40), "walk": walk(48, 0), "other walk": walk(48, 1)}


@pytest.mark.parametrize("name", LONG)
@pytest.mark.parametrize("turned", range(4))
def test_regions_far_longer_than_the_rounds_are_found_whole(name: str, turned: int) -> None:
    values = torch.rot90(LONG[name], turned).contiguous()
    assert regions(values[None])[0].tolist() == wanted(values)
    assert (values == 5).sum() > 5 * ROUNDS


def test_touching_regions_of_different_values_stay_apart() -> None:
    values = torch.tensor([[[0, 0, 1, 1], [2, 0, 1, -1], [2, 2, -1, 1]]])
    assert regions(values)[0].tolist() == [0, 0, 2, 2, 4, 0, 2, 7, 4, 4, 10, 2]


def test_regions_touch_by_their_corners_but_not_around_the_edge() -> None:
    values = torch.tensor([[[3, -1, -1, 3], [-1, 3, -1, -1], [3, -1, -1, 3]]])
    found = regions(values)[0].view(3, 4)
    assert found[1, 1] == found[2, 0] == found[0, 0] == 0
    assert found[0, 3] == 3
    assert found[2, 3] == 11


@pytest.mark.parametrize("shape", [(2, 1, 1), (1, 3, 4), (0, 3, 4)], ids=str)
def test_the_background_is_regions_of_one_cell(shape: tuple[int, ...]) -> None:
    found = regions(torch.full(shape, -1))
    assert torch.equal(found, torch.arange(shape[1] * shape[2]).expand(shape[0], -1))
