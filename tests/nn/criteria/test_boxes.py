"""box_l2: distances and distributions."""

from __future__ import annotations

import pytest
import torch

from kdgraph.nn.dfl import distances
from kdgraph.nn.registry import criterion


def test_logits_are_compared_by_the_distances_they_expect() -> None:
    student, teacher = torch.randn(2, 3, 64, 9, dtype=torch.float64)
    by_bins = criterion("box_l2", bins=16)(student, teacher)
    by_distance = criterion("box_l2")(distances(student, 16), distances(teacher, 16))
    assert by_bins.item() == by_distance.item()


def test_boxes_one_scale_apart_cost_one() -> None:
    near = torch.zeros(2, 4, 5, 5)
    assert criterion("box_l2", scale=8.0)(near, near + 8).item() == 1


def test_one_bin_means_distances() -> None:
    student, teacher = torch.randn(2, 2, 4, 6)
    assert torch.equal(criterion("box_l2", bins=1)(student, teacher), criterion("box_l2")(student, teacher))


@pytest.mark.parametrize(("channels", "bins"), [(64, None), (64, 1), (4, 16), (60, 16)])
def test_channels_that_are_not_four_sides_are_refused(channels: int, bins: int | None) -> None:
    boxes = torch.zeros(1, channels, 5)
    with pytest.raises(ValueError, match=f"{channels} channels are not 4 sides"):
        criterion("box_l2", bins=bins)(boxes, boxes)
