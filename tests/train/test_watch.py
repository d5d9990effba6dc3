"""No edge fails silently."""

from __future__ import annotations

import pytest
import torch

import kdgraph
from kdgraph.compiler.distiller import Distiller, DistillOutput
from kdgraph.errors import RunError
from kdgraph.spec.parse import parse
from kdgraph.train.watch import EdgeWatch

SPEC = """\
student: yolo11n.yaml
teacher: yolo11n.yaml
edges:
  neck: {taps: neck.*, criterion: mimic}
  cls: {taps: head.cls, criterion: bce, mask: foreground}
train: {imgsz: 64}
"""

HEALTHY = torch.tensor(1.0)


@pytest.fixture(scope="module")
def distiller() -> Distiller:
    return kdgraph.compile(parse(SPEC))


def batch(objects: int) -> dict[str, torch.Tensor]:
    return {
        "img": torch.rand(2, 3, 64, 64),
        "batch_idx": torch.zeros(objects),
        "cls": torch.zeros(objects, 1),
        "bboxes": torch.full((objects, 4), 0.5),
    }


def test_healthy_edges_prove_themselves_at_once(distiller: Distiller) -> None:
    watch = EdgeWatch(distiller)
    watch.check(distiller(batch(1)), HEALTHY)
    assert watch.unproven == set()
    watch.close_epoch()


def test_looking_leaves_no_gradient_behind(distiller: Distiller) -> None:
    distiller.zero_grad()
    EdgeWatch(distiller).check(distiller(batch(1)), HEALTHY)
    assert all(p.grad is None for p in distiller.parameters())


def test_an_edge_may_wait_for_objects_but_not_for_ever(distiller: Distiller) -> None:
    watch = EdgeWatch(distiller)
    watch.check(distiller(batch(0)), HEALTHY)
    assert watch.unproven == {"cls"}
    with pytest.raises(
        RunError, match=r"error\[KD501\] edge 'cls' sent no gradient to the student in a whole epoch"
    ):
        watch.close_epoch()


def test_an_edge_behind_frozen_layers_is_named(distiller: Distiller) -> None:
    watch = EdgeWatch(distiller)
    parameters = list(distiller.student.parameters())
    wanted = [p.requires_grad for p in parameters]
    head = set(distiller.student.model[-1].parameters())  # type: ignore[index,union-attr]
    try:
        for p in parameters:
            p.requires_grad_(p in head)
        with pytest.raises(RunError, match=r"edge 'neck' has no gradient"):
            watch.check(distiller(batch(1)), HEALTHY)
    finally:
        for p, want in zip(parameters, wanted, strict=True):
            p.requires_grad_(want)


def test_a_loss_that_is_not_finite_is_named(distiller: Distiller) -> None:
    out: DistillOutput = distiller(batch(1))
    out.raw["neck"] = out.raw["neck"] * float("nan")
    with pytest.raises(RunError, match=r"error\[KD503\] edge 'neck' is not finite"):
        EdgeWatch(distiller).check(out, HEALTHY)


def test_when_the_detection_loss_is_broken_no_edge_is_blamed(distiller: Distiller) -> None:
    out: DistillOutput = distiller(batch(1))
    watch = EdgeWatch(distiller)
    watch.check(out, HEALTHY)
    out.raw["neck"] = out.raw["neck"] * float("nan")
    watch.check(out, torch.tensor(float("nan")))
