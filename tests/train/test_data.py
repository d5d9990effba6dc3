"""A dataset is checked before the training: every fault by its text, and what Ultralytics accepts passes."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from kdgraph.errors import CODES, DataError
from kdgraph.graph.quiet import quiet
from kdgraph.train import glyphs
from kdgraph.train.data import check_dataset, split_images
from kdgraph.train.labels import SAMPLED, label_faults

YAML = "train: images/train\nval: images/val\nnames: [cat, dog]\n"
BOX = "1 0.5 0.5 0.2 0.2\n"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sound dataset of two images in each split, in the working directory."""
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "set"
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True)
        for name in ("a", "b"):
            cv2.imwrite(str(root / "images" / split / f"{name}.jpg"), np.zeros((32, 32, 3), np.uint8))
            (root / "labels" / split / f"{name}.txt").write_text(BOX)
    (root / "data.yaml").write_text(YAML)
    return root


def refusals(data: Path | str, task: str = "detect") -> list[str]:
    with pytest.raises(DataError) as caught:
        check_dataset(str(data), task=task)
    for fault in caught.value.diagnostics:
        assert fault.code in CODES
        assert fault.hint, "a refusal must say the way out"
    return [fault.render() for fault in caught.value.diagnostics]


def refusal(data: Path | str, task: str = "detect") -> str:
    (text,) = refusals(data, task)
    return text


def test_a_sound_dataset(data: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert check_dataset("set/data.yaml") == str(data / "data.yaml")
    assert check_dataset("data.yaml", base=data) == str(data / "data.yaml")
    assert len(split_images(data / "data.yaml")) == 4
    assert capfd.readouterr() == ("", "")


def test_ultralytics_accepts_what_is_returned(data: Path) -> None:
    from ultralytics.data.utils import check_det_dataset

    assert check_det_dataset(check_dataset("set/data.yaml"))["nc"] == 2


def test_the_built_in_dataset_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDGRAPH_CACHE", str(tmp_path))
    monkeypatch.setattr(glyphs, "SPLITS", {"train": 4, "val": 2})
    assert check_dataset("builtin:glyphs") == str(tmp_path / "glyphs-v1" / "data.yaml")
    made = check_dataset("builtin:glyphs-pose", task="pose")
    assert made == str(tmp_path / "glyphs-pose-v1" / "data.yaml")


def test_lists_of_images(data: Path) -> None:
    (data / "train.txt").write_text("./images/train/a.jpg\n" + str(data / "images/train/b.jpg") + "\r\n\n")
    (data / "data.yaml").write_text(YAML.replace("train: images/train", "train: [train.txt, images/train]"))
    check_dataset("set/data.yaml")
    (data / "train.txt").write_text("./images/train/c.jpg\n")
    (data / "data.yaml").write_text(YAML.replace("train: images/train", "train: train.txt"))
    assert refusal("set/data.yaml") == (
        f"error[KD403] none of the 1 train images exists, e.g. {data}/images/train/c.jpg\n"
        f"  hint: correct the paths in {data}/train.txt"
    )


def test_a_yaml_one_folder_too_deep(data: Path) -> None:
    (data / "data.yaml").write_text(YAML.replace("images/", "../images/"))
    check_dataset("set/data.yaml")


def test_polygons_and_keypoints_are_boxes_too(data: Path) -> None:
    (data / "labels/train/a.txt").write_text("0 0.1 0.1 0.9 0.1 0.5 0.9\n")
    check_dataset("set/data.yaml")
    (data / "data.yaml").write_text(YAML + "kpt_shape: [2, 2]\n")
    (data / "labels/train/a.txt").write_text("0 0.5 0.5 0.2 0.2 0.1 0.1 0.9 0.9\n")
    check_dataset("set/data.yaml")


def test_a_wrong_yaml_is_told_as_in_the_check(data: Path) -> None:
    (data / "data.yaml").write_text("names: [a]\n")
    assert len(refusals("set/data.yaml")) == 2


def test_a_missing_split_folder(data: Path) -> None:
    shutil.rmtree(data / "images" / "val")
    assert refusal("set/data.yaml") == (
        f"error[KD401] {data}/data.yaml: {data}/images/val does not exist\n"
        "  hint: correct 'path', 'train' and 'val' in it"
    )


def test_a_path_relative_to_the_yaml(data: Path) -> None:
    (data / "deep").mkdir()
    (data / "deep" / "data.yaml").write_text(f"path: ../../{data.name}\n{YAML}")
    assert refusal("set/deep/data.yaml").endswith(
        f"hint: a relative 'path' is not taken from the yaml's folder: write `path: {data}`"
    )


def test_an_empty_folder(data: Path) -> None:
    for file in (data / "images" / "train").iterdir():
        file.unlink()
    assert refusal("set/data.yaml") == (
        f"error[KD403] no train images in {data}/images/train\n  hint: put images there, or correct the path"
    )


def test_images_without_labels(data: Path) -> None:
    shutil.rmtree(data / "labels")
    train, val = refusals("set/data.yaml")
    assert train == (
        "error[KD404] the train images have no labels: 0 of 2 label files exist, none has an object\n"
        "  hint: a label file lies in 'labels' where its image lies in 'images', "
        f"e.g. {data}/labels/train/a.txt"
    )
    assert val.startswith("error[KD404] the val images have no labels: 0 of 2 label files exist")


def test_label_files_that_are_all_empty(data: Path) -> None:
    for file in (data / "labels" / "train").iterdir():
        file.write_text("\n")
    assert refusal("set/data.yaml").startswith(
        "error[KD404] the train images have no labels: 2 of 2 label files exist, none has an object"
    )


def test_an_image_without_objects_is_fine(data: Path) -> None:
    (data / "labels/train/a.txt").unlink()
    (data / "labels/val/a.txt").write_text("")
    check_dataset("set/data.yaml")


def test_a_class_out_of_range(data: Path) -> None:
    (data / "labels/train/a.txt").write_text(BOX + "2 0.5 0.5 0.2 0.2\n")
    file = data / "labels/train/a.txt"
    assert refusal("set/data.yaml") == (
        f"{file}:2:1: error[KD405] a line of the train labels: no such class in the dataset\n"
        "    2 | 2 0.5 0.5 0.2 0.2\n"
        "      | ^\n"
        "  hint: its 2 classes are 0 to 1: add the class to 'names', or mend the labels"
    )
    (data / "labels/train/b.txt").write_text("7 0.5 0.5 0.2 0.2\n")
    assert "error[KD405] 2 lines of the train labels: no such class in the dataset" in refusal(
        "set/data.yaml"
    )


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1 0.5 0.5 0.2", "4 numbers where a box has 5"),
        ("1 0.5 0.5 0.2 0.2 0.9", "6 numbers where a box has 5"),
        ("cat 0.5 0.5 0.2 0.2", "not all numbers"),
        ("1.5 0.5 0.5 0.2 0.2", "1.5 is no class number"),
        ("-1 0.5 0.5 0.2 0.2", "-1 is no class number"),
        ("1 320 240 64 48", "coordinates outside 0 to 1: they are fractions of the image, not pixels"),
        ("1 0.5 0.5 nan 0.2", "coordinates outside 0 to 1: they are fractions of the image, not pixels"),
        ("1 0.5 -0.5 0.2 0.2", "coordinates outside 0 to 1: they are fractions of the image, not pixels"),
        ("nan 0.5 0.5 0.2 0.2", "nan is no class number"),
        ("\x00\xff", "not all numbers"),
    ],
)
def test_a_line_that_cannot_be_used(line: str, reason: str, data: Path) -> None:
    (data / "labels/val/b.txt").write_text(BOX + line)
    text = refusal("set/data.yaml")
    assert (
        f"{data}/labels/val/b.txt:2:1: error[KD405] a line of the val labels cannot be used: {reason}\n"
        in text
    )
    assert text.endswith("hint: each line is `class x y width height`, centre and size from 0 to 1; "
                         "mend it or take it out")  # fmt: skip


# -- what each task needs --


TRIANGLE, SQUARE = "1 0.1 0.1 0.9 0.1 0.5 0.9", "1 0.1 0.1 0.9 0.1 0.9 0.9 0.1 0.9"
FLAT_POSE = "1 0.5 0.5 0.2 0.2 0.1 0.1 0.9 0.9"  # two keypoints without visibility


def labelled(data: Path, *lines: str, keypoints: str = "") -> None:
    """Every label file of the dataset with these lines."""
    (data / "data.yaml").write_text(YAML + (f"kpt_shape: {keypoints}\n" if keypoints else ""))
    for split in ("train", "val"):
        for file in (data / "labels" / split).iterdir():
            file.write_text("\n".join(lines) + "\n")


def usable(data: Path, task: str, shape: tuple[int, int] | None) -> bool:
    """Whether Ultralytics' own loader keeps every image of the split, and every line of it."""
    from ultralytics.data.dataset import YOLODataset
    from ultralytics.data.utils import check_det_dataset

    content = check_det_dataset(str(data / "data.yaml"))
    lines = (data / "labels/train/a.txt").read_text().splitlines()
    try:
        with quiet():
            made = YOLODataset(img_path=content["train"], data=content, task=task, imgsz=32)
    except (ValueError, RuntimeError, AssertionError):
        return False
    return len(made.labels) == 2 and all(len(each["cls"]) == len(lines) for each in made.labels)


KINDS = {
    "box": BOX.strip(),
    "triangle": TRIANGLE,
    "square": SQUARE,
    "pose": FLAT_POSE,
    "pose of three": "1 0.5 0.5 0.2 0.2 0.1 0.1 2 0.9 0.9 1",
    "six": "1 0.5 0.5 0.2 0.2 0.3",
    "even": "1 0.1 0.1 0.9 0.1 0.9 0.9 0.1",
}


@pytest.mark.parametrize("task", ["detect", "segment", "pose", "obb"])
@pytest.mark.parametrize("shape", [None, (2, 2), (2, 3)])
@pytest.mark.parametrize("kind", KINDS)
def test_a_line_is_accepted_where_ultralytics_accepts_it(
    task: str, shape: tuple[int, int] | None, kind: str, data: Path
) -> None:
    labelled(data, KINDS[kind], keypoints=str([*shape]) if shape else "")
    try:
        check_dataset("set/data.yaml", task=task)
    except DataError:
        accepted = False
    else:
        accepted = True
    assert accepted == usable(data, task, shape)


@pytest.mark.parametrize("task", ["detect", "segment"])
def test_boxes_and_polygons_in_one_file(task: str, data: Path) -> None:
    labelled(data, BOX.strip(), TRIANGLE)
    assert not usable(data, task, None)
    wanted = {"detect": "boxes and polygons in one file", "segment": "5 numbers where a polygon has"}
    assert all(f"cannot be used: {wanted[task]}" in text for text in refusals("set/data.yaml", task))


@pytest.mark.parametrize(
    ("task", "line", "shape", "reason", "hint"),
    [
        (
            "segment", BOX.strip(), "", "5 numbers where a polygon has 7, 9 or more",
            "each line is `class x1 y1 x2 y2 x3 y3 …`, coordinates from 0 to 1; mend it or take it out; "
            "boxes need a student that detects",
        ),
        (
            "obb", BOX.strip(), "", "5 numbers where a rotated box has 9",
            "each line is `class x1 y1 x2 y2 x3 y3 x4 y4`, coordinates from 0 to 1; mend it or take it out; "
            "boxes need a student that detects",
        ),
        (
            "pose", BOX.strip(), "[17, 3]", "5 numbers where a pose of 17 keypoints has 56",
            "each line is `class x y width height` and 17 times `x y visibility`, coordinates from 0 to 1; "
            "mend it or take it out; boxes need a student that detects",
        ),
        (
            "pose", "1 0.5 0.5 0.2 0.2 0.1 0.1 90 0.9", "[2, 2]",
            "coordinates outside 0 to 1: they are fractions of the image, not pixels",
            "each line is `class x y width height` and 2 times `x y`, coordinates from 0 to 1; "
            "mend it or take it out; boxes need a student that detects",
        ),
    ],
)  # fmt: skip
def test_what_a_task_needs_is_said(
    task: str, line: str, shape: str, reason: str, hint: str, data: Path
) -> None:
    labelled(data, line, keypoints=shape)
    text = refusals("set/data.yaml", task)[0]
    assert f"error[KD405] 2 lines of the train labels cannot be used: {reason}\n" in text
    assert text.endswith(f"  hint: {hint}")


def test_poses_of_a_dataset_without_keypoints(data: Path) -> None:
    assert refusal("set/data.yaml", "pose") == (
        "error[KD405] data has no keypoints, which a pose student learns from\n"
        "  hint: give it a 'kpt_shape', take a student that detects, or use builtin:glyphs-pose"
    )


def test_visibility_is_no_coordinate(data: Path) -> None:
    labelled(data, "1 0.5 0.5 0.2 0.2 0.1 0.1 2 0.9 0.9 1", keypoints="[2, 3]")
    check_dataset("set/data.yaml", task="pose")
    check_dataset("set/data.yaml", task="detect")


def test_many_label_files_are_sampled(tmp_path: Path) -> None:
    (tmp_path / "0.txt").write_text(BOX)
    files = [str(tmp_path / f"{index}.txt") for index in range(20 * SAMPLED)]
    start = time.perf_counter()
    assert label_faults(files, "train", 2) == []
    assert time.perf_counter() - start < 2


def test_one_label_is_found_wherever_it_is(tmp_path: Path) -> None:
    (tmp_path / "1.txt").write_text(BOX)  # every other file is read, beginning with 0
    files = [str(tmp_path / f"{index}.txt") for index in range(2 * SAMPLED)]
    assert label_faults(files, "train", 2) == []


# -- downloads --


@pytest.fixture
def offline(data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")  # nothing listens there
    for variable in ("no_proxy", "NO_PROXY", "YOLO_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)
    return data


def test_a_dataset_to_download_without_network(offline: Path, capfd: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(offline / "images")
    (offline / "data.yaml").write_text(YAML + "download: https://example.com/set.zip\n")
    start = time.perf_counter()
    assert refusal("set/data.yaml") == (
        "error[KD406] data.yaml is not on disk and cannot be downloaded "
        "(example.com does not answer: ProxyError)\n"
        f"  hint: put its images at {offline}/images/train, or use builtin:glyphs"
    )
    assert time.perf_counter() - start < 5
    assert capfd.readouterr() == ("", "")


def test_a_shipped_dataset_without_network(offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ultralytics.utils.DATASETS_DIR", offline / "datasets")
    assert refusal("coco8.yaml").startswith(
        "error[KD406] coco8.yaml is not on disk and cannot be downloaded "
        "(github.com does not answer: ProxyError)"
    )


def test_a_script_in_a_yaml_is_not_run(data: Path) -> None:
    shutil.rmtree(data / "images")
    (data / "data.yaml").write_text(YAML + "download: open('ran', 'w')\n")
    assert refusal("set/data.yaml") == (
        f"error[KD406] {data}/images/train does not exist, "
        f"and {data}/data.yaml would run a script to make it\n"
        "  hint: prepare the dataset first: kdgraph runs no code from a dataset's yaml"
    )
    assert not Path("ran").exists()
