"""The task-aligned assignment is that of Ultralytics, anchor by anchor."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kdgraph.nn.assign import TaskAligned
from tests.nn.detection import (
    STRIDES,
    Predictions,
    Targets,
    assigned_by_ultralytics,
    random_predictions,
    random_targets,
)

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def assign(predictions: Predictions, targets: Targets, topk: int = 10) -> tuple[torch.Tensor, torch.Tensor]:
    module = TaskAligned(predictions.nc, predictions.reg_max, STRIDES, topk)
    given = (predictions.boxes, predictions.scores, predictions.feats)
    labels = (targets.batch_idx, targets.cls, targets.bboxes)
    foreground, index = module.assign(*given, *labels)
    assert torch.equal(foreground, index >= 0)
    assert torch.equal(module(*given, *labels), index)
    return foreground, index


def assert_equal_to_ultralytics(predictions: Predictions, targets: Targets, topk: int = 10) -> torch.Tensor:
    foreground, index = assign(predictions, targets, topk)
    wanted_foreground, wanted_index = assigned_by_ultralytics(predictions, targets, topk)
    assert (foreground.dtype, index.dtype) == (torch.bool, torch.int64)
    assert torch.equal(foreground, wanted_foreground)
    assert torch.equal(index, wanted_index)
    return foreground


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("reg_max", [16, 1])
@pytest.mark.parametrize("size", [(96, 160), (160, 160), (256, 64)], ids=str)
def test_random_predictions(size: tuple[int, int], reg_max: int, seed: int) -> None:
    predictions = random_predictions(size, reg_max=reg_max, seed=seed)
    assert assert_equal_to_ultralytics(predictions, random_targets([5, 1, 9], seed=seed)).any()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("reg_max", [16, 1])
@pytest.mark.parametrize("scale", [0.01, 0.05, 0.2])
def test_tiny_boxes(scale: float, reg_max: int, seed: int) -> None:
    """Sides from under a pixel to a few strides, among which many hold no anchor unless widened."""
    predictions = random_predictions((96, 160), reg_max=reg_max, seed=seed)
    targets = random_targets([6, 6, 6], seed=seed, smallest=0.0)
    shrunk = Targets(targets.batch_idx, targets.cls, targets.bboxes * torch.tensor([1, 1, scale, scale]))
    assert_equal_to_ultralytics(predictions, shrunk)


def test_a_box_between_anchors_finds_those_around_it() -> None:
    """One pixel wide at a corner of four cells; without widening, no anchor would be inside."""
    predictions = random_predictions((96, 160), images=1, reg_max=1)
    predictions.boxes[:] = 0.1
    corner = torch.tensor([[64 / 160, 32 / 96, 1 / 160, 1 / 96]])
    targets = Targets(torch.zeros(1), torch.zeros(1, 1), corner)
    # the anchor at (60, 28) predicts just that box
    predictions.boxes[0, :, 3 * 20 + 7] = torch.tensor([-3.5, -3.5, 4.5, 4.5]) / 8
    foreground = assert_equal_to_ultralytics(predictions, targets)
    assert foreground[0, 3 * 20 + 7]


@pytest.mark.parametrize("seed", range(4))
def test_overlapping_boxes(seed: int) -> None:
    """Boxes around one point, half of them twice: every anchor is wanted by many."""
    predictions = random_predictions((128, 128), images=2, seed=seed)
    boxes = random_targets([6, 6], seed=seed, smallest=0.3)
    centres = 0.5 + boxes.bboxes[:, :2] / 50
    near = Targets(boxes.batch_idx, boxes.cls, torch.cat((centres, boxes.bboxes[:, 2:]), 1))
    order = torch.tensor([0, 1, 2, 3, 4, 5, 0, 1, 2, 6, 7, 8, 9, 10, 11, 6, 7, 8])
    assert_equal_to_ultralytics(predictions, near[order])


@pytest.mark.parametrize("counts", [[0, 4, 2], [4, 0, 2], [3, 3, 0], [0, 0, 1], [0, 1, 0]], ids=str)
def test_images_without_boxes(counts: list[int]) -> None:
    foreground = assert_equal_to_ultralytics(random_predictions((96, 160)), random_targets(counts))
    assert foreground.any(1).tolist() == [count > 0 for count in counts]


def test_no_boxes_at_all() -> None:
    foreground = assert_equal_to_ultralytics(random_predictions((96, 160)), random_targets([0, 0, 0]))
    assert not foreground.any()


def test_boxes_of_no_area_and_boxes_beyond_the_image() -> None:
    boxes = [[0, 0, 0, 0], [0.5, 0.5, 0, 0], [0.1, 0.2, 0.6, 0.9], [0.98, 0.99, 0.4, 0.4], [0.4, 0.4, 2, 2]]
    targets = Targets(torch.zeros(5), torch.tensor([[0.0], [1], [2], [3], [0]]), torch.tensor(boxes))
    assert_equal_to_ultralytics(random_predictions((96, 160), images=1), targets)


def test_a_box_whose_corners_sum_to_nothing_counts_as_padding() -> None:
    boxes = torch.tensor([[0.0, 0, 0.4, 0.4], [0.5, 0.5, 0.4, 0.4]])
    targets = Targets(torch.zeros(2), torch.zeros(2, 1), boxes)
    predictions = random_predictions((96, 160), images=1, reg_max=1)
    _, index = assign(predictions, targets)
    assert_equal_to_ultralytics(predictions, targets)
    assert set(index.flatten().tolist()) == {-1, 1}


@pytest.mark.parametrize("topk", [1, 3, 13])
def test_topk(topk: int) -> None:
    assert_equal_to_ultralytics(random_predictions((96, 160)), random_targets([5, 1, 9]), topk)


def test_fewer_anchors_than_topk() -> None:
    predictions = random_predictions((32, 32), images=1)  # 16 + 4 + 1 anchors
    foreground, index = assign(predictions, random_targets([1], smallest=0.5), topk=100)
    assert foreground.any()
    assert set(index.flatten().tolist()) == {-1, 0}


@pytest.mark.parametrize("box", [[0, 0, 0, 0], [-0.1, -0.1, 0.4, 0.4]], ids=["empty", "outside"])
def test_a_box_that_reads_as_padding_has_no_anchors(box: list[float]) -> None:
    """Its corners do not sum to more than 0; anchors near the first pixel are inside all the same."""
    targets = Targets(torch.zeros(1), torch.zeros(1, 1), torch.tensor([box], dtype=torch.float32))
    predictions = random_predictions((96, 160), images=1, reg_max=1)
    everything = predictions.scores.shape[2]
    assert not assert_equal_to_ultralytics(predictions, targets, topk=everything).any()


def test_a_perfect_prediction() -> None:
    """CIoU of equal boxes, where a difference is divided by itself."""
    targets = Targets(torch.zeros(1), torch.zeros(1, 1), torch.tensor([[0.3, 0.25, 0.3, 0.25]]))
    predictions = random_predictions((96, 160), images=1, reg_max=1)
    anchor = 2 * 20 + 5  # at pixel (44, 20); the target is 24 .. 72 by 12 .. 36
    predictions.boxes[0, :, anchor] = torch.tensor([20, 8, 28, 16]) / 8
    assert assert_equal_to_ultralytics(predictions, targets)[0, anchor]


@given(seed=st.integers(0, 2**32 - 1), counts=st.lists(st.integers(0, 4), min_size=3, max_size=3))
@settings(max_examples=15, deadline=None, derandomize=True)
def test_any_order_of_the_targets(seed: int, counts: list[int]) -> None:
    """Ultralytics needs them sorted by image; here the list may come as it likes."""
    predictions, targets = random_predictions((96, 160), seed=seed), random_targets(counts, seed=seed)
    order = torch.randperm(len(targets), generator=torch.Generator().manual_seed(seed))
    foreground, index = assign(predictions, targets)
    mixed_foreground, mixed_index = assign(predictions, targets[order])
    assert torch.equal(mixed_foreground, foreground)
    found = torch.cat((order, torch.tensor([-1])))[mixed_index]  # the background's -1 stays -1
    assert torch.equal(found, index)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None, derandomize=True)
def test_foreground_lies_in_its_target(seed: int) -> None:
    predictions, targets = random_predictions((96, 160), seed=seed), random_targets([3, 4, 0], seed=seed)
    foreground, index = assign(predictions, targets)
    assert torch.equal(foreground, index >= 0)
    image = foreground.nonzero()[:, 0]
    assert torch.equal(targets.batch_idx[index[foreground]].long(), image)


def test_labels_in_columns_and_in_rows() -> None:
    predictions, targets = random_predictions((96, 160)), random_targets([2, 3, 1])
    rows = assign(predictions, targets)
    columns = assign(predictions, Targets(targets.batch_idx[:, None], targets.cls[:, 0], targets.bboxes))
    assert all(torch.equal(a, b) for a, b in zip(rows, columns, strict=True))


def test_autocast_and_gradients_change_nothing() -> None:
    predictions, targets = random_predictions((96, 160)), random_targets([5, 1, 9])
    plain = assign(predictions, targets)
    predictions.boxes.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        within = assign(predictions, targets)
    assert all(torch.equal(a, b) for a, b in zip(plain, within, strict=True))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_predictions_are_taken_in_float32(dtype: torch.dtype) -> None:
    given = random_predictions((256, 320))
    half = Predictions(given.boxes.to(dtype), given.scores.to(dtype), given.feats)
    single = Predictions(half.boxes.float(), half.scores.float(), given.feats)
    targets = random_targets([90, 60, 120])  # so many that a rounded score would change some choice
    assert torch.equal(assign(half, targets)[1], assign(single, targets)[1])


def test_shapes_that_do_not_fit() -> None:
    good, targets = random_predictions((96, 160)), random_targets([1, 1, 1])
    module = TaskAligned(4, 16, STRIDES)
    labels = (targets.batch_idx, targets.cls, targets.bboxes)
    with pytest.raises(ValueError, match="2 maps for 3 strides"):
        module(good.boxes, good.scores, good.feats[:2], *labels)
    with pytest.raises(ValueError, match=r"boxes are \[3, 60, 315\], but must be \[3, 64, 315\]"):
        module(good.boxes[:, :60], good.scores, good.feats, *labels)
    with pytest.raises(ValueError, match=r"scores are \[3, 3, 315\], but must be \[3, 4, 315\]"):
        module(good.boxes, good.scores[:, :3], good.feats, *labels)
    with pytest.raises(ValueError, match=r"boxes are \[3, 64, 315\], but must be \[3, 64, 1260\]"):
        module(good.boxes, good.scores, random_predictions((192, 320)).feats, *labels)


# real heads


def predictions_of(model: torch.nn.Module, images: torch.Tensor) -> Predictions:
    with torch.no_grad():
        _, raw = model.eval()(images)
    return Predictions(raw["boxes"], raw["scores"], raw["feats"])


def test_an_untrained_yolo11n() -> None:
    from ultralytics.nn.tasks import DetectionModel

    torch.manual_seed(0)
    model = DetectionModel("yolo11n.yaml", nc=4, verbose=False)
    predictions = predictions_of(model, torch.rand(2, 3, 96, 160))
    assert assert_equal_to_ultralytics(predictions, random_targets([4, 7])).any()


def test_a_trained_yolo11n_on_photographs() -> None:
    weights, photographs = SHARED / "weights" / "yolo11n.pt", SHARED / "coco128"
    if not (weights.is_file() and photographs.is_dir()):
        pytest.skip("needs ../shared/data with weights/yolo11n.pt and coco128")
    from ultralytics.nn.tasks import load_checkpoint

    model = load_checkpoint(weights)[0]
    images, targets = photographs_with_labels(photographs, count=3, size=(256, 320))
    foreground = assert_equal_to_ultralytics(predictions_of(model, images), targets)
    assert foreground.any(1).all()


def photographs_with_labels(folder: Path, count: int, size: tuple[int, int]) -> tuple[torch.Tensor, Targets]:
    """The first photographs with labels, stretched to `size` (labels are fractions, so they still fit)."""
    import cv2
    import numpy as np

    images, rows = [], []
    labelled = (p for p in sorted((folder / "labels").rglob("*.txt")) if p.stat().st_size)
    for number, path in zip(range(count), labelled, strict=False):
        picture = folder / "images" / path.relative_to(folder / "labels").with_suffix(".jpg")
        pixels = cv2.resize(cv2.imread(str(picture)), size[::-1])[..., ::-1].copy()
        images.append(torch.from_numpy(pixels).permute(2, 0, 1) / 255)
        labels = np.loadtxt(path, ndmin=2, dtype=np.float32)
        rows.append(np.insert(labels, 0, number, axis=1))
    table = torch.from_numpy(np.concatenate(rows))
    return torch.stack(images), Targets(table[:, 0], table[:, 1:2], table[:, 2:])
