from __future__ import annotations

import json
from pathlib import Path

import pytest

from kdgraph.draw.api import dpi, html_of, write
from kdgraph.draw.data import scene_data
from kdgraph.errors import DrawError
from tests.draw.pictures import NECK, diff_scene, model_scene, spec_scene

STARTS = {
    ".svg": b"<?xml",
    ".png": b"\x89PNG",
    ".pdf": b"%PDF",
    ".dot": b"digraph",
    ".html": b"<!doctype html>",
}


@pytest.mark.parametrize("suffix", STARTS)
def test_the_ending_of_the_file_says_the_format(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / "new folder" / f"picture{suffix.upper() if suffix == '.svg' else suffix}"
    write(spec_scene(NECK), file, "stages")
    assert file.read_bytes().lower().startswith(STARTS[suffix].lower())


@pytest.mark.parametrize("name", ["picture.bmp", "picture", "picture.svgz"])
def test_an_unknown_format_is_told_with_the_known_ones(name: str, tmp_path: Path) -> None:
    with pytest.raises(DrawError, match=r"(?s)KD601.*\.svg, \.png, \.pdf") as raised:
        write(model_scene("yolo11n.yaml"), tmp_path / name)
    assert "no format" in str(raised.value)


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file, not a folder")
    with pytest.raises(DrawError, match="KD602"):
        write(model_scene("yolo11n.yaml"), tmp_path / "taken" / "picture.svg")
    (tmp_path / "folder.svg").mkdir()
    with pytest.raises(DrawError, match="KD602"):
        write(model_scene("yolo11n.yaml"), tmp_path / "folder.svg")


def test_a_page_of_two_large_models_stays_small() -> None:
    page = html_of(diff_scene("yolo11n.yaml", "yolo11x.yaml"), "nodes")
    assert len(page.encode()) < 3_000_000


def test_the_page_holds_all_of_the_scene() -> None:
    scene = spec_scene(NECK)
    data = json.loads(html_of(scene).split('id="scene">')[1].split("</script>")[0])
    assert data["boxes"].keys() == scene.boxes.keys()
    assert data["terms"]["neck.p4"]["boxes"] == [
        "student:node:model_19_cv2_act",
        "teacher:node:model_19_cv2_act",
    ]
    shown = {box["key"] for box in data["views"]["layers"]["boxes"]}
    inner = {box["key"] for inside in data["insides"].values() for box in inside["boxes"]}
    stages = {box["key"] for box in data["views"]["stages"]["boxes"]}
    assert shown | inner | stages == scene.boxes.keys()
    assert [model["kept"]["params"] > 0 for model in data["models"]] == [True, True]


def test_what_is_not_drawn_is_said() -> None:
    [note] = model_scene("rtdetr-l.yaml").notes
    assert note.startswith("rtdetr-l.yaml is drawn up to its last layer, ")
    assert "RTDETRDecoder" in note
    assert model_scene("yolo11n.yaml").notes == ()


def test_a_repeated_block_that_is_not_drawn_is_found_in_the_one_that_is() -> None:
    boxes = scene_data(model_scene("yolov8m.yaml"), "layers")["boxes"]
    drawn = boxes["student:node:model_2_m_0_cv1_conv"]
    assert drawn["alike"] == ["model.2.m.1.cv1.conv"]


def test_a_bitmap_is_no_larger_than_can_be_made() -> None:
    scene = model_scene("yolov9e.yaml")
    sides = scene.views["nodes"].plane.width, scene.views["nodes"].height
    assert 25_000 < max(sides) * dpi(scene, "nodes") / 72 < 32_767  # what Cairo makes
    assert dpi(scene, "stages") == 144
