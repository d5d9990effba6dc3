"""Distributions over other bins, against the same in plain numbers."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kdgraph.nn.bins import rebinned
from kdgraph.nn.dfl import distances

some = settings(max_examples=40, deadline=None, derandomize=True)
bins = st.integers(2, 20)
spreads = st.sampled_from([0.1, 3.0, 30.0])
scales = st.sampled_from([0.25, 0.5, 0.7, 1.0, 4 / 3, 1.5, 3.0])


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def masses(logs: Tensor, count: int) -> Tensor:
    """`[B, 4, count, *]`."""
    return logs.exp().unflatten(1, (4, count))


def naive(mass: list[float], target: int, scale: float) -> list[float]:
    """One side, bin by bin."""
    last = target - 1
    found = [0.0] * target
    for number, part in enumerate(mass):
        place = min(scale * number, last)
        low = min(int(place), last - 1)
        found[low] += part * (low + 1 - place)
        found[low + 1] += part * (place - low)
    wanted = min(scale * sum(k * part for k, part in enumerate(mass)), last)
    reached = sum(k * part for k, part in enumerate(found))
    mix = (wanted - reached) / (last - reached) if wanted > reached + 1e-12 else 0.0
    return [part * (1 - mix) + mix * (k == last) for k, part in enumerate(found)]


@given(seed=st.integers(0, 2**31), source=bins, target=bins, scale=scales, spread=st.sampled_from([0.1, 3.0]))
@some
def test_every_bin(seed: int, source: int, target: int, scale: float, spread: float) -> None:
    logits = spread * noise(1, 4 * source, 2, seed=seed).double()
    found = masses(rebinned(logits, source, target, scale), target)
    given = logits.unflatten(1, (4, source)).softmax(2)
    for side in range(4):
        for cell in range(2):
            wanted = naive(given[0, side, :, cell].tolist(), target, scale)
            assert found[0, side, :, cell].tolist() == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(
    seed=st.integers(0, 2**31),
    source=bins,
    target=bins,
    scale=scales,
    spread=spreads,
)
@some
def test_the_expected_distance_is_kept(
    dtype: torch.dtype, seed: int, source: int, target: int, scale: float, spread: float
) -> None:
    logits = (spread * noise(2, 4 * source, 3, seed=seed)).to(dtype)
    found = rebinned(logits, source, target, scale)
    assert (found.shape, found.dtype) == ((2, 4 * target, 3), dtype)
    mass = masses(found, target).double()
    torch.testing.assert_close(mass.sum(2), torch.ones(2, 4, 3, dtype=torch.float64), atol=1e-6, rtol=0)
    expected = (scale * distances(logits.double(), source)).clamp(max=target - 1)
    reached = (mass * torch.arange(target).view(-1, 1)).sum(2)
    torch.testing.assert_close(reached, expected, rtol=0, atol=1e-5)


@given(seed=st.integers(0, 2**31), count=bins)
@some
def test_the_same_bins_are_the_same_distribution(seed: int, count: int) -> None:
    logits = 5 * noise(2, 4 * count, 3, seed=seed)
    same = logits.unflatten(1, (4, count)).log_softmax(2)
    assert torch.equal(rebinned(logits, count, count).unflatten(1, (4, count)), same)
    more = rebinned(logits, count, count + 3).unflatten(1, (4, count + 3))
    torch.testing.assert_close(more[:, :, :count].exp(), same.exp())
    torch.testing.assert_close(more[:, :, count:].exp(), torch.full((2, 4, 3, 3), 1e-12))


def test_half_a_bin_is_shared_by_its_neighbours() -> None:
    sure = torch.full((1, 4 * 4, 1), -50.0)
    sure[:, 3::4] = 50  # a distance of 3
    found = masses(rebinned(sure, 4, 4, 0.5), 4)
    torch.testing.assert_close(found[0, 0, :, 0], torch.tensor([0, 0.5, 0.5, 0]), atol=1e-6, rtol=0)


def test_what_lies_beyond_the_last_bin_goes_there() -> None:
    sure = torch.full((1, 4 * 16, 1), -50.0)
    sure[:, 12::16] = 50  # a distance of 12
    found = masses(rebinned(sure, 16, 8), 8)
    torch.testing.assert_close(found[0, 0, :, 0], torch.tensor([0, 0, 0, 0, 0, 0, 0, 1.0]), atol=1e-6, rtol=0)


def test_an_expectation_within_reach_survives_the_cut() -> None:
    """Half at 0 and half at 12: over 8 bins, 6 is more of the last than of the first."""
    logits = torch.full((1, 4 * 16, 1), -50.0)
    logits[:, 0::16] = logits[:, 12::16] = 50
    found = masses(rebinned(logits, 16, 8), 8)[0, 0, :, 0]
    torch.testing.assert_close(found, torch.tensor([1 / 7, 0, 0, 0, 0, 0, 0, 6 / 7]), atol=1e-6, rtol=0)


def test_maps_of_a_level() -> None:
    logits = noise(2, 64, 3, 5)
    flat = rebinned(logits.flatten(2), 16, 8, 0.7)
    assert torch.equal(rebinned(logits, 16, 8, 0.7), flat.unflatten(2, (3, 5)))


def test_bins_are_resampled_in_float32() -> None:
    logits = 5 * noise(1, 64, 6)
    for dtype in (torch.bfloat16, torch.float16):
        half = rebinned(logits.to(dtype), 16, 8)
        assert torch.equal(half, rebinned(logits.to(dtype).float(), 16, 8))
    with torch.autocast("cpu", torch.bfloat16):
        within = rebinned(logits, 16, 8)
    assert torch.equal(within, rebinned(logits, 16, 8))


@pytest.mark.parametrize(("source", "target", "scale"), [(16, 8, 1), (8, 16, 0.7), (6, 6, 1), (4, 4, 3)])
def test_gradients_are_finite(source: int, target: int, scale: float) -> None:
    sure = torch.full((1, 4 * source, 1), -50.0)
    sure[:, source - 1 :: source] = 50  # all mass at the last bin, and beyond
    for logits in (sure, noise(1, 4 * source, 3)):
        logits.requires_grad_()
        rebinned(logits, source, target, scale).square().sum().backward()
        assert logits.grad is not None
        assert logits.grad.isfinite().all()


def test_bins_that_are_none() -> None:
    with pytest.raises(ValueError, match="60 channels are not 4 sides of 16 bins"):
        rebinned(noise(1, 60, 2), 16, 8)
    with pytest.raises(ValueError, match="distributions over 1 and 16 bins, but each needs 2"):
        rebinned(noise(1, 4, 2), 1, 16)
