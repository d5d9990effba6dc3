"""The assignment of oriented boxes is that of Ultralytics, anchor by anchor."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from ultralytics.utils.metrics import probiou
from ultralytics.utils.tal import RotatedTaskAlignedAssigner, dist2rbox, make_anchors

from kdgraph.nn.dfl import distances
from kdgraph.nn.rotated import RotatedTaskAligned, probabilistic_iou
from tests.nn.detection import STRIDES, Predictions, Targets, random_predictions, random_targets


def turned(targets: Targets, seed: int = 0) -> Targets:
    """The same boxes at random angles, as Ultralytics keeps them: from -pi/4 to 3pi/4."""
    noise = torch.Generator().manual_seed(seed + 2)
    angle = math.pi * (torch.rand(len(targets), 1, generator=noise) - 0.25)
    return Targets(targets.batch_idx, targets.cls, torch.cat((targets.bboxes, angle), 1))


def random_angles(predictions: Predictions, seed: int = 0) -> Tensor:
    noise = torch.Generator().manual_seed(seed + 3)
    return math.pi * (torch.rand(predictions.scores[:, :1].shape, generator=noise) - 0.25)


def assigned_by_ultralytics(predictions: Predictions, angles: Tensor, targets: Targets, topk: int) -> Tensor:
    """`[B, A]` index in the list of targets, -1 for none: its assigner, fed as its loss feeds it."""
    points, stride = make_anchors(predictions.feats, torch.tensor(STRIDES), 0.5)
    away = distances(predictions.boxes, predictions.reg_max).transpose(1, 2)
    turns = angles.transpose(1, 2)
    boxes = torch.cat((dist2rbox(away, turns, points) * stride, turns), -1)
    height, width = (n * STRIDES[0] for n in predictions.feats[0].shape[2:])
    pixels = targets.bboxes * torch.tensor([width, height, width, height, 1.0])
    images = len(angles)
    kept = [
        torch.nonzero((targets.batch_idx == i) & (pixels[:, 2:4] >= 2).all(1)).flatten()
        for i in range(images)
    ]
    most = max(len(k) for k in kept)
    labels, truth = torch.zeros(images, most, 1), torch.zeros(images, most, 5)
    for image, index in enumerate(kept):
        labels[image, : len(index)], truth[image, : len(index)] = targets.cls[index], pixels[index]
    assigner = RotatedTaskAlignedAssigner(topk, predictions.nc, alpha=0.5, beta=6.0, stride=list(STRIDES))
    mask = truth.sum(2, keepdim=True) > 0
    scores = predictions.scores.transpose(1, 2).sigmoid()
    *_, foreground, within = assigner(scores, boxes, points * stride, labels, truth, mask.float())
    index = torch.stack(
        [
            k[w.clamp(max=max(0, len(k) - 1))] if len(k) else w
            for k, w in zip(kept, within.long(), strict=True)
        ]
    )
    return torch.where(foreground.bool(), index, -1)


def assign(predictions: Predictions, angles: Tensor, targets: Targets, topk: int = 10) -> Tensor:
    module = RotatedTaskAligned(predictions.nc, predictions.reg_max, STRIDES, topk)
    labels = (targets.batch_idx, targets.cls, targets.bboxes)
    return module(predictions.boxes, predictions.scores, predictions.feats, *labels, angles)  # type: ignore[no-any-return]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("reg_max", [16, 1])
@pytest.mark.parametrize("size", [(96, 160), (256, 64)], ids=str)
def test_random_predictions(size: tuple[int, int], reg_max: int, seed: int) -> None:
    predictions = random_predictions(size, reg_max=reg_max, seed=seed)
    angles, targets = random_angles(predictions, seed), turned(random_targets([5, 1, 9], seed=seed), seed)
    for topk in (1, 10):
        found = assign(predictions, angles, targets, topk)
        assert torch.equal(found, assigned_by_ultralytics(predictions, angles, targets, topk))
        assert (found >= 0).any()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("scale", [0.01, 0.05, 0.2])
def test_thin_boxes(scale: float, seed: int) -> None:
    """Sides from under two pixels, which are no targets, to a few strides."""
    predictions = random_predictions((96, 160), seed=seed)
    targets = turned(random_targets([6, 6, 6], seed=seed), seed)
    thin = Targets(targets.batch_idx, targets.cls, targets.bboxes * torch.tensor([1, 1, 1, scale, 1]))
    angles = random_angles(predictions, seed)
    assert torch.equal(
        assign(predictions, angles, thin), assigned_by_ultralytics(predictions, angles, thin, 10)
    )


def test_without_objects() -> None:
    predictions = random_predictions((64, 96))
    nothing = turned(random_targets([0, 0, 0]))
    assert (assign(predictions, random_angles(predictions), nothing) == -1).all()


def test_the_overlap_is_ultralytics_own() -> None:
    noise = torch.Generator().manual_seed(0)
    one, other = (torch.rand(200, 5, generator=noise) * torch.tensor([50, 50, 40, 30, 3.0]) for _ in range(2))
    torch.testing.assert_close(probabilistic_iou(one, other), probiou(one, other).squeeze(-1))
    assert probabilistic_iou(one, one).min() > 0.99


def test_it_compiles_to_one_graph() -> None:
    predictions = random_predictions((64, 96))
    angles, targets = random_angles(predictions), turned(random_targets([2, 0, 3]))
    module = RotatedTaskAligned(predictions.nc, predictions.reg_max, STRIDES)
    given = (predictions.boxes, predictions.scores, predictions.feats, *vars(targets).values(), angles)
    compiled = torch.compile(module, backend="eager", fullgraph=True)
    assert torch.equal(compiled(*given), module(*given))


def test_shapes_that_do_not_fit() -> None:
    predictions = random_predictions((64, 96))
    with pytest.raises(ValueError, match="scores are"):
        RotatedTaskAligned(9, 16, STRIDES)(
            predictions.boxes, predictions.scores, predictions.feats,
            *vars(turned(random_targets([1, 1, 1]))).values(), random_angles(predictions),
        )  # fmt: skip
