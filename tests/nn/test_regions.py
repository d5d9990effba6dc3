"""Boxes and the cells they hold."""

from __future__ import annotations

import pytest
import torch

from kdgraph.nn.geometry import corners
from kdgraph.nn.regions import centres, distance_iou, in_pixels, iou, of_images, within


def boxes(count: int, seed: int = 0) -> torch.Tensor:
    noise = torch.Generator().manual_seed(seed)
    low, size = torch.rand(2, count, 2, generator=noise, dtype=torch.float64)
    return torch.cat((low, low + 0.1 + size), 1)


def test_overlaps_are_those_of_torchvision() -> None:
    ops = pytest.importorskip("torchvision.ops")
    a, b = boxes(30), boxes(20, seed=1)
    one, other = corners(a.unsqueeze(1)), corners(b)
    torch.testing.assert_close(iou(one, other), ops.box_iou(a, b), rtol=1e-9, atol=1e-12)
    wanted = ops.distance_box_iou(a, b, eps=0)
    torch.testing.assert_close(distance_iou(one, other), wanted, rtol=1e-9, atol=1e-12)


def test_boxes_without_area_overlap_nothing() -> None:
    points = torch.tensor([[0.5, 0.5, 0.5, 0.5], [0.0, 0, 0, 0], [0.2, 0.2, 0.2, 0.9]])
    everything = corners(torch.tensor([0.0, 0, 1, 1]))
    assert iou(corners(points), everything).tolist() == [0, 0, 0]
    assert iou(corners(points), corners(points)).tolist() == [0, 0, 0]
    assert distance_iou(corners(points), corners(points)).tolist() == pytest.approx([0, 0, 0])


def test_pixels_of_an_image_that_is_no_square() -> None:
    found = in_pixels(torch.tensor([[0.5, 0.25, 0.5, 0.25]]), torch.zeros(1, 1, 8, 16), 8)
    assert found.tolist() == [[32, 8, 96, 24]]


def test_centres_are_in_the_middle_of_cells() -> None:
    found = centres([torch.zeros(1, 1, 2, 4), torch.zeros(1, 1, 1, 2)])
    fine = [[x, y] for y in (0.25, 0.75) for x in (0.125, 0.375, 0.625, 0.875)]
    assert found.tolist() == [*fine, [0.25, 0.5], [0.75, 0.5]]


def test_the_edge_of_a_box_is_outside() -> None:
    points = torch.tensor([[0.25, 0.5], [0.5, 0.5], [0.3, 0.75], [0.3, 0.7]])
    assert within(points, torch.tensor([[0.25, 0.25, 0.75, 0.75]])).tolist() == [[False, True, False, True]]


def test_the_union_of_each_image() -> None:
    regions = torch.tensor([[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 0, 0]]).bool()
    found = of_images(regions, torch.tensor([[2.0], [0], [0], [1]]), 4)
    assert found.tolist() == [[True, True, False], [False] * 3, [True, False, False], [False] * 3]
    assert not of_images(regions[:0], torch.zeros(0), 4).any()
