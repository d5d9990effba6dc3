"""How layers are wired, where it is not as in the models that Ultralytics ships."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from kdgraph.graph.walk import is_layered, last_path, sources, unwrapped
from kdgraph.graph.yolo import trace_model
from tests.graph.modules import Picky
from tests.toys import equal, toy


@pytest.mark.parametrize("read", [[7, 10], [7, -1], [-4, -1]])
def test_layers_may_be_read_from_behind(read: list[int]) -> None:
    model = toy().train()
    model.model[-1].f = read
    assert sources(model) == ("model.7", "model.10")
    assert last_path(model) == "model.11"
    found, images = trace_model(model), torch.rand(2, 3, 64, 96)
    assert [found.names[f"neck.{level}"] for level in ("p3", "p4")] == [
        found.names[path] for path in sources(model)
    ]
    model.eval()
    with torch.no_grad():
        assert equal(found.module.eval()(images), model(images)[1])


def test_a_last_layer_that_reads_one_has_no_neck() -> None:
    model = toy()
    model.model = model.model[:4]
    assert sources(model) == ()
    assert trace_model(model).neck == ()


def test_a_model_in_its_yolo_is_traced_not_trained() -> None:
    from ultralytics import YOLO

    yolo = YOLO("yolo11n.yaml")
    found = trace_model(yolo, frozen=True)
    assert found.source is yolo.model is unwrapped(yolo)
    assert found.head is not None


@pytest.mark.parametrize(
    "module",
    [nn.Conv2d(3, 3, 1), nn.Sequential(nn.Conv2d(3, 3, 1)), Picky(3, 3, 1)],
    ids=["conv", "seq", "own"],
)
def test_what_is_no_ultralytics_model(module: nn.Module) -> None:
    assert not is_layered(module)
    assert unwrapped(module) is module


class Wrapper(nn.Module):
    """A user's own module around a model: its forward counts."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Sequential(nn.Conv2d(3, 4, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x * 2)


def test_a_module_that_holds_a_sequence_is_foreign() -> None:
    wrapper, images = Wrapper(), torch.rand(1, 3, 4, 4)
    found = trace_model(wrapper, frozen=True)
    assert found.foreign
    assert torch.equal(found.module(images), wrapper(images))
