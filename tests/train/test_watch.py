"""No edge fails silently."""

from __future__ import annotations

from dataclasses import replace

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


@pytest.mark.parametrize("deferred", [False, True])
def test_when_the_detection_loss_is_broken_no_edge_is_blamed(distiller: Distiller, deferred: bool) -> None:
    out: DistillOutput = distiller(batch(1))
    watch = EdgeWatch(distiller, deferred)
    watch.check(out, HEALTHY)
    out.raw["neck"] = out.raw["neck"] * float("nan")
    watch.check(out, torch.tensor([1.0, float("nan")]))
    watch.close_epoch()


def test_a_verdict_that_is_on_its_way_falls_a_step_later(distiller: Distiller) -> None:
    watch = EdgeWatch(distiller, deferred=True)
    good: DistillOutput = distiller(batch(1))
    broken = replace(good, raw={**good.raw, "cls": good.raw["cls"] * float("inf")})
    watch.check(good, HEALTHY)
    assert watch.unproven == set(), "that is judged at once, while the graph is there"
    watch.check(broken, HEALTHY)
    with pytest.raises(RunError, match=r"error\[KD503\] edge 'cls' is not finite"):
        watch.check(good, torch.tensor(float("nan")))  # by now the student is broken by it


def test_the_last_verdict_of_an_epoch_falls_at_its_end(distiller: Distiller) -> None:
    watch = EdgeWatch(distiller, deferred=True)
    out: DistillOutput = distiller(batch(1))
    watch.check(replace(out, raw={**out.raw, "neck": out.raw["neck"] * float("nan")}), HEALTHY)
    with pytest.raises(RunError, match=r"error\[KD503\] edge 'neck' is not finite"):
        watch.close_epoch()
    watch.close_epoch()


def test_edges_that_ended_leave_their_last_verdict(distiller: Distiller) -> None:
    watch = EdgeWatch(distiller, deferred=True)
    out: DistillOutput = distiller(batch(1))
    watch.check(replace(out, raw={**out.raw, "neck": out.raw["neck"] * float("nan")}), HEALTHY)
    watch.forget(["neck"])
    with pytest.raises(RunError, match="edge 'neck' is not finite"):
        watch.check(replace(out, raw={}), HEALTHY)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_cuda_it_does_not_wait(distiller: Distiller) -> None:
    watch = EdgeWatch(distiller)
    watch.unproven.clear()
    out: DistillOutput = distiller(batch(1))
    raw = {name: value.detach().cuda() for name, value in out.raw.items()}
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        watch.check(replace(out, raw=raw), HEALTHY.cuda())
        watch.check(replace(out, raw={**raw, "neck": raw["neck"] * float("nan")}), HEALTHY.cuda())
    finally:
        torch.cuda.set_sync_debug_mode(before)
    with pytest.raises(RunError, match="edge 'neck' is not finite"):
        watch.close_epoch()
