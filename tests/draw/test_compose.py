from __future__ import annotations

import pytest

from kdgraph.draw.lanes import place_of_level
from kdgraph.draw.scene import DETAILS, MIDDLE, Scene
from tests.draw.pictures import NECK, diff_scene, faults, model_scene, spec_scene
from tests.graph.zoo_cases import CASES

SEVERAL = """\
student: yolo11n.yaml
teachers: {large: yolo11s.yaml, old: yolov8n.yaml}
edges:
  neck: {taps: neck.*, criterion: pkd, teacher: large}
  cls: {taps: head.cls.*, criterion: qfl, teacher: [large, old]}
"""
SELF = """\
student: yolo11n.yaml
teacher: student
edges:
  deep: {taps: {student: backbone.p4, teacher: neck.p4}, criterion: pkd}
"""


@pytest.mark.parametrize("name", sorted({case.model for case in CASES if "world" not in case.model}))
def test_every_model_is_drawn_without_a_fault(name: str) -> None:
    scene = model_scene(name)
    for detail in DETAILS:
        assert list(faults(scene.views[detail])) == []


@pytest.mark.parametrize("text", [NECK, SEVERAL, SELF], ids=["neck", "several teachers", "self-teaching"])
def test_specs_are_drawn_without_a_fault(text: str) -> None:
    for detail in DETAILS:
        assert list(faults(spec_scene(text).views[detail])) == []


@pytest.mark.parametrize("teacher", ["yolov8s.yaml", "yolo26n-seg.yaml", "rtdetr-l.yaml"])
def test_two_models_are_drawn_without_a_fault(teacher: str) -> None:
    for detail in DETAILS:
        assert list(faults(diff_scene("yolo11n.yaml", teacher).views[detail])) == []


def test_levels_of_both_models_stand_at_one_height() -> None:
    scene = diff_scene("yolo11n.yaml", "yolo26n-seg.yaml")
    for detail in DETAILS:
        view = scene.views[detail]
        rows = {band.row: band for band in view.bands}
        for key, rect in view.plane.boxes.items():
            if key in scene.boxes:
                band = rows[place_of_level(scene.boxes[key].level)]
                assert band.y <= rect.top
                assert rect.bottom <= band.y + band.h


def test_heads_meet_in_the_middle_where_the_terms_stand() -> None:
    columns = spec_scene(NECK).views["layers"].columns
    sides = [(column.role, column.title) for column in columns]
    assert sides[0] == ("teacher", "backbone")
    assert sides[3:6] == [("teacher", "head"), (MIDDLE, ""), ("student", "head")]
    assert sides[-1] == ("student", "backbone")


def test_what_is_tapped_says_so_at_every_level_of_detail() -> None:
    scene = spec_scene(NECK)
    tapped = [key for key in scene.tapped if key.startswith("student:")]
    assert [key for key in tapped if ":node:" in key] == [
        "student:node:model_16_cv2_act",
        "student:node:model_19_cv2_act",
        "student:node:model_22_cv2_act",
    ]
    assert {key for key in tapped if key.startswith("student:model.")} == {
        "student:model.16", "student:model.19", "student:model.22",
    }  # fmt: skip
    assert len([key for key in tapped if ":stage." in key]) == 3
    assert scene.tapped["teacher:model.19"] == ("neck.p4",)


def test_what_no_edge_needs_is_pruned_in_the_picture_as_in_the_plan() -> None:
    scene = spec_scene(NECK)
    heads = {key for key, box in scene.boxes.items() if box.kind == "head" and ":node:" not in key}
    decoded = "student:head.box"  # a tap only: the student's own loss decodes its boxes itself
    assert heads & scene.pruned == {decoded, *(key for key in heads if key.startswith("teacher:"))}
    others = {key for key in scene.pruned - heads if ":node:" not in key}
    assert others == set()
    norms = [key for key in scene.boxes if key.startswith("teacher:node:model_0_bn")]
    assert not scene.pruned & set(norms)  # folded, which is not gone


def test_a_model_alone_has_no_terms() -> None:
    scene = model_scene("yolo11n.yaml")
    assert _between(scene) == 0
    assert not scene.pruned
    assert not scene.tapped


def _between(scene: Scene) -> int:
    return sum(column.role == MIDDLE for column in scene.views["layers"].columns)
