"""The built-in dataset: complete, the same every time, and with boxes that are where the glyphs are."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from kdgraph.errors import DataError
from kdgraph.spec.data import BUILTIN, data_info
from kdgraph.train import glyphs as module
from kdgraph.train.glyphs import SPLITS, VERSION, cache_folder, glyphs
from kdgraph.train.scenes import GLYPHS, SIZE, draw_scene


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return glyphs(tmp_path_factory.mktemp("cache")).parent


FEW = """
import sys; from pathlib import Path; from kdgraph.train import glyphs
glyphs.SPLITS = {"train": 40, "val": 10}
glyphs.glyphs(Path(sys.argv[1]))
"""


def test_the_classes_are_those_that_the_spec_layer_knows() -> None:
    assert tuple(GLYPHS) == BUILTIN["builtin:glyphs"]


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
