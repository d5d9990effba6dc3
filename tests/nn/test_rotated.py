"""The assignment of oriented boxes is that of Ultralytics, anchor by anchor."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from ultralytics.utils.loss import v8OBBLoss
from ultralytics.utils.metrics import probiou

from kdgraph.nn.rotated import RotatedTaskAligned, probabilistic_iou
from tests.nn.detection import STRIDES, Predictions, Targets, _Detector, random_predictions, random_targets

QUARTER = math.pi / 2


def turned(targets: Targets, seed: int = 0) -> Targets:
    """The same boxes at random angles, as Ultralytics keeps them: from -pi/4 to 3pi/4."""
    noise = torch.Generator().manual_seed(seed + 2)
    return at(targets, math.pi * (torch.rand(len(targets), 1, generator=noise) - 0.25))


def at(targets: Targets, angle: Tensor) -> Targets:
    return Targets(targets.batch_idx, targets.cls, torch.cat((targets.bboxes[:, :4], angle), 1))


def random_angles(predictions: Predictions, seed: int = 0) -> Tensor:
    noise = torch.Generator().manual_seed(seed + 3)
    return math.pi * (torch.rand(predictions.scores[:, :1].shape, generator=noise) - 0.25)


def assign(predictions: Predictions, angles: Tensor, targets: Targets, topk: int = 10) -> Tensor:
    module = RotatedTaskAligned(predictions.nc, predictions.reg_max, STRIDES, topk)
    found: Tensor = module(
        predictions.boxes, predictions.scores, angles, predictions.feats, **vars(targets)
    )  # fmt: skip
    assert found.dtype == torch.int64
    return found


def assigned_by_ultralytics(
    predictions: Predictions, angles: Tensor, targets: Targets, topk: int = 10
) -> Tensor:
    """`[B, A]`, the index in the list of targets, -1 for none: what its loss heard of its assigner.

    The targets must be sorted by image, as Ultralytics needs them.
    """
    loss = v8OBBLoss(_Detector(predictions.nc, predictions.reg_max), tal_topk=topk)
    loss.hyp.angle = 1.0
    said: list[Any] = []
    loss.assigner.register_forward_hook(lambda module, given, result: said.append(result))
    loss.loss({**vars(predictions), "angle": angles}, vars(targets))
    *_, foreground, within = said[0]
    height, width = (n * STRIDES[0] for n in predictions.feats[0].shape[2:])
    sides = targets.bboxes[:, 2:4] * torch.tensor([width, height])
    kept = (sides >= 2).all(1).nonzero().flatten()
    first = torch.searchsorted(targets.batch_idx[kept].long().contiguous(), torch.arange(len(angles)))
    index = torch.cat((kept, torch.tensor([-1])))[(within.long() + first.unsqueeze(1)).clamp(max=len(kept))]
    return torch.where(foreground.bool(), index, -1)


def assert_equal_to_ultralytics(
    predictions: Predictions, angles: Tensor, targets: Targets, topk: int = 10
) -> Tensor:
    found = assign(predictions, angles, targets, topk)
    assert torch.equal(found, assigned_by_ultralytics(predictions, angles, targets, topk))
    return found


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("reg_max", [16, 1])
@pytest.mark.parametrize("size", [(96, 160), (256, 64)], ids=str)
@pytest.mark.parametrize("topk", [1, 10])
def test_random_predictions(size: tuple[int, int], reg_max: int, seed: int, topk: int) -> None:
    predictions = random_predictions(size, reg_max=reg_max, seed=seed)
    targets = turned(random_targets([5, 1, 9], seed=seed), seed)
    assert (
        assert_equal_to_ultralytics(predictions, random_angles(predictions, seed), targets, topk) >= 0
    ).any()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("scale", [0.01, 0.05, 0.2])
def test_thin_boxes(scale: float, seed: int) -> None:
    """Sides from under two pixels, which are no targets, to a few strides."""
    predictions = random_predictions((96, 160), seed=seed)
    targets = turned(random_targets([6, 6, 6], seed=seed), seed)
    targets.bboxes[:, 3] *= scale
    assert_equal_to_ultralytics(predictions, random_angles(predictions, seed), targets)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("quarters", [0.0, 0.5, 1.0, 2.0, -1.0])
def test_anchors_on_the_very_edge(quarters: float, seed: int) -> None:
    """Sides at multiples of 4 pixels run through the centres of cells: rounding decides about these."""
    predictions = random_predictions((96, 160), reg_max=1, seed=seed)
    targets = random_targets([5, 3, 6], seed=seed)
    pixels = torch.tensor([160, 96, 160, 96])
    targets.bboxes[:] = (targets.bboxes * pixels / 4).round().clamp(min=2) * 4 / pixels
    everything = predictions.scores.shape[2]
    angle = torch.full((len(targets), 1), quarters * QUARTER)
    assert_equal_to_ultralytics(predictions, random_angles(predictions), at(targets, angle), everything)


@pytest.mark.parametrize("seed", range(4))
def test_overlapping_boxes(seed: int) -> None:
    """Boxes around one point, half of them twice: every anchor is wanted by many."""
    predictions = random_predictions((128, 128), images=2, seed=seed)
    targets = turned(random_targets([6, 6], seed=seed, smallest=0.3), seed)
    targets.bboxes[:, :2] = 0.5 + targets.bboxes[:, :2] / 50
    order = torch.tensor([0, 1, 2, 3, 4, 5, 0, 1, 2, 6, 7, 8, 9, 10, 11, 6, 7, 8])
    assert_equal_to_ultralytics(predictions, random_angles(predictions, seed), targets[order])


@pytest.mark.parametrize("seed", range(4))
def test_anchors_that_many_want_and_none_overlaps(seed: int) -> None:
    """They go to the first box of the image, and boxes that are no targets are none of the image's."""
    predictions = random_predictions((96, 160), reg_max=1, seed=seed)
    predictions.boxes[:, :2], predictions.boxes[:, 2:] = -99.9, 100  # points, far away
    targets = turned(random_targets([6, 6, 6], seed=seed, smallest=0.3), seed)
    targets.bboxes[:, :2] = 0.4 + targets.bboxes[:, :2] / 5
    targets.bboxes[::3, 2] = 0.005  # the first of each image and another are below two pixels
    found = assert_equal_to_ultralytics(predictions, random_angles(predictions, seed), targets, topk=300)
    assert set(found.flatten().tolist()) >= {1, 7, 13}
    assert not set(found.flatten().tolist()) & set(range(0, 18, 3))


@pytest.mark.parametrize("counts", [[0, 4, 2], [3, 3, 0], [0, 0, 1], [0, 0, 0]], ids=str)
def test_images_without_boxes(counts: list[int]) -> None:
    predictions = random_predictions((96, 160))
    targets = turned(random_targets(counts))
    found = assert_equal_to_ultralytics(predictions, random_angles(predictions), targets)
    assert (found >= 0).any(1).tolist() == [count > 0 for count in counts]


def test_fewer_anchors_than_topk() -> None:
    predictions = random_predictions((32, 32), images=1)  # 16 + 4 + 1 anchors
    targets = turned(random_targets([1], smallest=0.5))
    found = assign(predictions, random_angles(predictions), targets, topk=100)
    assert set(found.flatten().tolist()) == {-1, 0}


def test_upright_boxes_have_no_angle() -> None:
    predictions, targets = random_predictions((96, 160)), random_targets([5, 1, 9])
    angles = random_angles(predictions)
    assert torch.equal(
        assign(predictions, angles, targets), assign(predictions, angles, at(targets, torch.zeros(15, 1)))
    )


@given(seed=st.integers(0, 2**32 - 1), counts=st.lists(st.integers(0, 4), min_size=3, max_size=3))
@settings(max_examples=15, deadline=None, derandomize=True)
def test_any_order_of_the_targets(seed: int, counts: list[int]) -> None:
    predictions, targets = random_predictions((96, 160), seed=seed), turned(random_targets(counts, seed=seed))
    angles = random_angles(predictions, seed)
    order = torch.randperm(len(targets), generator=torch.Generator().manual_seed(seed))
    mixed = assign(predictions, angles, targets[order])
    found = torch.cat((order, torch.tensor([-1])))[mixed]  # the background's -1 stays -1
    assert torch.equal(found, assign(predictions, angles, targets))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_predictions_are_taken_in_float32(dtype: torch.dtype) -> None:
    given = random_predictions((256, 320))
    angles = random_angles(given).to(dtype)
    half = Predictions(given.boxes.to(dtype), given.scores.to(dtype), given.feats)
    single = Predictions(half.boxes.float(), half.scores.float(), given.feats)
    targets = turned(random_targets([30, 20, 40]))
    wanted = assign(single, angles.float(), targets)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(assign(half, angles, targets), wanted)


def test_no_gradient_is_kept() -> None:
    predictions, targets = random_predictions((64, 96)), turned(random_targets([2, 0, 3]))
    angles = random_angles(predictions).requires_grad_()
    assert not assign(predictions, angles, targets).requires_grad


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_it_compiles_to_one_graph(backend: str) -> None:
    predictions = random_predictions((64, 96))
    angles = random_angles(predictions)
    module = RotatedTaskAligned(predictions.nc, predictions.reg_max, STRIDES)
    compiled = torch.compile(module, backend=backend, fullgraph=True)
    for counts in ([2, 0, 3], [0, 0, 0]):
        targets = turned(random_targets(counts))
        found = compiled(predictions.boxes, predictions.scores, angles, predictions.feats, **vars(targets))
        assert torch.equal(found, assign(predictions, angles, targets))


def test_shapes_that_do_not_fit() -> None:
    predictions, targets = random_predictions((64, 96)), turned(random_targets([1, 1, 1]))
    angles, labels = random_angles(predictions), vars(targets)
    module = RotatedTaskAligned(4, 16, STRIDES)
    with pytest.raises(ValueError, match=r"scores are \[3, 3, 126\], but must be \[3, 4, 126\] here"):
        module(predictions.boxes, predictions.scores[:, :3], angles, predictions.feats, **labels)
    with pytest.raises(ValueError, match=r"angles are \[3, 1, 96\], but must be \[3, 1, 126\] here"):
        module(predictions.boxes, predictions.scores, angles[..., :96], predictions.feats, **labels)


# the overlap


def boxes_of_all_kinds(count: int, seed: int) -> Tensor:
    noise = torch.Generator().manual_seed(seed)
    boxes = torch.rand(count, 5, generator=noise) * torch.tensor([60, 60, 40, 30, math.pi])
    boxes[::4, 2:4] *= 0.01
    return boxes


def test_the_overlap_is_ultralytics_own() -> None:
    one, other = boxes_of_all_kinds(200, 0), boxes_of_all_kinds(200, 1)
    assert torch.equal(probabilistic_iou(one, other), probiou(one, other).squeeze(-1))
    table = probabilistic_iou(one[:, None], other)
    assert torch.equal(table.diagonal(), probabilistic_iou(one, other))


def test_the_overlap_by_integration() -> None:
    """1 minus the Hellinger distance of the two normal distributions, whose product is summed over a grid."""
    one, other = torch.tensor([[0.0, 0, 8, 3, 0.7], [1.5, -1, 6, 5, 2.0]], dtype=torch.float64)
    side = torch.linspace(-30, 30, 601, dtype=torch.float64)
    points = torch.cartesian_prod(side, side)

    def density(box: Tensor) -> Tensor:
        cos, sin = box[4].cos(), box[4].sin()
        turn = torch.stack((torch.stack((cos, -sin)), torch.stack((sin, cos))))
        spread = turn @ (box[2:4].square() / 12).diag() @ turn.T
        normal = torch.distributions.MultivariateNormal(box[:2], spread)
        return normal.log_prob(points).exp()

    affinity = (density(one) * density(other)).sqrt().sum() * 0.1**2
    wanted = 1 - (1 - affinity).sqrt()
    assert probabilistic_iou(one, other).item() == pytest.approx(wanted.item(), abs=1e-5)


@given(seed=st.integers(0, 2**32 - 1), dx=st.floats(-50, 50), turn=st.floats(-3, 3))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_the_overlap_knows_no_direction(seed: int, dx: float, turn: float) -> None:
    """The same both ways, for boxes moved or turned together, and for one turned by half a turn."""
    one, other = boxes_of_all_kinds(8, seed).double(), boxes_of_all_kinds(8, seed + 1).double()
    found = probabilistic_iou(one, other)
    assert ((found > -1e-6) & (found < 1)).all()

    def moved(boxes: Tensor) -> Tensor:
        cos, sin = math.cos(turn), math.sin(turn)
        x, y = boxes[:, 0] + dx, boxes[:, 1]
        return torch.stack((x * cos - y * sin, x * sin + y * cos, *boxes[:, 2:4].T, boxes[:, 4] + turn), 1)

    half = other + torch.tensor([0, 0, 0, 0, math.pi], dtype=torch.float64)
    for again in (
        probabilistic_iou(other, one),
        probabilistic_iou(moved(one), moved(other)),
        probabilistic_iou(one, half),
    ):
        torch.testing.assert_close(again, found, atol=1e-6, rtol=0)


# real heads


@pytest.mark.parametrize("yaml", ["yolo11n-obb.yaml", "yolo26n-obb.yaml"])
def test_an_untrained_model(yaml: str) -> None:
    from ultralytics.nn.tasks import OBBModel

    torch.manual_seed(0)
    model = OBBModel(yaml, nc=4, verbose=False).train()
    with torch.no_grad():
        raw = model(torch.rand(2, 3, 96, 160))
    raw = raw.get("one2many", raw)
    predictions = Predictions(raw["boxes"], raw["scores"], raw["feats"])
    targets = turned(random_targets([4, 7]))
    assert (assert_equal_to_ultralytics(predictions, raw["angle"], targets) >= 0).any()
