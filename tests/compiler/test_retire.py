"""Edges that have ended are compiled away, and training goes on."""

from __future__ import annotations

import copy
import gc
import weakref

import pytest
import torch

from kdgraph.compiler.api import plan
from kdgraph.compiler.distiller import Distiller
from tests.compiler.pairs import distiller, task_loss
from tests.toys import batch, equal, spec, toy

EDGES = """\
  neck: {taps: neck.*, criterion: mimic, until: 10}
  twin: {taps: neck.p3, criterion: {cwd: {norm: batch}}}
  gen: {taps: neck.p4, criterion: mgd, until: 10}
  cls: {taps: head.cls, criterion: qfl, until: 10}
  box: {taps: head.dfl.*, criterion: kl, mask: foreground, from: 5, until: 15}"""


def step(model: Distiller, optimizer: torch.optim.Optimizer, seed: int) -> None:
    out = model(batch(seed=seed))
    (out.loss + task_loss(model, batch(seed=seed), out.predictions)).backward()
    optimizer.step()
    optimizer.zero_grad()


def test_ended_edges_go_with_the_part_of_the_teacher_that_only_they_needed() -> None:
    model = distiller(EDGES)
    assert model.retire(9) == ()
    assert model.retire(10) == ("neck", "gen", "cls")
    assert model.active == ("twin", "box")
    assert list(model(batch()).losses) == ["twin", "box"]
    head = [name for name, _ in model.teacher.named_modules() if name.startswith("model.11.cv3")]
    assert head == [], "the class tower served cls only"
    assert model.labels, "the mask of box still needs them"
    assert model.retire(15) == ("box",)
    assert model.labels == ()
    assert not [name for name, _ in model.teacher.named_modules() if name.startswith("model.11")]
    assert model.retire(16) == ()
    assert model.retire(20) == ("twin",)


@pytest.mark.parametrize("ends", ["until: 2", "weight: {linear: {from: 1, to: 0}}", ""])
def test_the_teacher_as_it_was_is_kept_only_where_an_edge_can_end(ends: str) -> None:
    student, teacher = toy(), toy(16, seed=1)
    model = plan(
        spec(f"  neck: {{taps: neck.*, criterion: cwd, {ends}}}"), student=student, teacher=teacher
    ).lower()
    given = weakref.ref(teacher)
    del teacher
    gc.collect()
    assert (given() is not None) == bool(ends)
    assert bool(model.retire(20)) == bool(ends)


def test_the_student_trains_on_when_nothing_is_left() -> None:
    model = distiller("  neck: {taps: neck.*, criterion: mimic, until: 2}")
    model.retire(2)
    assert not list(model.teacher.buffers())
    out = model(batch())
    assert (out.losses, out.raw, out.loss) == ({}, {}, 0.0)
    (out.loss + task_loss(model, batch(), out.predictions)).backward()
    assert equal(model.eval()(batch()["img"]), copy.deepcopy(model.student).eval()(batch()["img"]))


def test_losses_stay_what_they_were_adapters_and_criteria_included() -> None:
    model = distiller(EDGES)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    for seed in range(2):
        step(model, optimizer, seed)
    model.set_epoch(12)
    for module in model.student.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.0
    before = model(batch(seed=5)).losses
    model.retire(12)
    model.set_epoch(12)
    after = model(batch(seed=5)).losses
    for name, loss in after.items():
        torch.testing.assert_close(loss, before[name], rtol=1e-6, atol=1e-7)


def test_parameters_keep_their_names_and_the_optimiser_its_moments() -> None:
    model = distiller(EDGES)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    step(model, optimizer, 0)
    names = dict(model.named_parameters())
    state = list(model.state_dict())
    model.retire(10)
    assert dict(model.named_parameters()) == names
    assert list(model.state_dict()) == state
    shared = model.adapters["adapter_neck_p3_conv1x1"].conv.weight
    moment, before = optimizer.state[shared]["exp_avg"].clone(), shared.detach().clone()
    for seed in range(2):
        step(model, optimizer, seed)
    assert not torch.equal(shared, before), "twin goes on training the adapter that neck brought"
    assert not torch.equal(optimizer.state[shared]["exp_avg"], moment)
    retired = model.adapters["adapter_neck_p4_conv1x1"].conv.weight
    assert retired.grad is None


def test_a_state_saved_after_an_edge_ended_loads_before() -> None:
    model = distiller(EDGES)
    step(model, torch.optim.SGD(model.parameters(), 0.01), 0)
    model.retire(10)
    again = distiller(EDGES)
    again.load_state_dict(model.state_dict(), strict=True)
    again.load_learnt(model.learnt())
    again.retire(10)
    assert equal(again(batch()).losses, model(batch()).losses)


def test_learnt_is_all_but_the_student() -> None:
    learnt = distiller(EDGES, balance="uncertainty").learnt()
    assert {name.split(".")[0] for name in learnt} == {"adapters", "edges", "balance"}
    assert [name for name in learnt if name.startswith("edges.edge_gen.")]


def test_what_the_graph_has_moved_to_stays_there() -> None:
    model = distiller(EDGES).double()
    model.retire(10)
    images = {**batch(), "img": batch()["img"].double()}
    assert model(images).loss.dtype == torch.float64
    assert {t.dtype for t in model.teacher.buffers() if t.is_floating_point()} == {torch.float64}
    meta = distiller(EDGES).to("meta")
    meta.retire(10)
    assert {t.device.type for t in [*meta.buffers(), *meta._graph[0].buffers()]} == {"meta"}


def test_edges_between_phases_wait_and_those_of_past_phases_go() -> None:
    model = distiller(
        "  neck: {taps: neck.*, criterion: cwd}\n  cls: {taps: head.cls, criterion: qfl}",
        phases="[{name: features, until: 5, edges: [neck]}, {name: heads, until: 10, edges: [cls]}, "
        "{name: all, until: 15, edges: all}, {name: last, edges: [cls]}]",
    )
    seen = []
    for epoch in (0, 5, 10, 15):
        model.set_epoch(epoch)
        gone = model.retire(epoch)
        losses = model(batch()).losses
        seen.append((gone, [name for name, loss in losses.items() if loss > 0]))
    assert seen == [((), ["neck"]), ((), ["cls"]), ((), ["neck", "cls"]), (("neck",), ["cls"])]


@pytest.mark.parametrize("mode", [True, False])
def test_the_mode_stays(mode: bool) -> None:
    model = distiller(EDGES).train(mode)
    model.retire(10)
    assert model.training is mode
    assert not any(module.training for module in model.teacher.modules())


def test_a_moving_weight_never_recompiles_and_an_ended_edge_does_once() -> None:
    from torch._dynamo.testing import CompileCounter

    torch._dynamo.reset()
    counter = CompileCounter()
    model = distiller("  a: {taps: neck.p3, criterion: cwd, until: 10}\n  b: {taps: neck.p4, criterion: pkd}")
    compiled = torch.compile(model, backend=counter, fullgraph=True)
    images = batch()["img"]
    for epoch in (0, 3, 9):
        model.set_epoch(epoch)
        compiled(images)
    first = counter.frame_count
    model.retire(10)
    for epoch in (10, 12):
        model.set_epoch(epoch)
        assert list(compiled(images).losses) == ["b"]
    assert counter.frame_count == 2 * first
    torch._dynamo.reset()
