"""A teacher that computes in coarser numbers than the student."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from kdgraph.compiler.api import plan
from kdgraph.compiler.distiller import Distiller, DistillOutput
from kdgraph.errors import RunError
from kdgraph.spec.parse import parse
from tests.toys import batch, equal, tensors, toy

EDGES = """\
  neck: {taps: neck.*, criterion: mimic}
  cls: {taps: head.cls, criterion: qfl, mask: foreground}
  box: {taps: head.dfl, criterion: kl, mask: teacher_score}
  cross: {taps: head.cls.p3, criterion: bce, splice: head.cls.p3.0}"""


def distiller(precision: str | None, edges: str = EDGES, student: nn.Module | None = None) -> Distiller:
    own = f", precision: {precision}" if precision else ""
    text = f"student: s.yaml\nteacher: {{model: t.yaml{own}}}\noutputs: [taps, teacher]\n"
    spec = parse(f"{text}train: {{epochs: 20, imgsz: 64}}\nedges:\n{edges}\n")
    torch.manual_seed(0)  # of the adapters
    return plan(spec, student=student or toy(), teacher=toy(16, seed=1)).lower()


def dtypes(module: nn.Module) -> set[torch.dtype]:
    kept = [*module.parameters(), *module.buffers()]
    return {tensor.dtype for tensor in kept if tensor.is_floating_point()}


def backward(model: Distiller, given: Any = None) -> DistillOutput:
    out: DistillOutput = model(given or batch())
    (out.loss + sum(each.square().mean() for each in tensors(out.predictions))).backward()
    return out


def test_the_teachers_numbers_are_coarse_and_all_others_stay() -> None:
    model, given = distiller("bfloat16"), toy(16, seed=1)
    assert dtypes(model.teacher) == {torch.bfloat16}
    assert dtypes(model.student) == dtypes(model.adapters) == {torch.float32}
    assert dtypes(given) == {torch.float32}
    out = backward(model)
    seen = [*tensors(out.teacher), *tensors(list(out.taps.values())), *out.losses.values()]
    assert {tensor.dtype for tensor in seen} == {torch.float32}


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_losses_and_gradients_are_nearly_those_of_the_exact_teacher(precision: str) -> None:
    student = toy()
    coarse, exact = (distiller(p, student=copy.deepcopy(student)) for p in (precision, None))
    ours, theirs = backward(coarse), backward(exact)
    assert equal(ours.predictions, theirs.predictions)
    for name, loss in theirs.losses.items():
        assert ours.losses[name] != loss, f"{name}: the teacher computed as exactly as before"
        torch.testing.assert_close(ours.losses[name], loss, rtol=0.05, atol=1e-3, msg=name)
    pairs = zip(coarse.student.parameters(), exact.student.parameters(), strict=True)
    found = [(p.grad, q.grad) for p, q in pairs if q.grad is not None]
    apart = sum(float((p - q).square().sum()) for p, q in found if p is not None)
    assert apart <= 0.05**2 * sum(float(q.square().sum()) for _, q in found)


def test_it_keeps_its_numbers_wherever_the_distiller_goes() -> None:
    model = distiller("bfloat16").double()
    assert dtypes(model.teacher) == {torch.bfloat16}
    assert dtypes(model.student) == {torch.float64}
    out = backward(model, {**batch(), "img": batch()["img"].double()})
    assert out.loss.dtype == torch.float64


def test_it_keeps_them_when_an_edge_ends() -> None:
    model = distiller(
        "bfloat16", "  a: {taps: neck.p3, criterion: cwd, until: 2}\n  b: {taps: neck.p4, criterion: cwd}"
    )
    assert model.retire(2) == ("a",)
    assert dtypes(model.teacher) == {torch.bfloat16}
    backward(model)


def test_it_works_under_autocast() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        out = distiller("bfloat16")(batch())
    out.loss.backward()
    assert torch.isfinite(out.loss)


def test_an_autocast_to_other_numbers_is_refused() -> None:
    model = distiller("float16")
    with (
        torch.autocast("cpu", torch.bfloat16),
        pytest.raises(RunError, match=r"KD504.*not that of the autocast"),
    ):
        model(batch())
    model(batch())
