"""The expectation of box distributions."""

from __future__ import annotations

import pytest
import torch

from kdgraph.nn.dfl import distances, sides


def test_channels_are_side_major() -> None:
    logits = torch.arange(2 * 12 * 5.0).reshape(2, 12, 5)
    grouped = sides(logits, 3)
    assert grouped.shape == (2, 4, 3, 5)
    for side in range(4):
        assert torch.equal(grouped[:, side], logits[:, 3 * side : 3 * side + 3])


@pytest.mark.parametrize("size", [(6,), (2, 3)], ids=str)
def test_a_certain_bin_is_the_distance(size: tuple[int, ...]) -> None:
    chosen = torch.randint(0, 16, (2, 4, *size))
    certain = torch.nn.functional.one_hot(chosen, 16).movedim(-1, 2) * 1e4
    assert torch.equal(distances(certain.reshape(2, 64, *size), 16), chosen.float())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_does_not_round_the_expectation(dtype: torch.dtype) -> None:
    logits = torch.randn(2, 64, 9).to(dtype)
    with torch.autocast("cpu", torch.bfloat16):
        got = distances(logits, 16)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, distances(logits.float(), 16), rtol=0, atol=0)


def test_without_bins_they_are_the_distances() -> None:
    given = torch.randn(2, 4, 7)
    assert distances(given, 1) is given


@pytest.mark.parametrize(("channels", "bins"), [(63, 16), (64, 1), (4, 16)])
def test_other_channels_are_refused(channels: int, bins: int) -> None:
    with pytest.raises(ValueError, match=f"{channels} channels are not 4 sides"):
        distances(torch.zeros(1, channels, 3), bins)
