"""The angle of rotated boxes."""

from __future__ import annotations

from math import exp, pi

import pytest
import torch

from kdgraph.nn.angles import radians


@pytest.mark.parametrize("logit", [-30.0, -1.0, 0.0, 0.7, 30.0])
def test_a_logit_is_a_share_of_half_a_turn(logit: float) -> None:
    found = radians(torch.full((1, 1, 2), logit, dtype=torch.float64))
    assert found.tolist()[0][0] == pytest.approx([pi / (1 + exp(-logit)) - pi / 4] * 2)


def test_the_ends_are_a_quarter_of_a_turn_either_way() -> None:
    assert radians(torch.tensor([-1e4, 1e4])).tolist() == pytest.approx([-pi / 4, 3 * pi / 4])
