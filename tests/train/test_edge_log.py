"""Losses and gradients of the edges by epoch, in `edges.csv`."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from ultralytics.cfg import get_cfg

from kdgraph.compiler.api import compile
from kdgraph.compiler.distiller import Distiller, DistillOutput
from kdgraph.train.edge_log import TASK, EdgeLog, EdgeRow, gradient_norms, read_edges, record_edges
from kdgraph.train.run import resume
from kdgraph.train.training_model import TrainingModel
from tests.toys import batch, spec, toy
from tests.train.runs import Killed, killed
from tests.train.tiny import data, network

EDGES = """\
  neck: {taps: neck.*, criterion: mimic, weight: [0.5, 2]}
  cls: {taps: head.cls, criterion: bce, weight: 3}
  late: {taps: head.cls, criterion: kl, from: 5}"""


def distiller(**top: str) -> Distiller:
    student = toy()
    student.args = get_cfg(overrides={"task": "detect"})
    return compile(spec(EDGES, **top), student=student, teacher=toy(16, seed=1))


def naive_norm(loss: Tensor, model: nn.Module) -> float:
    """By a backward of its own."""
    model.zero_grad()
    loss.backward(retain_graph=True)  # type: ignore[no-untyped-call]
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    return math.sqrt(sum(float(grad.double().pow(2).sum()) for grad in grads))


@pytest.mark.parametrize("balance", ["", "uncertainty"])
@pytest.mark.parametrize(("steps", "middle"), [(1, 0), (2, 1), (3, 1), (4, 2)])
def test_an_epoch_is_the_mean_of_its_steps_and_the_gradient_of_its_middle(
    steps: int, middle: int, balance: str
) -> None:
    model = TrainingModel(distiller(**({"balance": balance} if balance else {})))
    batches = [batch(seed=seed) for seed in range(steps)]
    outs = [model.distiller(each) for each in batches]
    tasks = [
        model.student.loss(each, out.predictions)[0].sum() / 2
        for each, out in zip(batches, outs, strict=True)
    ]
    losses = {**outs[middle].losses, TASK: tasks[middle]}
    wanted = {name: naive_norm(loss, model.student) for name, loss in losses.items()}
    assert min(wanted["neck"], wanted["cls"], wanted[TASK]) > 0

    model.log.begin(steps)
    for each in batches:
        model(each)
    rows = {row.edge: row for row in model.log.rows(7)}
    assert list(rows) == ["neck", "cls", "late", TASK]
    for name, row in rows.items():
        raw = [(t if name == TASK else out.raw[name]).item() for out, t in zip(outs, tasks, strict=True)]
        weighted = [
            (t if name == TASK else out.losses[name]).item() for out, t in zip(outs, tasks, strict=True)
        ]
        assert row.epoch == 7
        assert row.loss == pytest.approx(sum(raw) / steps, rel=1e-4)
        assert row.weighted == pytest.approx(sum(weighted) / steps, rel=1e-4, abs=1e-9)
        assert row.gradient == pytest.approx(wanted[name], rel=1e-4)
        assert row.share == pytest.approx(wanted[name] / sum(wanted.values()), rel=1e-4)
    assert rows["late"].weighted == rows["late"].gradient == rows["late"].share == 0 < rows["late"].loss
    assert sum(row.share for row in rows.values()) == pytest.approx(1)
    if not balance:
        assert rows["cls"].weighted == pytest.approx(3 * rows["cls"].loss)


def test_measuring_leaves_no_gradient_and_no_frozen_parameter_counts() -> None:
    model = distiller()
    out = model(batch())
    all_of_it = gradient_norms(out.losses, model.student)
    for parameter in model.student.model[-1].parameters():  # type: ignore[index,union-attr]
        parameter.requires_grad_(False)
    rest = gradient_norms(out.losses, model.student)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert rest[1] < all_of_it[1], "the head has a part in the classes' loss"
    torch.testing.assert_close(rest[0], all_of_it[0])


def test_gradients_of_half_precision_do_not_vanish() -> None:
    torch.manual_seed(0)
    model, images = nn.Sequential(nn.Conv2d(3, 8, 3), nn.SiLU(), nn.Conv2d(8, 8, 3)), torch.rand(2, 3, 40, 40)

    def loss(half: bool) -> Tensor:
        with torch.autocast("cpu", torch.float16, enabled=half):
            return model(images).square().mean().float() * 1e-4

    exact = naive_norm(loss(half=False), model)
    assert naive_norm(loss(half=True), model) < 0.9 * exact, "without care they do"
    assert float(gradient_norms({"e": loss(half=True)}, model)[0]) == pytest.approx(exact, rel=0.01)


def test_a_step_does_not_wait_for_the_device() -> None:
    with FakeTensorMode():  # a fake tensor has no value: whatever reads one fails
        model = nn.Linear(4, 4)
        log = EdgeLog(model)
        for _ in range(2):
            loss = model(torch.rand(2, 4)).mean()
            log.add(DistillOutput(None, {"e": loss * 2}, {"e": loss}, loss), loss * 3)
        with pytest.raises(Exception, match=r"aten\._local_scalar_dense|data"):
            loss.item()


def test_the_step_that_will_be_measured_is_known_before() -> None:
    """A compiled backward can run only once, so that step must not be compiled."""
    model = nn.Linear(4, 4)
    log = EdgeLog(model)
    log.begin(4)
    due = []
    for _ in range(4):
        due.append(log.due)
        loss = model(torch.rand(2, 4)).mean()
        log.add(DistillOutput(None, {"e": loss}, {"e": loss}, loss), loss)
    assert due == [False, False, True, False]


def test_an_epoch_without_steps_has_no_rows() -> None:
    assert EdgeLog(nn.Linear(1, 1)).rows(1) == []


def test_an_epoch_that_is_broken_off_before_its_middle_has_losses_and_no_gradients() -> None:
    weight = nn.Linear(1, 1)
    log, loss = EdgeLog(weight), weight(torch.ones(1, 1)).sum()
    log.begin(4)
    log.add(DistillOutput(None, {"e": loss * 2}, {"e": loss}, loss), loss)
    for row, factor in zip(log.rows(1), (2, 1), strict=True):
        assert (row.loss, row.weighted) == pytest.approx((loss.item(), factor * loss.item()))
        assert math.isnan(row.gradient)
        assert math.isnan(row.share)


def test_a_gradient_that_overflows_has_no_part_in_the_shares() -> None:
    weight = nn.Linear(1, 1)
    log, loss = EdgeLog(weight), weight(torch.ones(1, 1)).sum()
    log.add(DistillOutput(None, {"e": loss * math.inf}, {"e": loss}, loss), loss)
    edge, task = log.rows(1)
    assert not math.isfinite(edge.gradient)
    assert task.share == 1


def rows(epoch: int, *names: str) -> list[EdgeRow]:
    return [
        EdgeRow(epoch, name, 0.25 * number, 0.5, 1.5, 1 / len(names)) for number, name in enumerate(names)
    ]


@given(
    names=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), min_size=1), min_size=1)
)
def test_what_is_recorded_is_read(names: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("edges") / "edges.csv"
    record_edges(path, 1, rows(1, *names))
    found = read_edges(path)
    assert [row.edge for row in found] == names
    assert [row[2:] for row in found] == [pytest.approx(row[2:], rel=1e-5) for row in rows(1, *names)]


def test_an_epoch_that_is_done_again_is_there_once(tmp_path: Path) -> None:
    path = tmp_path / "edges.csv"
    assert read_edges(path) == []
    for epoch in (1, 2, 3, 2):
        record_edges(path, epoch, rows(epoch, "a, b", TASK))
    assert [(row.epoch, row.edge) for row in read_edges(path)] == [
        (1, "a, b"), (1, TASK), (2, "a, b"), (2, TASK),
    ]  # fmt: skip
    assert path.read_text().splitlines()[:2] == [
        "epoch,edge,loss,weighted,gradient,share", '1,"a, b",0,0.5,1.5,0.5',
    ]  # fmt: skip
    assert list(tmp_path.iterdir()) == [path]


def test_lines_that_are_no_rows_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "edges.csv"
    record_edges(path, 1, rows(1, "neck", TASK))
    record_edges(path, 2, rows(2, "neck", TASK))
    wanted = read_edges(path)
    broken = ["7,neck", "2,neck,a,1,1,1", "x", "", "1,2,3,4,5,6,7", "0,neck,1,1,1,1", f"{10**400},n,1,1,1,1"]
    head, *lines = path.read_text().splitlines()
    path.write_bytes("\n".join([head, *lines[:2], *broken, *lines[2:], "3,neck,1.5"]).encode() + b"\xff")
    assert read_edges(path) == wanted
    record_edges(path, 3, rows(3, "neck"))
    assert read_edges(path)[:-1] == wanted
    assert len(path.read_text().splitlines()) == 6
    path.write_text("\n".join(lines))
    assert read_edges(path) == wanted, "also where the head is gone"


RUN = """\
student: {student}
teacher: {teacher}
data: {data}
edges:
  neck: {{taps: neck.*, criterion: mimic, weight: 0.5}}
  cls: {{taps: head.cls, criterion: bce, until: 2}}
train: {{epochs: 4, imgsz: 64, batch: 4, nbs: 4, optimizer: AdamW, lr0: 0.001, plots: false, val: false}}
"""


@pytest.mark.filterwarnings("ignore")
def test_a_run_that_is_resumed_has_every_epoch_once(tmp_path: Path) -> None:
    def kill(running: Any) -> None:
        if running.epoch == 2:
            record_edges(table, 3, rows(3, "neck"))  # as if it had got as far as the epoch's end
            running.args.plots = True
            raise Killed

    table = tmp_path / "run" / "edges.csv"
    models = str(network(tmp_path, "detect")), str(network(tmp_path, "detect", 16))
    killed(RUN, tmp_path, data(tmp_path, "detect"), kill, models)
    before = read_edges(table)
    for name in ("edge_losses.png", "gradient_shares.png"):  # a run that is broken off has them too
        (tmp_path / "run" / name).unlink()
    resume(tmp_path / "run")
    after = read_edges(table)

    edges = ["neck", "cls", TASK]
    wanted = [(1, edges), (2, edges), (3, ["neck", TASK]), (4, ["neck", TASK])]  # cls has ended
    assert [(row.epoch, row.edge) for row in after] == [
        (epoch, name) for epoch, own in wanted for name in own
    ]
    assert after[:6] == before[:6]
    results = list(csv.DictReader((tmp_path / "run" / "results.csv").read_text().splitlines()))
    for row in after:
        line = results[row.epoch - 1]
        parts = ("box", "cls", "dfl") if row.edge == TASK else (f"kd_{row.edge}",)
        wanted_loss = sum(float(line[f"train/{part}_loss"]) for part in parts)
        assert row.weighted == pytest.approx(wanted_loss, rel=2e-5, abs=3e-5), "as Ultralytics averages it"
        assert row.loss == pytest.approx(row.weighted * (2 if row.edge == "neck" else 1), rel=1e-4)
        assert row.gradient > 0
    assert not list((tmp_path / "run").glob("*.png"))
