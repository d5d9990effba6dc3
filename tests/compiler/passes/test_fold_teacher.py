from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kdgraph.compiler.api import plan
from kdgraph.compiler.lower import lower
from kdgraph.compiler.passes.fold_teacher import FoldTeacher
from kdgraph.graph.ir import DistillGraph, Op
from kdgraph.graph.trace import trace_module
from kdgraph.graph.yolo import TracedModel, trace_model
from tests.compiler.passes.helpers import applied, until
from tests.toys import SIZE, batch, graph, spec, tensors, toy

EDGES = "  neck: {taps: neck.*, criterion: cwd}"


def norms(graph: DistillGraph, role: Any) -> list[str]:
    return [op.path for op in graph.ops(role).values() if isinstance(op.module, nn.BatchNorm2d)]


def test_before_and_after() -> None:
    before = until(FoldTeacher, graph(EDGES))
    result = applied(FoldTeacher(), before)
    count = len(norms(before, "teacher"))
    assert count > 15
    assert norms(result.graph, "teacher") == []
    assert norms(result.graph, "student") == norms(before, "student")
    assert result.notes == (f"teacher: {count} batch norms folded into convolutions",)
    assert result.graph.source("teacher:model_0_act", "arg") == "teacher:model_0_conv"
    conv = result.graph["teacher:model_0_conv"]
    assert isinstance(conv, Op)
    assert conv.folded is before.models["teacher"].source.get_submodule("model.0.bn")
    assert conv.facts.params == 16 * 3 * 9 + 16


def test_the_folded_teacher_computes_what_the_teacher_does() -> None:
    teacher = toy(16, seed=1)
    made = spec(EDGES, outputs="[taps, teacher]")
    out = plan(made, student=toy(), teacher=teacher).lower()(batch())
    teacher.eval()
    teacher.model[-1].training = True  # raw outputs, with the norms in eval mode
    with torch.no_grad():
        expected = teacher(batch()["img"])
    for ours, theirs in zip(tensors(out.teacher), tensors(expected), strict=True):
        assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()


def test_in_float64_folding_is_exact_to_rounding() -> None:
    teacher = toy(16, seed=1).double()
    out = plan(spec(EDGES, outputs="[teacher]"), student=toy().double(), teacher=teacher).lower().double()
    images = batch()["img"].double()
    folded = out(images).teacher
    teacher.eval()
    teacher.model[-1].training = True
    with torch.no_grad():
        expected = teacher(images)
    for ours, theirs in zip(tensors(folded), tensors(expected), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)


def test_a_tap_between_keeps_convolution_and_norm_apart() -> None:
    after = applied(
        FoldTeacher(), until(FoldTeacher, graph("  e: {taps: [model.7.cv1.conv, neck.p4], criterion: cwd}"))
    ).graph
    assert norms(after, "teacher") == ["model.7.cv1.bn"]
    behind = applied(
        FoldTeacher(), until(FoldTeacher, graph("  e: {taps: [model.7.cv1.bn, neck.p4], criterion: cwd}"))
    ).graph
    assert norms(behind, "teacher") == [], "a tap behind the norm reads the folded convolution"
    assert behind.tapped(
        next(k for k in behind.users("teacher:model_7_cv1_conv") if k.startswith("tap:"))
    ).folded


def test_the_tap_between_reads_the_unfolded_value() -> None:
    teacher = toy(16, seed=1)
    made = spec("  e: {taps: [model.7.cv1.conv, model.7.cv1.bn], criterion: mimic}", outputs="[taps]")
    out = plan(made, student=toy(), teacher=teacher).lower()(batch())
    seen: dict[str, Tensor] = {}
    for path in ("model.7.cv1.conv", "model.7.cv1.bn"):
        teacher.get_submodule(path).register_forward_hook(lambda _m, _i, o, path=path: seen.update({path: o}))
    with torch.no_grad():
        teacher.eval()(batch()["img"])
    for path, value in seen.items():
        torch.testing.assert_close(out.taps[path].teacher, value, rtol=1e-5, atol=1e-5)


class Twice(nn.Module):
    """One convolution in front of two norms: folding either would change the other's input."""

    def __init__(self, tracked: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.first, self.second = nn.BatchNorm2d(4, track_running_stats=tracked), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.first(self.conv(x)) + self.second(self.conv(x.flip(2)))


class Statistics(nn.Module):
    """A norm that has no statistics to fold."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, track_running_stats=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))


@pytest.mark.parametrize("kind", [Twice, Statistics])
def test_what_must_not_be_folded(kind: type[nn.Module]) -> None:
    root = kind()
    module, paths = trace_module(root, "it")
    teacher = TracedModel(root, module, dict(paths), None)
    pair = DistillGraph(spec(EDGES), {"student": trace_model(toy()), "teacher": teacher}, SIZE)
    after = applied(FoldTeacher(), pair)
    assert norms(after.graph, "teacher") == norms(pair, "teacher")
    assert after.notes == ()


def test_the_teacher_given_is_not_changed() -> None:
    teacher = toy(16, seed=1)
    before = copy.deepcopy(teacher.state_dict())
    lower(applied(FoldTeacher(), until(FoldTeacher, graph(EDGES, teacher=teacher))).graph)
    assert teacher.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    assert all(p.requires_grad for name, p in teacher.named_parameters() if ".dfl." not in name)
