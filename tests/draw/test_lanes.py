from __future__ import annotations

import pytest

from kdgraph.draw.lanes import band_name, band_stride, lanes_of, place_of_level
from kdgraph.draw.parts import anatomy_of
from tests.draw.pictures import traced


@pytest.mark.parametrize(
    ("name", "titles"),
    [
        ("yolo11n.yaml", ["backbone", "neck, top-down", "neck, bottom-up", "head"]),
        ("yolov8n-p6.yaml", ["backbone", "neck, top-down", "neck, bottom-up", "head"]),
        ("yolov3.yaml", ["backbone", "neck", "head"]),  # it goes up only
        ("yolov9e.yaml", ["backbone", "backbone", "neck, top-down", "neck, bottom-up", "head"]),
        ("yolo11n-cls.yaml", ["backbone", "head"]),
    ],
)
def test_a_lane_goes_one_way(name: str, titles: list[str]) -> None:
    anatomy = anatomy_of(traced(name), (640, 640))
    lanes = lanes_of(anatomy.parts)
    assert [lane.title for lane in lanes] == titles
    assert [part for lane in lanes for part in lane.parts] == list(anatomy.parts)
    for lane in lanes[:-1]:
        places = [place_of_level(part.level) for part in lane.parts]
        assert places == sorted(places, reverse=lane.upwards)


def test_rows_have_names_and_strides() -> None:
    assert (band_name(place_of_level("p3")), band_stride(3)) == ("P3", 8)
    assert (band_name(place_of_level(None)), band_stride(place_of_level(None))) == ("all levels", None)
    assert band_name(0) == "image"
