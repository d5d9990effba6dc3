from __future__ import annotations

import pytest
import torch
import yaml
from ultralytics.nn.tasks import DetectionModel

from kdgraph.compiler.api import plan
from kdgraph.draw.boxes import Box
from kdgraph.graph.ir import Term
from kdgraph.spec.parse import parse
from tests.draw.pictures import model_scene

DATA = {
    "yolo11n-pose.yaml": "coco8-pose.yaml",
    "yolo26n-seg.yaml": "coco8-seg.yaml",
    "yolov10n.yaml": "coco8.yaml",
}


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
    assert (neck.title, neck.names, neck.type) == (
        "neck P3, top-down",
        ("neck.p3",),
        "16 C3k2, 15 Concat, 14 Upsample",
    )


def test_what_no_edge_can_tap_has_no_name() -> None:
    assert box("yolo11n.yaml", "images").names == ()
    assert box("yolo11n.yaml", "node:chunk").names == ()  # two tensors
    assert box("yolo11n.yaml", "node:chunk").layout == ""


def test_what_is_no_map_has_no_stride() -> None:
    attention = [
        found
        for found in model_scene("yolo11n.yaml").boxes.values()
        if ".attn." in found.path
        and found.shape
        and len(found.shape) == 3
        and found.shape[1] != found.shape[2]
    ]
    assert attention
    assert {found.stride for found in attention} == {None}


def test_tasks_have_their_taps_at_their_boxes() -> None:
    assert box("yolo11n-pose.yaml", "model.23.cv4.1").names[0] == "head.kpt.p4"
    assert box("yolo11n-pose.yaml", "head.kpt").names[0] == "head.kpt"
    assert box("yolov8n-obb.yaml", "model.22.cv4.0").names[0] == "head.angle.p3"


@pytest.mark.parametrize("model", ["yolo11n-pose.yaml", "yolo26n-seg.yaml", "yolov10n.yaml"])
def test_every_name_that_a_box_has_works_in_a_spec(model: str) -> None:
    scene = model_scene(model)
    shown = scene.views["layers"].plane.boxes
    names = dict.fromkeys(name for key in shown for name in scene.boxes[key].names)
    edges = {f"e{i}": {"taps": name, "criterion": "mimic"} for i, name in enumerate(names)}
    teacher = {"model": model, "train": {"epochs": 1}}
    spec = {"student": model, "teacher": teacher, "data": DATA[model], "edges": edges}
    planned = plan(parse(yaml.safe_dump(spec)), weights=False)
    assert len(planned.graph.of(Term)) == len(names)
