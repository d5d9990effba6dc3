from __future__ import annotations

import torch
from ultralytics.nn.tasks import DetectionModel

from kdgraph.draw.boxes import Box
from tests.draw.pictures import model_scene


def box(model: str, key: str) -> Box:
    return model_scene(model).boxes[f"student:{key}"]


def test_a_row_of_the_yaml() -> None:
    found = box("yolov8n.yaml", "model.15")
    assert (found.title, found.type, found.names[:2]) == ("15 C2f", "C2f", ("neck.p3", "model.15"))
    assert (found.shape, found.stride, found.level, found.layout) == ((64, 80, 80), 8, "p3", "features")
    assert box("yolov8n.yaml", "model.4").title == "4 C2f ×2"


def test_a_branch_of_the_head_goes_by_its_tap() -> None:
    found = box("yolo26n.yaml", "model.23.one2one_cv3.1")
    assert (found.title, found.names[0], found.layout) == ("o2o cls p4", "head.o2o.cls.p4", "cls")
    joined = box("yolo11n.yaml", "head.dfl")
    assert (joined.title, joined.level, joined.shape, joined.layout) == ("dfl", None, (64, 8400), "dfl")


def test_a_node_in_its_part() -> None:
    found = box("yolo11n.yaml", "node:model_2_m_0_cv1_conv")
    assert (found.title, found.type, found.path) == ("m.0.cv1.conv", "Conv2d 3×3", "model.2.m.0.cv1.conv")
    assert found.parent == "student:model.2"
    assert box("yolo11n.yaml", "node:model_1_conv").type == "Conv2d 3×3 /2"
    assert box("yolo11n.yaml", "node:chunk").shape is None


def test_parameters_are_those_of_the_modules() -> None:
    model = DetectionModel("yolo11n.yaml", verbose=False)
    scene = model_scene("yolo11n.yaml")
    for number, layer in enumerate(model.model[:-1]):
        assert scene.boxes[f"student:model.{number}"].params == sum(p.numel() for p in layer.parameters())
    branch = model.model[-1].cv3[1]
    assert box("yolo11n.yaml", "model.23.cv3.1").params == sum(p.numel() for p in branch.parameters())
    assert box("yolo11n.yaml", "stage.1.p4").params == sum(p.numel() for p in model.model[13].parameters())


def test_operations_are_those_of_the_convolutions() -> None:
    model = DetectionModel("yolo11n.yaml", verbose=False).eval()
    counted = []

    def count(conv: torch.nn.Conv2d, _: object, out: torch.Tensor) -> None:
        counted.append(2 * out[0].numel() * conv.weight[0].numel())

    for module in model.model[5].modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(count)
    with torch.no_grad():
        model(torch.zeros(1, 3, 640, 640))
    assert box("yolo11n.yaml", "model.5").flops == sum(counted) > 0


def test_stages_have_the_names_of_what_is_in_them() -> None:
    assert box("yolo11n.yaml", "stage.3.p3").names == ("head.cls.p3", "head.dfl.p3")
    neck = box("yolo11n.yaml", "stage.1.p3")
    assert (neck.title, neck.names, neck.type) == ("neck P3, top-down", ("neck.p3",), "16 C3k2, 15 Concat, 14 Upsample")
