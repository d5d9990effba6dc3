"""Modules that are not Ultralytics' as teachers: plain ones, torchvision's, timm's."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from kdgraph.errors import GraphError
from kdgraph.graph.names import Named, find, tap_names
from kdgraph.graph.shapes import infer_facts
from kdgraph.graph.show import node_rows
from kdgraph.graph.yolo import trace_model
from tests.graph.modules import Picky
from tests.toys import equal


class Pyramid(nn.Module):
    """Two levels in a dict; a branch on `training`, options, names that look like semantic ones."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(5, 8, 3, 2, 1), nn.ReLU(inplace=True), Picky(8, 8, 3, 2, 1))
        self.head = nn.ModuleDict({"cls": nn.Conv2d(8, 6, 3, 2, 1)})
        self.dropped = nn.Dropout(0.5)

    def forward(self, x: Tensor, scale: float | None = None) -> dict[str, Tensor]:
        fine = self.backbone(x)
        if scale is not None:
            fine = fine * scale
        if self.training:
            fine = fine + 1
        return {"fine": fine, "coarse": self.head["cls"](self.dropped(fine))}


def test_a_foreign_module_has_raw_names_only() -> None:
    model = Pyramid()
    found = trace_model(model, frozen=True)
    assert (found.foreign, found.head, found.task, found.channels) == (True, None, "", 5)
    assert (found.backbone, found.neck, found.class_names) == ((), (), ())
    assert list(found.names) == [
        "x",
        "backbone.0",
        "backbone.1",
        "backbone.2",
        "backbone",
        "dropped",
        "head.cls",
    ]
    assert not model.backbone[1].inplace


@pytest.mark.parametrize("frozen", [True, False])
def test_a_foreign_module_runs_as_it_does_alone(frozen: bool) -> None:
    model = Pyramid()
    found = trace_model(model, frozen=frozen)
    model.train(not frozen)
    found.module.train(not frozen)
    images, outputs = torch.rand(2, 5, 16, 24), []
    for forward in (model, found.module):
        torch.manual_seed(0)
        outputs.append(forward(images))
    assert equal(*outputs)


def test_a_foreign_module_whose_own_forward_depends_on_data() -> None:
    with pytest.raises(GraphError, match=r"KD205\] it cannot be traced: its forward stops(.|\n)*backbone"):
        trace_model(Picky(3, 3, 1), "it")


@pytest.mark.parametrize("name", ["resnet50", "mobilenet_v3_small", "convnext_tiny"])
def test_torchvision(name: str) -> None:
    torchvision = pytest.importorskip("torchvision")
    check_foreign(getattr(torchvision.models, name)(weights=None), ["p2", "p3", "p4", "p5"])


def test_torchvision_pyramid() -> None:
    detection = pytest.importorskip("torchvision").models.detection
    detector = detection.fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None)
    names = check_foreign(detector.backbone, ["p2", "p3", "p4", "p5"])
    assert [names[f"fpn.layer_blocks.{i}"].shape for i in range(4)] == [
        (2, 256, 64 // stride, 96 // stride) for stride in (4, 8, 16, 32)
    ]
    with pytest.raises(GraphError, match="KD205"):
        trace_model(detector, frozen=True)


@pytest.mark.parametrize("name", ["resnet18", "tf_efficientnet_lite0", "convnext_atto"])
def test_timm(name: str) -> None:
    timm = pytest.importorskip("timm")
    check_foreign(timm.create_model(name, pretrained=False, features_only=True), ["p2", "p3", "p4", "p5"])


def check_foreign(model: nn.Module, levels: list[str]) -> dict[str, Named]:
    """Bit-exact as a teacher, and its names at the given levels."""
    found = trace_model(model, frozen=True)
    images = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        assert equal(found.module.eval()(images), model.eval()(images))
    facts = infer_facts(found.module, (64, 96))
    names = tap_names(found, lambda node: facts[node].shape, (64, 96))
    assert all(named.raw and named.layout == "features" for named in names.values())
    assert {named.level for named in names.values()} >= set(levels)
    return names


def test_patterns_find_raw_names_that_look_like_semantic_ones() -> None:
    found = trace_model(Pyramid(), frozen=True)
    names = tap_names(found, lambda node: None, (16, 24))
    assert find("*", names) == ["x", "backbone", "dropped"]
    assert find("*.*", names) == ["backbone.0", "backbone.1", "backbone.2", "head.cls"]
    assert names["head.cls"].layout == "features"


def test_rows_of_a_foreign_module_are_for_its_channels() -> None:
    rows = {row.name: row for row in node_rows(trace_model(Pyramid(), frozen=True), (16, 24))}
    assert rows["backbone.0"].shape == (8, 8, 12)
    assert rows["backbone"].path == "backbone"
    assert rows["head.cls"].path == "head.cls"
