"""What is said of each cell by the assignment, against loops over objects and cells."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kdgraph.nn.assign import TaskAligned
from kdgraph.nn.signals import at_level, labels_of, product, target_boxes
from tests.nn.detection import STRIDES, random_predictions, random_targets

SIZE = (96, 160)
"""Height and width of the images: levels of 12 x 20, 6 x 10 and 3 x 5 cells."""


def assigned(counts: list[int], seed: int = 0):
    predictions, targets = (
        random_predictions(SIZE, images=len(counts), seed=seed),
        random_targets(counts, seed=seed),
    )
    labels = (targets.batch_idx, targets.cls, targets.bboxes)
    target = TaskAligned(4, 16, STRIDES)(predictions.boxes, predictions.scores, predictions.feats, *labels)
    return predictions, targets, target


@pytest.mark.parametrize("counts", [[5, 1, 9], [0, 4, 2], [0, 0, 1]], ids=str)
def test_labels_are_the_classes_of_the_objects(counts: list[int]) -> None:
    _, targets, target = assigned(counts)
    label = labels_of(target, targets.cls)
    assert label.dtype == torch.int64
    for image, anchor in np.ndindex(*target.shape):
        index = target[image, anchor].item()
        assert label[image, anchor].item() == (targets.cls[index].item() if index >= 0 else -1)
    assert torch.equal(labels_of(target, targets.cls[:, 0]), label)
    assert torch.equal(labels_of(target.view(3, 1, -1, 5), targets.cls), label.view(3, 1, -1, 5))


def test_no_object_no_label() -> None:
    target = torch.full((2, 7), -1)
    assert torch.equal(labels_of(target, torch.zeros(0, 1)), target)


@pytest.mark.parametrize("counts", [[5, 1, 9], [0, 4, 2]], ids=str)
def test_target_boxes_are_distances_to_the_object(counts: list[int]) -> None:
    predictions, targets, target = assigned(counts)
    found = target_boxes(target, targets.bboxes, predictions.feats, STRIDES)
    assert found.shape == (3, 4, 315)
    anchor = 0
    for stride in STRIDES:
        for row, column in np.ndindex(SIZE[0] // stride, SIZE[1] // stride):
            for image in range(3):
                index, wanted = target[image, anchor].item(), [0.0] * 4
                if index >= 0:
                    x, y, width, height = (
                        targets.bboxes[index].double() * torch.tensor([160, 96, 160, 96])
                    ).tolist()
                    across, down = (column + 0.5) * stride, (row + 0.5) * stride
                    sides = [across - x + width / 2, down - y + height / 2, x + width / 2 - across]
                    wanted = [side / stride for side in (*sides, y + height / 2 - down)]
                assert found[image, :, anchor].tolist() == pytest.approx(wanted, abs=1e-4)
            anchor += 1
    assert (target >= 0).any()


def test_target_boxes_may_end_before_the_anchor() -> None:
    """A cell is given to a box narrower than it that lies between cells: one distance is negative."""
    maps = [torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 2, 2)]
    target = torch.full((1, 20), -1)
    target[0, 5] = 0  # centre at pixel 12, 12
    found = target_boxes(target, torch.tensor([[0.5, 0.5, 0.0625, 0.125]]), maps, (8, 16))
    assert found[0, :, 5].tolist() == [-0.375, -0.25, 0.625, 0.75]
    assert not found[0, :, torch.arange(20) != 5].any()


def test_no_object_no_target_box() -> None:
    maps = random_predictions(SIZE).feats
    found = target_boxes(torch.full((3, 315), -1), torch.zeros(0, 4), maps, STRIDES)
    assert torch.equal(found, torch.zeros(3, 4, 315))


@pytest.mark.parametrize("shape", [(3, 315), (3, 4, 315)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.int64, torch.bool], ids=str)
def test_levels_are_the_whole(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    maps = random_predictions(SIZE).feats
    values = (9 * torch.rand(shape)).to(dtype)
    levels = [at_level(values, maps, i) for i in range(3)]
    channels = shape[1] if len(shape) == 3 else 1
    assert [x.shape for x in levels] == [(3, channels, 12, 20), (3, channels, 6, 10), (3, channels, 3, 5)]
    assert {x.dtype for x in levels} == {dtype}
    assert torch.equal(torch.cat([x.flatten(2) for x in levels], 2).view(shape), values)


def test_values_of_another_length_have_no_levels() -> None:
    maps = random_predictions(SIZE).feats
    for cells in (314, 316):
        with pytest.raises(ValueError, match=rf"values are \[3, {cells}\], but the maps have 315 cells"):
            at_level(torch.zeros(3, cells), maps, 0)


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 4))
@settings(max_examples=15, deadline=None, derandomize=True)
def test_a_product_counts_where_each_counts(seed: int, count: int) -> None:
    noise = torch.Generator().manual_seed(seed)
    masks = [torch.rand(2, 1, 3, 4, generator=noise) for _ in range(count)]
    masks = [m > 0.3 if i % 2 else m for i, m in enumerate(masks)]
    found = product(masks)
    assert found.dtype == torch.float32
    for place in np.ndindex(2, 1, 3, 4):
        assert found[place].item() == pytest.approx(np.prod([float(m[place]) for m in masks]), rel=1e-6)


def test_a_product_is_of_real_numbers() -> None:
    one, other = torch.tensor([[True, True, False]]), torch.tensor([[0.5, 1.0, 2.0]], dtype=torch.float64)
    assert product([one]).dtype == product([one, one]).dtype == torch.float32
    assert product([one, other]).dtype == torch.float64
    assert product([one, other]).tolist() == [[0.5, 1.0, 0.0]]
    assert product([other.half(), one]).dtype == torch.float32


def test_a_product_needs_masks_of_one_shape() -> None:
    with pytest.raises(ValueError, match=r"needs one shape, got \[\]"):
        product([])
    with pytest.raises(ValueError, match=r"got \[\[2, 5\], \[1, 5\]\]"):
        product([torch.ones(2, 5), torch.ones(1, 5)])
