from __future__ import annotations

from xml.etree import ElementTree

import pygraphviz
import pytest

from kdgraph.draw.graphviz import rendered
from kdgraph.draw.render import dot_of
from kdgraph.draw.scene import Detail, Scene
from tests.draw.pictures import NECK, diff_scene, model_scene, spec_scene

SVG = "{http://www.w3.org/2000/svg}"


def svg(scene: Scene, detail: Detail = "layers") -> ElementTree.Element:
    return ElementTree.fromstring(rendered(dot_of(scene, detail), "svg"))


def texts(root: ElementTree.Element) -> list[str]:
    return [(element.text or "").replace("\xa0", " ") for element in root.iter(f"{SVG}text")]


@pytest.mark.parametrize("detail", ["stages", "layers", "nodes"])
def test_every_box_of_a_view_is_in_the_picture(detail: Detail) -> None:
    scene = model_scene("yolo11n.yaml")
    ids = {element.get("id") for element in svg(scene, detail).iter(f"{SVG}g")}
    boxes = {key for key in scene.views[detail].plane.boxes if key in scene.boxes}
    if detail == "nodes":
        boxes |= {f"student:node:{node.name}" for inside in scene.insides.values() for node in inside.nodes}
    assert boxes <= ids


def test_a_box_says_its_tap_type_shape_stride_and_cost() -> None:
    said = texts(svg(model_scene("yolo11n.yaml")))
    place = said.index("neck.p3")
    assert said[place - 1 : place + 3] == [
        "16 C3k2",
        "neck.p3",
        "64×80×80  /8",
        "32.1 k params · 0.406 GFLOPs",
    ]


def test_a_term_says_its_criterion_weight_mask_and_adapter() -> None:
    text = (
        "student: yolo11n.yaml\nteacher: yolo11s.yaml\nedges:\n"
        "  neck: {taps: neck.p4, criterion: mimic, mask: foreground, weight: 2, until: -5}\n"
    )
    said = texts(svg(spec_scene(text)))
    place = said.index("neck: neck.p4")
    assert said[place + 1 : place + 5] == [
        "mimic, weight 2",
        "until 5 epochs before the end",
        "mask foreground (of: student, topk: 10)",
        "conv1x1 128 → 256, 33 k params",
    ]


def test_boxes_stand_where_the_scene_puts_them() -> None:
    scene = diff_scene("yolo11n.yaml", "yolov8s.yaml")
    graph = dot_of(scene, "layers")
    height = float(graph.graph_attr["bb"].split(",")[3])
    for key, rect in scene.views["layers"].plane.boxes.items():
        x, y = map(float, graph.get_node(key).attr["pos"].split(","))
        assert (x, height - y) == pytest.approx((rect.x, rect.y), abs=0.11)


def test_what_is_pruned_is_dashed_and_what_is_tapped_has_a_ring() -> None:
    graph = dot_of(spec_scene(NECK), "layers")
    assert "dashed" in graph.get_node("teacher:model.23.cv3.0").attr["style"]
    assert "dashed" not in graph.get_node("student:model.23.cv3.0").attr["style"]
    widths = [graph.get_node(key).attr["penwidth"] for key in ("teacher:model.16", "teacher:model.15")]
    assert widths == ["3", "1"]


def test_the_dot_text_draws_the_same_picture() -> None:
    graph = dot_of(spec_scene(NECK), "stages")
    again = ElementTree.fromstring(rendered(pygraphviz.AGraph(str(graph)), "svg"))
    places = [
        [(text.text, text.get("x"), text.get("y")) for text in root.iter(f"{SVG}text")]
        for root in (again, svg(spec_scene(NECK), "stages"))
    ]
    assert sorted(places[0]) == sorted(places[1])
