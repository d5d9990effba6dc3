from __future__ import annotations

import copy

import torch
from torch import nn

from kdgraph.compiler.api import plan
from kdgraph.compiler.passes.overwrite_teacher import OverwriteTeacher
from kdgraph.graph.ir import DistillGraph
from tests.compiler.passes.helpers import applied, until
from tests.toys import batch, graph, spec, tensors, toy

EDGES = "  neck: {taps: neck.*, criterion: cwd}"


def inplace(graph: DistillGraph) -> set[str]:
    return {op.path for op in graph.ops("teacher").values() if op.inplace}


def test_before_and_after() -> None:
    result = applied(OverwriteTeacher(), until(OverwriteTeacher, graph(EDGES)))
    found = inplace(result.graph)
    activations = {op.path for op in result.graph.ops("teacher").values() if isinstance(op.module, nn.SiLU)}
    assert found == activations
    assert len(found) > 10
    assert result.notes == (f"teacher: {len(found)} activations in place",)
    assert not any(op.inplace for op in result.graph.ops("student").values())


def test_what_is_tapped_before_its_activation_is_kept() -> None:
    tapped = "  a: {taps: model.3.cv1.conv, criterion: pkd}\n  b: {taps: model.0.bn, criterion: pkd}"
    found = inplace(applied(OverwriteTeacher(), until(OverwriteTeacher, graph(tapped))).graph)
    assert "model.1.act" in found
    assert not {"model.0.act", "model.3.cv1.act"} & found


def test_a_student_that_is_its_own_teacher_overwrites_nothing() -> None:
    alone = spec("  a: {taps: {student: backbone.p3, teacher: neck.p3}, criterion: pkd}", teacher="student")
    made = plan(alone, student=toy())
    assert not any(op.inplace for op in made.graph.ops("student").values())


def test_the_teacher_computes_what_it_did_and_the_one_given_stays_as_it_is() -> None:
    teacher = toy(16, seed=1)
    given = copy.deepcopy(teacher)
    made = plan(spec(EDGES, outputs="[taps, teacher]"), student=toy(), teacher=given).lower()
    images = batch()["img"]
    kept = images.clone()
    first, second = made(images), made(images)
    assert torch.equal(images, kept)
    teacher.eval()
    teacher.model[-1].training = True
    with torch.no_grad():
        expected = tensors(teacher(images))
    for ours, again, theirs in zip(tensors(first.teacher), tensors(second.teacher), expected, strict=True):
        assert torch.equal(ours, again)
        assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()
    assert not any(getattr(module, "inplace", False) for module in given.modules())
    working = [m for m in made.teachers.modules() if getattr(m, "inplace", False)]
    assert working


def test_behind_a_splice_gradients_are_those_without_it() -> None:
    crossed = spec("  c: {taps: head.cls, splice: head.cls.*.0, criterion: qfl}")
    planned = plan(crossed, student=toy(), teacher=toy(16, seed=1))
    spliced = [op for op in planned.graph.ops("teacher").values() if op.splice is not None]
    assert spliced
    assert not any(op.inplace for op in spliced)
    out = planned.lower()(batch())
    out.loss.backward()
    assert any(p.grad is not None and p.grad.any() for p in planned.student.parameters())
