"""Keypoints relative to their anchors, against loops."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from kdgraph.nn.keypoints import offsets


def naive(kpts: Tensor, ndim: int, scale: float, shift: float) -> Tensor:
    """One channel after the other."""
    moved = kpts.clone()
    for channel in range(kpts.shape[1]):
        if channel % ndim < 2:
            moved[:, channel] = kpts[:, channel] * scale + shift
    return moved


@given(
    st.integers(1, 4),
    st.sampled_from([2, 3]),
    st.floats(-3, 3),
    st.floats(-3, 3),
    st.sampled_from([(5,), (2, 3)]),
)
def test_x_and_y_move_and_visibility_stays(
    count: int, ndim: int, scale: float, shift: float, cells: tuple[int, ...]
) -> None:
    kpts = torch.randn(2, count * ndim, *cells, dtype=torch.float64)
    assert torch.equal(offsets(kpts, ndim, scale, shift), naive(kpts, ndim, scale, shift))


def test_gradients_are_scaled() -> None:
    kpts = torch.randn(1, 6, 4, requires_grad=True)
    offsets(kpts, 3, 2.0, -0.5).sum().backward()  # type: ignore[no-untyped-call]
    assert kpts.grad is not None
    assert kpts.grad[0, :, 0].tolist() == [2, 2, 1, 2, 2, 1]


def test_channels_that_are_no_keypoints() -> None:
    with pytest.raises(ValueError, match="7 channels are no keypoints of 3 numbers"):
        offsets(torch.zeros(1, 7, 4), 3, 2.0, -0.5)
