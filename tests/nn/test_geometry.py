"""Anchors and boxes in pixels."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kdgraph.nn.geometry import anchors, around, complete_iou, corners, generalised_iou, to_corners

Box = tuple[float, float, float, float]
edge, side = st.floats(-50, 50), st.floats(1, 60)
boxes = st.tuples(edge, edge, side, side).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))


def by_formula(a: Box, b: Box) -> float:
    """CIoU from its definition, without any epsilon."""
    width, height = (max(0.0, min(a[i + 2], b[i + 2]) - max(a[i], b[i])) for i in (0, 1))
    (aw, ah), (bw, bh) = ((x[2] - x[0], x[3] - x[1]) for x in (a, b))
    iou = width * height / (aw * ah + bw * bh - width * height)
    diagonal = math.hypot(*(max(a[i + 2], b[i + 2]) - min(a[i], b[i]) for i in (0, 1)))
    distance = math.hypot(*((a[i] + a[i + 2] - b[i] - b[i + 2]) / 2 for i in (0, 1)))
    v = 4 / math.pi**2 * (math.atan(aw / ah) - math.atan(bw / bh)) ** 2
    alpha = v / (1 - iou + v) if v else 0.0
    return iou - (distance / diagonal) ** 2 - alpha * v


@given(a=boxes, b=boxes)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_complete_iou_is_its_formula(a: Box, b: Box) -> None:
    one, other = (corners(torch.tensor(x, dtype=torch.float64)) for x in (a, b))
    assert complete_iou(one, other).item() == pytest.approx(by_formula(a, b), abs=1e-6)


def test_complete_iou_of_a_box_with_itself_is_one() -> None:
    """In float32 1 - IoU is exactly 0 here, and so is v: 0 / 0 but for the epsilon."""
    box = corners(torch.tensor([[8.0, 16.0, 40.0, 80.0], [0.0, 0.0, 300.0, 200.0]]))
    torch.testing.assert_close(complete_iou(box, box), torch.ones(2))


@given(a=boxes, b=boxes)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_generalised_iou_is_that_of_torchvision(a: Box, b: Box) -> None:
    ops = pytest.importorskip("torchvision.ops")
    one, other = (torch.tensor([x], dtype=torch.float64) for x in (a, b))
    wanted = ops.generalized_box_iou(one, other).item()
    assert generalised_iou(corners(one), corners(other)).item() == pytest.approx(wanted, abs=1e-9)


def test_generalised_iou_of_boxes_without_area() -> None:
    point, line, inverted, box = (
        corners(torch.tensor(x, dtype=torch.float64))
        for x in ([1.0, 1, 1, 1], [0.0, 0, 4, 0], [3.0, 3, 1, 1], [0.0, 0, 4, 4])
    )
    assert generalised_iou(box, point).item() == pytest.approx(0)
    assert generalised_iou(box, inverted).item() == pytest.approx(0)
    assert generalised_iou(point, point).item() == generalised_iou(line, line).item() == 0


def test_boxes_around_a_point() -> None:
    left_top_right_bottom = torch.tensor([[[1.0, 5], [2, 6], [3, 7], [4, 8]]])  # two cells
    found = around(left_top_right_bottom)
    assert [x[0, 0].tolist() for x in found] == [[-1, -5], [-2, -6], [3, 7], [4, 8]]


def test_anchors_are_the_centres_of_cells_row_by_row_level_by_level() -> None:
    points, stride = anchors([torch.zeros(2, 7, 2, 3), torch.zeros(2, 9, 1, 2)], [8, 16])
    first = [[0.5, 0.5], [1.5, 0.5], [2.5, 0.5], [0.5, 1.5], [1.5, 1.5], [2.5, 1.5]]
    assert points.tolist() == [*first, [0.5, 0.5], [1.5, 0.5]]
    assert stride.flatten().tolist() == [8.0] * 6 + [16.0] * 2


def test_every_level_needs_its_stride() -> None:
    with pytest.raises(ValueError, match="zip"):
        anchors([torch.zeros(1, 1, 2, 3)], [8, 16])


def test_corners_of_centre_and_size() -> None:
    box = to_corners(torch.tensor([[10.0, 20.0]]), torch.tensor([[4.0, 6.0]]))
    assert box.tolist() == [[8.0, 17.0, 12.0, 23.0]]
    assert [c.item() for c in corners(box)] == [8.0, 17.0, 12.0, 23.0]
