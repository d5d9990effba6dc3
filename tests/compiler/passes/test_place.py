from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from kdgraph.compiler.api import Plan, plan
from kdgraph.compiler.passes.place import Place
from tests.compiler.passes.helpers import applied, until
from tests.toys import batch, graph, spec, tensors, toy

EDGES = "  neck: {taps: neck.*, criterion: cwd}\n  cls: {taps: head.cls, criterion: qfl}"


def test_before_and_after() -> None:
    before = until(Place, graph(EDGES))
    result = applied(Place(), before)
    assert (before.channels_last, result.graph.channels_last) == (False, True)
    assert result.notes == ("images channels last, and so all maps behind them",)


@pytest.mark.parametrize("tap", ["backbone.p3", "neck.p4", "head.cls.p3"])
def test_all_maps_of_both_models_lie_channels_last(tap: str) -> None:
    made = plan(
        spec(f"  a: {{taps: {tap}, criterion: mimic}}", outputs="[taps]"), student=toy(), teacher=toy(16)
    )
    pair = made.lower()(batch()).taps[tap]
    for tensor in pair:
        assert tensor.is_contiguous(memory_format=torch.channels_last)


def test_a_step_is_the_same_but_for_rounding() -> None:
    """Gradients in float64, against a lowering that leaves the images as they are."""
    student, teacher = toy(), toy(16, seed=1)
    planned = plan(spec(EDGES), student=copy.deepcopy(student), teacher=teacher)
    plain = plan(spec(EDGES), student=copy.deepcopy(student), teacher=teacher)
    plain.graph.channels_last = False
    found, expected = (_gradients(made) for made in (planned, plain))
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        assert (found[name] - gradient).abs().max() <= 1e-9 * gradient.abs().max() + 1e-12, name


def _gradients(planned: Plan) -> dict[str, Tensor]:
    torch.manual_seed(0)  # of the adapters
    distiller = planned.lower().double()
    images = batch()["img"].double()
    out = distiller({**batch(), "img": images})
    (out.loss + sum(each.square().mean() for each in tensors(out.predictions))).backward()
    return {name: p.grad for name, p in distiller.student.named_parameters() if p.grad is not None}
