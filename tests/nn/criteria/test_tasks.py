"""What keypoints and angles must not be confused by; their values are in test_naive."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kdgraph.nn.registry import criterion


def test_a_keypoint_that_the_teacher_does_not_see_has_no_place() -> None:
    ours, theirs = torch.zeros(1, 3, 1), torch.tensor([[[5.0], [7.0], [-100.0]]])
    hidden = criterion("keypoints", keypoints=(1, 3))(ours, theirs)
    assert hidden.item() == pytest.approx(math.log(2), rel=1e-4)  # only that it is unseen is taught


def test_a_keypoint_that_it_sees_has_one() -> None:
    ours, theirs = torch.zeros(1, 3, 1), torch.tensor([[[5.0], [-7.0], [100.0]]])
    seen = criterion("keypoints", keypoints=(1, 3))(ours, theirs)
    assert seen.item() == pytest.approx(math.log(2) + 4.5 + 6.5, rel=1e-4)


@pytest.mark.parametrize("delta", [0.5, 2.0])
@pytest.mark.parametrize("far", [4.0, 400.0])
def test_far_keypoints_pull_no_harder_than_near_ones(delta: float, far: float) -> None:
    ours = torch.zeros(1, 2, 1).requires_grad_()
    criterion("keypoints", keypoints=(1, 2), delta=delta)(ours, torch.full((1, 2, 1), far)).backward()
    assert ours.grad is not None
    assert ours.grad.flatten().tolist() == pytest.approx([-1, -1])


@settings(deadline=None)
@given(st.floats(-4, 4), st.floats(-4, 4), st.integers(-3, 3))
def test_turning_a_box_by_half_turns_changes_nothing(ours: float, theirs: float, turns: int) -> None:
    student, teacher = (torch.full((1, 1, 2, 2), x, dtype=torch.float64) for x in (ours, theirs))
    loss = criterion("angle")
    turned = loss(student + turns * math.pi, teacher)
    torch.testing.assert_close(turned, loss(student, teacher), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("gap", "value"), [(math.pi / 2, 1), (math.pi / 6, 0.25), (-math.pi / 4, 0.5)])
def test_a_quarter_turn_is_the_largest_difference(gap: float, value: float) -> None:
    student = torch.full((1, 1, 3), 0.3)
    assert criterion("angle")(student, student + gap).item() == pytest.approx(value)
