"""The positives are those of Ultralytics, each at one place of the list, with its soft label."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kdgraph.nn.dfl import distances as distances_in_float32
from kdgraph.nn.positives import Positives, SoftTaskAligned, distances
from tests.nn.detection import STRIDES, Predictions, Targets, _Detector, random_predictions, random_targets

Limits = tuple[int, int | None]


def positives(predictions: Predictions, targets: Targets, limits: Limits = (10, None)) -> Positives:
    module = SoftTaskAligned(predictions.nc, predictions.reg_max, STRIDES, *limits)
    labels = (targets.batch_idx, targets.cls, targets.bboxes)
    return module.positives(predictions.boxes, predictions.scores, predictions.feats, *labels)


def by_ultralytics(
    predictions: Predictions, targets: Targets, limits: Limits
) -> tuple[Tensor, Tensor, Sequence[Tensor]]:
    """Soft labels `[B, A, nc]`, boxes `[B, A, 4]` in pixels, and anchors and strides."""
    from ultralytics.utils.loss import v8DetectionLoss

    loss = v8DetectionLoss(_Detector(predictions.nc, predictions.reg_max), *limits)
    assigned: list[tuple[Tensor, ...]] = []
    loss.assigner.register_forward_hook(lambda module, given, out: assigned.append(out))
    (_, _, boxes, points, stride), _, _ = loss.get_assigned_targets_and_loss(vars(predictions), vars(targets))
    return assigned[0][2], boxes, (points, stride)


def assert_equal_to_ultralytics(
    predictions: Predictions, targets: Targets, limits: Limits = (10, None)
) -> Tensor:
    found = positives(predictions, targets, limits)
    wanted, boxes, (points, stride) = by_ultralytics(predictions, targets, limits)
    real = found.weight > 0
    place = torch.stack((found.image, found.anchor), 1)[real]
    assert len(place.unique(dim=0)) == len(place)
    shown = torch.zeros_like(wanted)
    shown[found.image[real], found.anchor[real], found.label[real]] = found.weight[real]
    torch.testing.assert_close(shown, wanted)
    torch.testing.assert_close((found.box * found.stride)[real], boxes[found.image, found.anchor][real])
    assert torch.equal(found.point, points[found.anchor])
    assert torch.equal(found.stride, stride[found.anchor])
    return place


LIMITS = [(10, None), (7, 1), (10, 3), (3, 5), (1, None)]


@pytest.mark.parametrize("limits", LIMITS, ids=str)
@pytest.mark.parametrize("reg_max", [16, 1])
@pytest.mark.parametrize("seed", range(3))
def test_random_predictions(limits: Limits, reg_max: int, seed: int) -> None:
    predictions = random_predictions((96, 160), reg_max=reg_max, seed=seed)
    assert len(assert_equal_to_ultralytics(predictions, random_targets([5, 0, 9], seed=seed), limits))


@pytest.mark.parametrize("limits", LIMITS, ids=str)
def test_an_anchor_goes_to_a_target_that_did_not_choose_it(limits: Limits) -> None:
    """Many boxes around one point: some end with more anchors than they chose, and some with none."""
    predictions = random_predictions((128, 128), images=2)
    boxes = random_targets([12, 12], smallest=0.3)
    near = torch.cat((0.5 + boxes.bboxes[:, :2] / 50, boxes.bboxes[:, 2:]), 1)
    assert_equal_to_ultralytics(predictions, Targets(boxes.batch_idx, boxes.cls, near), limits)


def test_one_to_one() -> None:
    place = assert_equal_to_ultralytics(random_predictions((160, 160)), random_targets([3, 2, 4]), (7, 1))
    assert 0 < len(place) <= 9


def test_no_target_at_all() -> None:
    found = positives(random_predictions((96, 160)), random_targets([0, 0, 0]))
    assert all(len(part) == 0 for part in found)


@given(seed=st.integers(0, 2**32 - 1), counts=st.lists(st.integers(0, 6), min_size=3, max_size=3))
@settings(max_examples=15, deadline=None, derandomize=True)
def test_any_order_of_the_targets(seed: int, counts: list[int]) -> None:
    """Where Ultralytics needs them sorted by image, the same anchors are worth the same in any order."""
    predictions, targets = random_predictions((96, 160), seed=seed), random_targets(counts, seed=seed)
    order = torch.randperm(len(targets), generator=torch.Generator().manual_seed(seed))

    def shown(found: Positives) -> Tensor:
        empty = torch.zeros_like(predictions.scores)
        return empty.index_put((found.image, found.label, found.anchor), found.weight, accumulate=True)

    mixed = shown(positives(predictions, targets[order]))
    torch.testing.assert_close(mixed, shown(positives(predictions, targets)))


@pytest.mark.parametrize("bins", [1, 16])
def test_distances_are_those_of_the_distributions(bins: int) -> None:
    logits = torch.randn(2, 4 * bins, 30)
    found = distances(logits.transpose(1, 2), bins).transpose(1, 2)
    torch.testing.assert_close(found, distances_in_float32(logits, bins))
