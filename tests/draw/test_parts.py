from __future__ import annotations

import torchvision

from kdgraph.draw.parts import anatomy_of, carries
from kdgraph.graph.yolo import trace_model
from tests.draw.pictures import traced
from tests.toys import toy


def test_every_node_but_the_output_is_in_one_part() -> None:
    for model in (traced("yolo26n-seg.yaml"), traced("rtdetr-l.yaml"), trace_model(toy())):
        anatomy = anatomy_of(model, (64, 64))
        nodes = [node for part in anatomy.parts for node in part.nodes]
        assert len(nodes) == len(set(nodes))
        assert set(nodes) == {node for node in model.module.graph.nodes if node.op != "output"}


def test_rows_of_the_yaml_are_parts_and_the_head_is_one_for_each_branch_and_level() -> None:
    anatomy = anatomy_of(traced("yolo11n.yaml"), (640, 640))
    rows = [part for part in anatomy.parts if part.kind in ("backbone", "neck")]
    assert [part.path for part in rows] == [f"model.{i}" for i in range(23)]
    assert [part.path for part in rows if part.kind == "backbone"] == [f"model.{i}" for i in range(11)]
    branches = {part.path: part.level for part in anatomy.parts if part.kind == "head"}
    assert branches == {
        "model.23.cv2.0": "p3", "model.23.cv2.1": "p4", "model.23.cv2.2": "p5",
        "model.23.cv3.0": "p3", "model.23.cv3.1": "p4", "model.23.cv3.2": "p5",
        "head.cls": None, "head.dfl": None, "head.box": None,
    }  # fmt: skip


def test_levels_are_those_of_the_shapes() -> None:
    anatomy = anatomy_of(traced("yolov8n-p2.yaml"), (640, 640))
    for part in anatomy.parts:
        shape = anatomy.facts[part.value].shape
        if shape and len(shape) == 4:
            assert part.level == f"p{(640 // shape[2]).bit_length() - 1}"


def test_the_value_of_a_part_is_what_its_tap_reads() -> None:
    anatomy = anatomy_of(traced("yolo26n-seg.yaml"), (640, 640))
    values = {part.value: part for part in anatomy.parts}
    for name in (
        "neck.p3",
        "neck.p5",
        "backbone.p4",
        "head.cls",
        "head.o2o.cls.p4",
        "head.mask.p5",
        "head.proto",
    ):
        assert anatomy.names[name].node in values, name


def test_sizes_that_are_read_off_a_tensor_are_no_values() -> None:
    anatomy = anatomy_of(traced("yolo11n.yaml"), (640, 640))
    by_name = {node.name: node for node in anatomy.facts}
    assert not carries(anatomy.facts, by_name["getattr_2"])
    assert not carries(anatomy.facts, by_name["getitem_25"])
    assert carries(anatomy.facts, by_name["chunk"])  # several tensors


def test_a_module_of_ones_own_has_its_modules_as_parts() -> None:
    model = trace_model(torchvision.models.resnet18(weights=None).eval(), frozen=True)
    anatomy = anatomy_of(model, (64, 64))
    paths = [part.path for part in anatomy.parts]
    assert paths[:6] == ["images", "conv1", "bn1", "relu", "maxpool", "layer1.0"]
    assert "layer4.1" in paths
    assert paths[-1] == "fc"


def test_the_words_of_an_open_vocabulary_are_one_part() -> None:
    anatomy = anatomy_of(traced("yolov8n-world.yaml"), (640, 640))
    assert [part.path for part in anatomy.parts if part.kind == "input"] == ["images", "prompts"]
