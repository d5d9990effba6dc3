"""Inferred shapes against real ones, and counts against Ultralytics' own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.fx as fx
from torch import Tensor, nn
from ultralytics.nn.tasks import DetectionModel
from ultralytics.utils.torch_utils import get_flops

from kdgraph.graph.meta import to_meta
from kdgraph.graph.shapes import Facts, infer_facts
from kdgraph.graph.trace import trace_module
from kdgraph.graph.yolo import trace_model
from tests.toys import SIZE, toy


@pytest.fixture(scope="module", params=["toy", "yolo11n", "yolo26n"])
def model(request: pytest.FixtureRequest) -> Any:
    return toy() if request.param == "toy" else DetectionModel(f"{request.param}.yaml", nc=3, verbose=False)


class Shapes(fx.Interpreter):
    """Runs the graph for real and holds each value against what was inferred."""

    def __init__(self, module: fx.GraphModule, facts: Any) -> None:
        super().__init__(module)
        self.facts, self.seen = facts, 0

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        real = (tuple(value.shape), value.dtype) if isinstance(value, Tensor) else (None, None)
        assert (self.facts[n].shape, self.facts[n].dtype) == real, n
        self.seen += 1
        return value


@pytest.mark.parametrize(("batch", "size"), [(2, (64, 96)), (1, (96, 32))])
def test_inferred_shapes_are_the_real_ones_on_every_node(
    model: Any, batch: int, size: tuple[int, int]
) -> None:
    module = trace_model(model).module
    facts = infer_facts(module, size, batch)
    assert set(facts) == set(module.graph.nodes)
    check = Shapes(module, facts)
    with torch.no_grad():
        check.run(torch.rand(batch, 3, *size))
    assert check.seen == len(module.graph.nodes)


def test_neither_parameters_nor_statistics_are_touched(model: Any) -> None:
    module = trace_model(model).module
    state = {name: (t.data_ptr(), t._version, t.clone()) for name, t in model.state_dict().items()}
    gradients = [p.requires_grad for p in model.parameters()]
    infer_facts(module, SIZE)
    for name, tensor in model.state_dict().items():
        place, version, value = state[name]
        assert (tensor.data_ptr(), tensor._version) == (place, version)
        assert torch.equal(tensor, value)
    assert [p.requires_grad for p in model.parameters()] == gradients


def test_a_model_on_the_meta_device_has_the_same_facts() -> None:
    real, bare = (trace_model(m).module for m in (toy(), to_meta(toy())))
    assert list(infer_facts(real, SIZE).values()) == list(infer_facts(bare, SIZE).values())


def test_flops_and_parameters_are_those_that_ultralytics_counts(model: Any) -> None:
    traced = trace_model(model)
    facts = infer_facts(traced.module, (160, 160), batch=1)
    flops = sum(fact.flops for fact in facts.values())
    assert flops / 1e9 == pytest.approx(get_flops(model.eval(), 160), rel=0.03)
    branches = sum(p.numel() for name, p in model.named_parameters() if ".dfl." not in name)
    assert sum(fact.params for fact in facts.values()) == branches


def test_flops_do_not_depend_on_who_counts_but_on_the_batch(model: Any) -> None:
    module = trace_model(model).module
    one, three = (sum(f.flops for f in infer_facts(module, SIZE, batch).values()) for batch in (1, 3))
    assert three == 3 * one


class Products(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(3, 5, 2, 2)
        self.linear = nn.Linear(8, 7)
        self.grouped = nn.Conv2d(4, 8, 3, groups=2, padding=1)
        self.scale = nn.Parameter(torch.ones(4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.up(x)[:, :4] * self.scale
        x = self.linear(self.grouped(x))
        return x @ x.transpose(-1, -2)


def test_counts_of_single_operations() -> None:
    module, paths = trace_module(Products(), "it")
    facts = infer_facts(module, (4, 4), batch=1)
    assert facts[paths["up"]] == Facts((1, 5, 8, 8), torch.float32, 3 * 5 * 4 + 5, 2 * 4 * 4 * 3 * 5 * 4)
    assert facts[paths["grouped"]].flops == 2 * 8 * 8 * 8 * 2 * 9
    assert facts[paths["linear"]] == Facts((1, 8, 8, 7), torch.float32, 8 * 7 + 7, 2 * 8 * 8 * 7 * 8)
    assert facts[paths["matmul"]].flops == 2 * 8 * 8 * 8 * 7
    scale = next(node for node in module.graph.nodes if node.op == "get_attr")
    assert (facts[scale].params, facts[scale].shape) == (4, (4, 1, 1))


def test_an_image_that_the_strides_do_not_divide_raises_what_torch_raises() -> None:
    with pytest.raises(RuntimeError, match="Sizes of tensors must match"):
        infer_facts(trace_model(toy()).module, (70, 70))


class Caching(nn.Module):
    """Branches on values, and keeps what it made of the last input."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, 2, 1)
        self.last: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        self.last = x
        return self.conv(x) if bool(x.mean() > -1) else x


def test_a_module_that_depends_on_values_has_a_shape_and_keeps_nothing() -> None:
    model = nn.Sequential(nn.Conv2d(3, 3, 1), Caching())
    module, paths = trace_module(model, "it", whole=bool)
    facts = infer_facts(module, (16, 24))
    assert facts[paths["1"]].shape == (2, 4, 8, 12)
    assert model[1].last is None
    assert not any(p.is_meta for p in module.parameters())
