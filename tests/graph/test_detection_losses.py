"""Which of Ultralytics' losses have an equal of fixed shapes, and that it is equal on real heads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from ultralytics.cfg import get_cfg
from ultralytics.nn.tasks import DetectionModel, OBBModel, PoseModel, SegmentationModel
from ultralytics.utils import loss as losses
from ultralytics.utils import tal

from kdgraph.graph.detection_losses import loss_like
from kdgraph.nn.detection_loss import DetectionLoss, EndToEndLoss
from tests.nn.detection import _Detector, random_targets

HEADS = ["yolo11n", "yolov8n", "yolo26n"]


def model(name: str, build: type = DetectionModel, **overrides: Any) -> Any:
    torch.manual_seed(0)
    made = build(f"{name}.yaml", nc=5, verbose=False).train()
    made.args = get_cfg(overrides=overrides)
    return made


def batch_of(counts: list[int], size: tuple[int, int] = (64, 96)) -> dict[str, Tensor]:
    noise = torch.Generator().manual_seed(1)
    return {"img": torch.rand(len(counts), 3, *size, generator=noise), **vars(random_targets(counts, nc=5))}


def gradients(loss: Callable[..., Any], student: nn.Module, batch: dict[str, Tensor]) -> dict[str, Any]:
    """Losses, named losses, and gradients of the weights of a head and of the first layer."""
    student.zero_grad()
    total, items = loss(student(batch["img"]), batch)
    total.sum().backward()
    head, first = student.model[-1], student.model[0]
    read = {**dict(head.cv2.named_parameters(prefix="box")), **dict(head.cv3.named_parameters(prefix="cls"))}
    grads = {name: weight.grad for name, weight in read.items()}
    return {"losses": total.detach(), **items, **grads, "first": first.conv.weight.grad.clone()}


@pytest.mark.parametrize("counts", [[4, 0, 7], [0, 0, 0]], ids=str)
@pytest.mark.parametrize("name", HEADS)
def test_real_heads(name: str, counts: list[int]) -> None:
    student, batch = model(name, box=6.0, cls=0.7, dfl=1.2), batch_of(counts)
    with torch.no_grad():
        predictions = student(batch["img"])
    wanted = student.loss(batch, predictions)
    ours = loss_like(student.criterion)
    assert isinstance(ours, EndToEndLoss if name == "yolo26n" else DetectionLoss)
    torch.testing.assert_close(ours(predictions, batch), wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", HEADS)
def test_gradients_of_real_weights(name: str) -> None:
    student, batch = model(name), batch_of([4, 0, 7])
    criterion = student.init_criterion()
    ours = loss_like(criterion)
    assert ours is not None
    found, wanted = (gradients(loss, student, batch) for loss in (ours, criterion))
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", HEADS)
def test_real_heads_under_autocast(name: str) -> None:
    student, batch = model(name), batch_of([4, 0, 7])
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        predictions = student(batch["img"])
        wanted = student.loss(batch, predictions)
        ours = loss_like(student.criterion)
        assert ours is not None
        torch.testing.assert_close(ours(predictions, batch), wanted, rtol=1e-2, atol=1e-3)


def test_class_weights_are_kept() -> None:
    student = model("yolo11n")
    student.class_weights = torch.tensor([0.2, 0.5, 1.0, 1.3, 2.0], dtype=torch.float64)
    batch = batch_of([4, 0, 7])
    predictions = student(batch["img"])
    wanted = student.loss(batch, predictions)
    ours = loss_like(student.criterion)
    assert ours is not None
    torch.testing.assert_close(ours(predictions, batch), wanted, rtol=1e-4, atol=1e-6)


def test_an_end_to_end_loss_reads_its_criterion() -> None:
    student, batch = model("yolo26n", epochs=3), batch_of([4, 0, 7])
    predictions = student(batch["img"])
    student.loss(batch, predictions)
    ours: Any = loss_like(student.criterion)
    student.criterion.update()
    ours.refresh()
    torch.testing.assert_close(
        ours(predictions, batch), student.loss(batch, predictions), rtol=1e-4, atol=1e-6
    )


# what has no equal


def detector(reg_max: int = 16) -> Any:
    return losses.v8DetectionLoss(_Detector(4, reg_max))


@pytest.mark.parametrize(
    ("name", "build"),
    [
        ("yolo11n-seg", SegmentationModel),
        ("yolo11n-pose", PoseModel),
        ("yolo11n-obb", OBBModel),
        ("yolo26n-seg", SegmentationModel),
    ],
)
def test_other_tasks(name: str, build: type) -> None:
    assert loss_like(model(name, build).init_criterion()) is None


def test_no_criterion() -> None:
    assert loss_like(None) is None
    assert loss_like(nn.BCELoss()) is None


def test_a_subclass() -> None:
    class Own(losses.v8DetectionLoss):  # type: ignore[misc]
        pass

    assert loss_like(Own(_Detector(4, 16))) is None
    assert loss_like(losses.E2ELoss(_Detector(4, 1), Own)) is None


class OwnAssigner(tal.TaskAlignedAssigner):  # type: ignore[misc]
    pass


class OwnBoxLoss(losses.BboxLoss):  # type: ignore[misc]
    pass


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("assigner", OwnAssigner(topk=10, num_classes=4, alpha=0.5, beta=6.0, stride=[8, 16, 32])),
        ("bbox_loss", OwnBoxLoss(16)),
        ("bce", nn.BCEWithLogitsLoss(reduction="none", pos_weight=torch.tensor(2.0))),
        ("bce", losses.FocalLoss()),
        ("loss_names", ("a", "b", "c")),
        ("loss", lambda preds, batch: (preds["boxes"].sum(), {})),
        ("epoch", 3),
        ("hyp", object()),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_a_replaced_part(name: str, value: Any) -> None:
    criterion = detector()
    assert loss_like(criterion) is not None
    setattr(criterion, name, value)
    assert loss_like(criterion) is None


def test_a_replaced_part_of_the_assigner() -> None:
    criterion = detector()
    criterion.assigner.eps = 0.1
    assert loss_like(criterion) is None


@pytest.mark.parametrize("branch", ["one2many", "one2one"])
def test_a_replaced_part_of_one_branch(branch: str) -> None:
    criterion = losses.E2ELoss(_Detector(4, 1))
    assert loss_like(criterion) is not None
    getattr(criterion, branch).bce = losses.FocalLoss()
    assert loss_like(criterion) is None


def test_replaced_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    """As is done to try another IoU: nothing in the criterion tells, but the numbers do."""
    plain = losses.bbox_iou
    monkeypatch.setattr(losses, "bbox_iou", lambda a, b, xywh, CIoU: plain(a, b, xywh=xywh, DIoU=True))
    assert loss_like(detector()) is None
    assert loss_like(losses.E2ELoss(_Detector(4, 1))) is None


def test_settings_of_the_assigner_are_followed() -> None:
    criterion = detector()
    criterion.assigner.topk, criterion.assigner.topk2 = 5, 2
    criterion.assigner.alpha, criterion.assigner.beta = 1.0, 4.0
    ours: Any = loss_like(criterion)
    settings = ours.assigner
    assert (settings.topk, settings.topk2, settings.alpha, settings.beta) == (5, 2, 1.0, 4.0)


def test_looking_changes_nothing() -> None:
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    with torch.no_grad():
        assert loss_like(detector()) is not None
    assert torch.equal(torch.rand(3), expected)
