"""The built-in dataset: complete, the same every time, and with boxes that are where the glyphs are."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from kdgraph.errors import DataError
from kdgraph.spec.data import BUILTIN, BUILTIN_KEYPOINTS, data_info
from kdgraph.train import glyphs as module
from kdgraph.train.data import check_dataset
from kdgraph.train.glyph_labels import LINES
from kdgraph.train.glyphs import SPLITS, VERSION, cache_folder, glyphs
from kdgraph.train.scenes import GLYPHS, SIZE, draw_scene


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return glyphs(tmp_path_factory.mktemp("cache")).parent


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The datasets of the other tasks, with few pictures."""
    cache = tmp_path_factory.mktemp("others")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SPLITS", {"train": 4, "val": 40})
        return {task: glyphs(cache, f"glyphs-{task}").parent for task in ("seg", "pose", "obb")}


def rows_of(dataset: Path, index: int, split: str = "val") -> list[list[float]]:
    lines = (dataset / "labels" / split / f"{index:04}.txt").read_text().splitlines()
    return [[float(value) for value in line.split()] for line in lines]


FEW = """
import sys; from pathlib import Path; from kdgraph.train import glyphs
glyphs.SPLITS = {"train": 40, "val": 10}
glyphs.glyphs(Path(sys.argv[1]))
"""


def test_the_classes_are_those_that_the_spec_layer_knows() -> None:
    assert tuple(GLYPHS) == BUILTIN["builtin:glyphs"]
    assert LINES.keys() == {name.removeprefix("builtin:") for name in BUILTIN}
    assert {name: BUILTIN[name] for name in BUILTIN} == dict.fromkeys(BUILTIN, tuple(GLYPHS))


def test_its_bytes_are_those_of_version_1(made: Path) -> None:
    """With any change here VERSION must be raised: results are compared across runs."""
    digest = hashlib.sha256()
    for file in sorted((made / "labels").rglob("*.txt")):
        digest.update(file.read_bytes())
    assert digest.hexdigest() == "64103fb8b96f615fb5cf20b9b35ba39fdb68c0282fda4eb750178f50c62c2b3d"


def test_it_is_a_dataset_in_the_layout_of_ultralytics(made: Path) -> None:
    assert data_info(str(made / "data.yaml")).names == dict(enumerate(GLYPHS))
    for split, count in SPLITS.items():
        images, labels = (sorted((made / kind / split).iterdir()) for kind in ("images", "labels"))
        assert [i.stem for i in images] == [each.stem for each in labels]
        assert len(images) == count


def test_labels_are_boxes_within_the_picture_and_all_classes_are_common(made: Path) -> None:
    for split in SPLITS:
        text = "".join(file.read_text() for file in (made / "labels" / split).iterdir())
        rows = np.array([line.split() for line in text.splitlines()], dtype=float)
        low, high = rows[:, 1:3] - rows[:, 3:] / 2, rows[:, 1:3] + rows[:, 3:] / 2
        assert (low > -1e-5).all()
        assert (high < 1 + 1e-5).all()
        assert np.bincount(rows[:, 0].astype(int), minlength=8).min() > 0.08 * len(rows)


def test_boxes_are_tight_around_what_is_drawn() -> None:
    """On a flat photograph all that differs was drawn: the boxes end where the difference ends."""
    flat = [np.full((SIZE, SIZE, 3), 128, np.uint8)]
    for index in range(100):
        picture, boxes = draw_scene(flat, (0, 0, index))
        differs = np.abs(picture.astype(int) - picture[0, 0]).max(2) > 30
        if boxes and not differs[-1, -1]:  # else the corner is not background
            rows, columns = np.flatnonzero(differs.any(1)), np.flatnonzero(differs.any(0))
            ends = [min(b.left for b in boxes), min(b.top for b in boxes)]
            ends += [max(b.right for b in boxes), max(b.bottom for b in boxes)]
            found = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
            assert np.abs(found - ends).max() <= 2, index


def test_the_pictures_are_what_was_drawn(made: Path) -> None:
    picture = cv2.imread(str(made / "images" / "val" / "0003.png"))
    drawn, boxes = draw_scene(module._photographs(), (VERSION, 1, 3))
    assert np.array_equal(picture, drawn)
    assert len((made / "labels" / "val" / "0003.txt").read_text().splitlines()) == len(boxes)


def test_processes_make_the_same_bytes_and_do_not_disturb_each_other(made: Path, tmp_path: Path) -> None:
    both = [subprocess.Popen([sys.executable, "-c", FEW, str(tmp_path)]) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert [folder.name for folder in tmp_path.iterdir()] == [made.name]  # no draft is left behind
    files = [file.relative_to(tmp_path / made.name) for file in tmp_path.rglob("*.*") if file.is_file()]
    assert len(files) == 101
    for file in files:
        assert (tmp_path / made.name / file).read_bytes() == (made / file).read_bytes(), file


def test_it_is_made_once(made: Path) -> None:
    start = time.perf_counter()
    assert glyphs(made.parent) == made / "data.yaml"
    assert time.perf_counter() - start < 0.1


def test_a_half_made_dataset_is_never_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> bool:
        raise OSError("no space left on device")

    monkeypatch.setattr(cv2, "imwrite", full)
    with pytest.raises(DataError, match="builtin:glyphs cannot be made: no space left") as caught:
        glyphs(tmp_path)
    assert "hint: set KDGRAPH_CACHE to a folder that can be written" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    with pytest.raises(DataError, match=r"error\[KD401\] builtin:glyphs cannot be made: "):
        glyphs(tmp_path / "cache")


def test_the_cache_folder_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDGRAPH_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("KDGRAPH_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "kdgraph"


def test_a_scene_does_not_depend_on_those_before_it() -> None:
    photo = [np.zeros((SIZE, SIZE, 3), np.uint8)]
    first, boxes = draw_scene(photo, (1, 2, 3))
    draw_scene(photo, (9, 9, 9))
    again, same = draw_scene(photo, (1, 2, 3))
    assert np.array_equal(first, again)
    assert boxes == same


# -- the other tasks --


@pytest.mark.parametrize(("name", "task"), [("seg", "segment"), ("pose", "pose"), ("obb", "obb")])
def test_each_task_has_a_sound_dataset_of_the_same_pictures(
    name: str, task: str, made: Path, others: dict[str, Path]
) -> None:
    file = others[name] / "data.yaml"
    assert check_dataset(str(file), task=task) == str(file)
    assert data_info(str(file)).kpt_shape == BUILTIN_KEYPOINTS.get(f"builtin:glyphs-{name}")
    for index in range(40):
        picture = Path("images") / "val" / f"{index:04}.png"
        assert (others[name] / picture).read_bytes() == (made / picture).read_bytes()
        classes = [row[0] for row in rows_of(others[name], index)]
        assert classes == [row[0] for row in rows_of(made, index)]


def test_outlines_cover_what_was_drawn() -> None:
    """A glyph alone on a flat picture: filled by OpenCV, its outline is what differs from the ground."""
    flat = [np.full((SIZE, SIZE, 3), 128, np.uint8)]
    overlaps = []
    for index in range(100):
        picture, shown = draw_scene(flat, (0, 0, index))
        ground = np.median(picture.reshape(-1, 3), 0)
        drawn = (np.abs(picture - ground).max(2) > 40).astype(np.uint8)
        filled = np.zeros((SIZE, SIZE), np.uint8)
        for glyph in shown:
            points = np.array(LINES["glyphs-seg"](glyph).split()[1:], float).reshape(-1, 2) * SIZE
            assert (points >= 0).all()
            assert (points <= SIZE).all()
            cv2.fillPoly(filled, [np.round(points - 0.5).astype(np.int32)], 1)
        if shown:
            overlaps.append((drawn & filled).sum() / (drawn | filled).sum())
    assert len(overlaps) > 80
    assert np.quantile(overlaps, 0.1) > 0.75
    assert np.median(overlaps) > 0.85


def test_holes_are_not_part_of_an_outline(others: dict[str, Path]) -> None:
    from ultralytics.data.utils import polygon2mask

    seen = 0
    for index in range(40):
        for label, *numbers in rows_of(others["seg"], index):
            points = np.array(numbers).reshape(-1, 2) * SIZE
            middle = (points.min(0) + points.max(0)) / 2
            whole = points.min() > 1 and points.max() < SIZE - 1
            if label == list(GLYPHS).index("ring") and whole:
                mask = polygon2mask((SIZE, SIZE), [points.ravel()])
                x, y = middle.round().astype(int)
                assert mask[y - 1 : y + 2, x - 1 : x + 2].sum() == 0
                assert mask.sum() > 100
                seen += 1
    assert seen > 3


def test_keypoints_are_the_corners_and_the_centre(others: dict[str, Path]) -> None:
    inside = 0
    for index in range(40):
        for _, x, y, width, height, *points in rows_of(others["pose"], index):
            table = np.array(points).reshape(5, 3)
            assert set(table[:, 2]) <= {0.0, 2.0}
            assert (table[table[:, 2] == 0] == 0).all()
            if (table[:, 2] == 2).all():
                upper_left, upper_right, lower_right, lower_left, centre = table[:, :2]
                assert upper_left[0] < upper_right[0]
                assert lower_left[0] < lower_right[0]
                assert upper_left[1] < lower_left[1]
                np.testing.assert_allclose((upper_left + lower_right) / 2, centre, atol=2e-6)
                np.testing.assert_allclose((upper_right + lower_left) / 2, centre, atol=2e-6)
                assert np.abs(centre - (x, y)).max() < max(width, height) / 2
                inside += 1
    assert inside > 50


def test_a_mirrored_glyph_has_the_keypoints_of_its_mirror(others: dict[str, Path]) -> None:
    """`flip_idx` names for each corner the one in whose place it is after a flip."""
    content = yaml.safe_load((others["pose"] / "data.yaml").read_text())
    corners = np.array([(0, 0), (1, 0), (1, 1), (0, 1), (0.5, 0.5)])
    mirrored = corners * (-1, 1) + (1, 0)
    np.testing.assert_array_equal(mirrored[content["flip_idx"]], corners)


def test_rotated_boxes_are_rectangles_around_the_outline(others: dict[str, Path]) -> None:
    checked = 0
    for index in range(40):
        outlines, boxes = rows_of(others["seg"], index), rows_of(others["obb"], index)
        for (_, *outline), (_, *corners) in zip(outlines, boxes, strict=True):
            box = np.array(corners).reshape(4, 2)
            if box.min() > 0 and box.max() < 1:  # else cut by the edge of the picture
                sides = np.roll(box, -1, 0) - box
                np.testing.assert_allclose(sides[0], -sides[2], atol=3e-6)
                assert abs(sides[0] @ sides[1]) < 1e-5
                (centre, size, angle) = cv2.minAreaRect((box * SIZE).astype(np.float32))
                larger = cv2.boxPoints((centre, (size[0] + 0.1, size[1] + 0.1), angle))
                points = (np.array(outline).reshape(-1, 2) * SIZE).astype(np.float32)
                assert all(cv2.pointPolygonTest(larger, (float(x), float(y)), False) >= 0 for x, y in points)
                touched = [cv2.pointPolygonTest(larger, (float(x), float(y)), True) < 0.2 for x, y in points]
                assert sum(touched) >= 2
                checked += 1
    assert checked > 50
