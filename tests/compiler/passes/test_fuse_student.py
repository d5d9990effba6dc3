from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from kdgraph.compiler.api import Plan, plan
from kdgraph.compiler.passes.base import PassResult, Stats
from kdgraph.compiler.passes.fuse_student import FuseStudent
from kdgraph.graph.ir import DistillGraph
from kdgraph.nn import norm_act
from tests.compiler.passes.helpers import applied, until
from tests.toys import batch, graph, spec, tensors, toy

EDGES = "  neck: {taps: neck.*, criterion: cwd}\n  cls: {taps: head.cls, criterion: qfl}"


def joined(graph: DistillGraph) -> set[str]:
    return {op.path for op in graph.ops("student").values() if op.norm is not None}


def norms(graph: DistillGraph) -> set[str]:
    return {op.path for op in graph.ops("student").values() if isinstance(op.module, nn.BatchNorm2d)}


def test_before_and_after() -> None:
    before = until(FuseStudent, graph(EDGES))
    result = applied(FuseStudent(), before)
    found = joined(result.graph)
    assert {f"{path.removesuffix('.act')}.bn" for path in found} == norms(before) - norms(result.graph)
    assert len(found) > 10
    assert result.notes == (f"student: {len(found)} batch norms joined with the activations behind them",)
    assert not any(op.norm for op in result.graph.ops("teacher").values())
    assert Stats.of(result.graph, "student").params == Stats.of(before, "student").params


def test_a_norm_that_is_tapped_stays() -> None:
    tapped = until(FuseStudent, graph("  a: {taps: model.0.bn, criterion: pkd}"))
    result = applied(FuseStudent(), tapped).graph
    assert "model.0.bn" in norms(result)
    assert "model.0.act" not in joined(result)
    assert "model.1.act" in joined(result)


def test_where_edges_are_balanced_the_norm_stays() -> None:
    at = "balance: {gradient_norm: {at: model.0.bn}}"
    planned = plan(spec(f"{EDGES}\n{at}"), student=toy(), teacher=toy(16, seed=1))
    assert "model.0.bn" in norms(planned.graph)


def test_the_modules_stay_the_students_own() -> None:
    student = toy()
    names = list(student.state_dict())
    made = plan(spec(EDGES), student=student, teacher=toy(16, seed=1)).lower()
    assert made.student is student
    assert list(student.state_dict()) == names
    assert [n for n, _ in made.named_parameters()].count("student.model.0.bn.weight") == 1


def test_a_step_is_the_same_but_for_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses, gradients and batch statistics in float64, against a graph that keeps norms and activations."""
    monkeypatch.setattr(norm_act, "_WORTH", 0)
    student, teacher = toy(), toy(16, seed=1)
    found = stepped(plan(spec(EDGES), student=copy.deepcopy(student), teacher=teacher))
    monkeypatch.setattr(FuseStudent, "run", lambda self, graph: PassResult(graph))
    expected = stepped(plan(spec(EDGES), student=copy.deepcopy(student), teacher=teacher))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-9, atol=1e-12, msg=name)


def stepped(planned: Plan) -> dict[str, Tensor]:
    torch.manual_seed(0)  # of the adapters
    distiller = planned.lower().double()
    out = distiller({**batch(), "img": batch()["img"].double()})
    (out.loss + sum(each.square().mean() for each in tensors(out.predictions))).backward()
    grads = {name: p.grad for name, p in distiller.student.named_parameters() if p.grad is not None}
    return {"loss": out.loss, **dict(distiller.student.named_buffers()), **grads}
