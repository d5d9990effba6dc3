from __future__ import annotations

import torchvision

from kdgraph.draw.candidates import candidates
from kdgraph.draw.parts import anatomy_of
from kdgraph.draw.scene import Pair, Subject
from kdgraph.graph.yolo import TracedModel, trace_model
from tests.draw.pictures import traced


def pairs(student: TracedModel, teacher: TracedModel) -> list[Pair]:
    subjects = (
        Subject(role, role, anatomy_of(model, (640, 640)))
        for role, model in (("student", student), ("teacher", teacher))
    )
    return candidates(*subjects)


def test_taps_of_one_name_and_level_are_pairs() -> None:
    found = {pair.name: pair for pair in pairs(traced("yolo11n.yaml"), traced("yolov8s.yaml"))}
    assert [name for name in found if name.startswith("neck")] == ["neck.p3", "neck.p4", "neck.p5"]
    assert found["neck.p4"].boxes == ("student:model.19", "teacher:model.18")
    assert (found["neck.p4"].channels, found["neck.p4"].stride) == ((128, 256), 16)
    assert found["head.dfl"].channels == (64, 64)


def test_what_means_something_else_is_no_pair() -> None:
    names = [pair.name for pair in pairs(traced("yolo11n.yaml"), traced("yolo26n.yaml"))]
    assert "head.cls" in names
    assert "head.box" in names  # distances on both sides
    assert "head.dfl" not in names  # YOLO26 has no bins
    assert "head.o2o.cls" not in names


def test_a_model_of_ones_own_is_paired_by_level() -> None:
    resnet = trace_model(torchvision.models.resnet18(weights=None).eval(), frozen=True)
    found = {pair.taps[0]: pair for pair in pairs(traced("yolo11n.yaml"), resnet)}
    assert found["backbone.p3"].taps == ("backbone.p3", "layer2")
    assert found["neck.p5"].boxes[1] == "teacher:layer4.1"
    assert found["neck.p5"].channels == (256, 512)


def test_what_has_no_common_meaning_is_no_pair() -> None:
    turned = {pair.name for pair in pairs(traced("yolo11n-obb.yaml"), traced("yolo11s.yaml"))}
    assert "neck.p3" in turned
    assert not {name for name in turned if name.startswith(("head.dfl", "head.box"))}
    names = {pair.name for pair in pairs(traced("yolo11n.yaml"), traced("yolo11n-cls.yaml"))}
    assert "backbone.p3" in names
    assert not {name for name in names if name.startswith("head")}
