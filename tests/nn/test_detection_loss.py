"""The task loss is that of Ultralytics, losses and gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from ultralytics.utils.loss import E2ELoss, v8DetectionLoss

from kdgraph.nn.detection_loss import DetectionLoss, EndToEndLoss, Gains, distribution_focal
from kdgraph.nn.geometry import anchors
from kdgraph.nn.positives import SoftTaskAligned
from tests.nn.detection import STRIDES, Predictions, Targets, _Detector, random_predictions, random_targets

Loss = Callable[..., tuple[Tensor, dict[str, Tensor]]]
Limits = tuple[int, int | None]

GAINS = Gains(7.5, 0.5, 1.5)  # those of _Detector
BOTH = pytest.mark.parametrize("reg_max", [16, 1])
LIMITS = pytest.mark.parametrize("limits", [(10, None), (7, 1), (10, 3)], ids=str)


def ours(
    reg_max: int, limits: Limits = (10, None), weights: Tensor | None = None, nc: int = 4
) -> DetectionLoss:
    return DetectionLoss(SoftTaskAligned(nc, reg_max, STRIDES, *limits), GAINS, weights)


def theirs(reg_max: int, limits: Limits = (10, None), weights: Tensor | None = None, nc: int = 4) -> Loss:
    model = _Detector(nc, reg_max)
    model.class_weights = weights
    return v8DetectionLoss(model, *limits)


def run(loss: Loss, predictions: Predictions, targets: Targets) -> dict[str, Tensor]:
    """Losses, named losses, and gradients of a sum in which each loss counts differently."""
    boxes, scores = (x.clone().requires_grad_() for x in (predictions.boxes, predictions.scores))
    losses, items = loss({"boxes": boxes, "scores": scores, "feats": predictions.feats}, vars(targets))
    assert not any(value.requires_grad for value in items.values())
    (losses * torch.tensor([1.0, 3.0, 2.0])).sum().backward()
    assert boxes.grad is not None
    assert scores.grad is not None
    return {"losses": losses.detach(), **items, "boxes": boxes.grad, "scores": scores.grad}


def assert_equal(
    one: Loss, other: Loss, predictions: Predictions, targets: Targets, **tolerance: float
) -> dict[str, Tensor]:
    found, wanted = (run(loss, predictions, targets) for loss in (one, other))
    torch.testing.assert_close(found, wanted, **(tolerance or {"rtol": 1e-4, "atol": 1e-6}))
    assert all(value.isfinite().all() for value in found.values())
    return found


def to(predictions: Predictions, dtype: torch.dtype) -> Predictions:
    feats = [feat.to(dtype) for feat in predictions.feats]
    return Predictions(predictions.boxes.to(dtype), predictions.scores.to(dtype), feats)


@LIMITS
@BOTH
@pytest.mark.parametrize("seed", range(3))
def test_random_predictions(reg_max: int, limits: Limits, seed: int) -> None:
    predictions = random_predictions((96, 160), reg_max=reg_max, seed=seed)
    targets = random_targets([5, 1, 9], seed=seed)
    assert assert_equal(ours(reg_max, limits), theirs(reg_max, limits), predictions, targets)["losses"].all()


@LIMITS
@BOTH
def test_float64(reg_max: int, limits: Limits) -> None:
    """Overlaps and the sums are in float32 here too, in Ultralytics; the gradients' last steps are not."""
    predictions = to(random_predictions((96, 160), reg_max=reg_max), torch.float64)
    losses = (ours(reg_max, limits), theirs(reg_max, limits))
    assert_equal(*losses, predictions, random_targets([5, 1, 9]), rtol=1e-6, atol=1e-9)


@BOTH
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_class_weights(reg_max: int, dtype: torch.dtype) -> None:
    weights = torch.tensor([0.3, 1.0, 1.9, 0.8], dtype=dtype)
    predictions, targets = random_predictions((96, 160), reg_max=reg_max), random_targets([5, 1, 9])
    losses = (ours(reg_max, weights=weights), theirs(reg_max, weights=weights))
    weighted = assert_equal(*losses, predictions, targets)
    assert weighted["cls_loss"] != run(ours(reg_max), predictions, targets)["cls_loss"]


@BOTH
@pytest.mark.parametrize("counts", [[0, 0, 0], [0, 4, 2], [0, 0, 1]], ids=str)
def test_images_without_targets(reg_max: int, counts: list[int]) -> None:
    predictions = random_predictions((96, 160), reg_max=reg_max)
    found = assert_equal(ours(reg_max), theirs(reg_max), predictions, random_targets(counts))
    assert [bool(image.any()) for image in found["boxes"]] == [count > 0 for count in counts]


@BOTH
@pytest.mark.parametrize("scale", [0.01, 0.1])
def test_tiny_boxes(reg_max: int, scale: float) -> None:
    targets = random_targets([6, 6, 6], smallest=0.0)
    shrunk = replace(targets, bboxes=targets.bboxes * torch.tensor([1, 1, scale, scale]))
    assert_equal(ours(reg_max), theirs(reg_max), random_predictions((96, 160), reg_max=reg_max), shrunk)


@LIMITS
@BOTH
def test_boxes_on_boxes(reg_max: int, limits: Limits) -> None:
    targets = random_targets([12, 0, 12], smallest=0.3)
    near = torch.cat((0.5 + targets.bboxes[:, :2] / 50, targets.bboxes[:, 2:]), 1)
    losses = (ours(reg_max, limits), theirs(reg_max, limits))
    assert_equal(*losses, random_predictions((128, 128), reg_max=reg_max), replace(targets, bboxes=near))


@given(
    seed=st.integers(0, 2**32 - 1),
    counts=st.lists(st.integers(0, 5), min_size=1, max_size=3),
    size=st.sampled_from([(64, 96), (128, 64)]),
    reg_max=st.sampled_from([1, 4, 16]),
    limits=st.sampled_from([(10, None), (7, 1)]),
)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_any_predictions_and_targets(
    seed: int, counts: list[int], size: tuple[int, int], reg_max: int, limits: Limits
) -> None:
    predictions = random_predictions(size, images=len(counts), reg_max=reg_max, seed=seed)
    assert_equal(
        ours(reg_max, limits), theirs(reg_max, limits), predictions, random_targets(counts, seed=seed)
    )


def test_labels_in_any_order_and_in_rows() -> None:
    predictions, targets = random_predictions((96, 160)), random_targets([5, 1, 9])
    mixed = targets[torch.randperm(15, generator=torch.Generator().manual_seed(0))]
    rows = Targets(mixed.batch_idx.unsqueeze(1), mixed.cls.squeeze(1), mixed.bboxes)
    torch.testing.assert_close(run(ours(16), predictions, rows), run(ours(16), predictions, targets))


@BOTH
def test_what_is_outside_of_all_targets_may_be_infinite(reg_max: int) -> None:
    """The list has more places than the target has candidates; what others predict must not come through."""
    predictions = random_predictions((96, 160), images=1, reg_max=reg_max)
    targets = Targets(torch.zeros(1), torch.zeros(1, 1), torch.tensor([[0.5, 0.5, 0.4, 0.4]]))
    loss = ours(reg_max, limits=(100, None))
    points, stride = anchors(predictions.feats, STRIDES)
    outside = ((points * stride - torch.tensor([80, 48])).abs() > torch.tensor([32, 19.2])).any(1)
    assert outside.sum() > 315 - 100
    far = replace(predictions, boxes=torch.where(outside, torch.inf, predictions.boxes))
    assert run(loss, far, targets)["box_loss"] > 0.01
    torch.testing.assert_close(run(loss, far, targets), run(loss, predictions, targets))


def test_distribution_focal_loss_by_hand() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0, 0.5], [3.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
    logp = logits.log_softmax(-1)
    wanted = [-0.75 * logp[0, 1] - 0.25 * logp[0, 2], -logp[1, 0], -0.01 * logp[2, 2] - 0.99 * logp[2, 3]]
    found = distribution_focal(logits, torch.tensor([1.25, -2.0, 7.0]))
    torch.testing.assert_close(found[:2], torch.stack(wanted[:2]))
    assert found[2] == pytest.approx(float(wanted[2]), abs=0.05)


def test_predictions_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match=r"boxes are \[3, 64, 315\], but must be \[3, 4, 315\] here"):
        run(ours(1), random_predictions((96, 160)), random_targets([1, 1, 1]))


# half precision


@LIMITS
@BOTH
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast(dtype: torch.dtype, reg_max: int, limits: Limits) -> None:
    """Also the assignment is that of Ultralytics, which rounds what it compares."""
    predictions = to(random_predictions((256, 320), reg_max=reg_max), dtype)
    targets = random_targets([20, 0, 30])
    with torch.autocast("cpu", dtype):
        found = assert_equal(
            ours(reg_max, limits), theirs(reg_max, limits), predictions, targets, rtol=1e-2, atol=1e-3
        )
    assert found["losses"].dtype == torch.float32
    assert found["boxes"].dtype == dtype


# the two branches


def branches(criterion: Any) -> EndToEndLoss:
    return EndToEndLoss(ours(1), ours(1, (7, 1)), criterion)


def two_heads() -> dict[str, Any]:
    heads = (vars(random_predictions((96, 160), reg_max=1, seed=seed)) for seed in (0, 1))
    return dict(zip(("one2many", "one2one"), heads, strict=True))


def test_end_to_end_loss_follows_the_schedule() -> None:
    model = _Detector(4, 1)
    model.args.epochs = 5
    criterion = E2ELoss(model)
    loss, preds, batch = branches(criterion), two_heads(), vars(random_targets([5, 1, 9]))
    totals = []
    for _ in range(3):
        loss.refresh()
        found, wanted = loss(preds, batch), criterion(preds, batch)
        torch.testing.assert_close(found, wanted)
        totals.append(float(found[0].sum()))
        criterion.update()
    assert len(set(totals)) == 3


def test_end_to_end_loss_has_no_state() -> None:
    loss = branches(SimpleNamespace(o2m=0.8, o2o=0.2))
    assert loss.state_dict() == {}
    assert list(loss.parameters()) == []
