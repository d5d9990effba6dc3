"""What a dataset yaml says, and every way it can be wrong, by its text."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kdgraph.errors import CODES, DataError, Span
from kdgraph.spec.data import BUILTIN, DataInfo, data_info

GOOD = "train: images/train\nval: images/val\nnames: [cat, dog]\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refusals(data: str, base: Path | None = None) -> list[str]:
    with pytest.raises(DataError) as caught:
        data_info(data, base)
    for fault in caught.value.diagnostics:
        assert fault.code in CODES
        assert fault.hint, "a refusal must say the way out"
    return [fault.render() for fault in caught.value.diagnostics]


def refusal(data: str) -> str:
    (text,) = refusals(data)
    return text


def test_the_built_in_dataset_is_known_without_making_it(here: Path) -> None:
    names = BUILTIN["builtin:glyphs"]
    assert data_info("builtin:glyphs") == DataInfo("glyphs", 8, dict(enumerate(names)), 3, None)
    poses = DataInfo("glyphs-pose", 8, dict(enumerate(names)), 3, None, (5, 3))
    assert data_info("builtin:glyphs-pose") == poses
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("names", ["[cat, dog]", "{0: cat, 1: dog}", "{'1': dog, '0': cat}"])
def test_names_as_list_or_mapping(names: str, here: Path) -> None:
    (here / "my.yaml").write_text(GOOD.replace("[cat, dog]", names) + "channels: 1\n")
    info = data_info("my.yaml")
    assert info == DataInfo("my", 2, {0: "cat", 1: "dog"}, 1, here / "my.yaml")


def test_a_count_without_names_numbers_the_classes(here: Path) -> None:
    (here / "my.yaml").write_text(GOOD.replace("names: [cat, dog]", "nc: 2"))
    assert data_info("my.yaml").names == {0: "class_0", 1: "class_1"}


def test_what_ultralytics_reads_too(here: Path) -> None:
    (here / "my.yaml").write_text("train: [a, b.txt]\nvalidation: c\nnames: [1, true]\nkpt_shape: [17, 3]\n")
    assert data_info("my.yaml").names == {0: "1", 1: "True"}


def test_keypoints(here: Path) -> None:
    (here / "my.yaml").write_text(GOOD + "kpt_shape: [3, 2]\nflip_idx: [1, 0, 2]\n")
    assert data_info("my.yaml").kpt_shape == (3, 2)
    (here / "my.yaml").write_text(GOOD + "kpt_shape: [3, 2]\n")
    assert data_info("my.yaml").kpt_shape == (3, 2)
    assert data_info("coco8-pose").kpt_shape == (17, 3)
    assert data_info("coco8-seg").kpt_shape is None


@pytest.mark.parametrize(("name", "classes"), [("coco8.yaml", 80), ("coco8", 80), ("DOTAv1.5", 16)])
def test_datasets_that_ultralytics_ships(name: str, classes: int, here: Path) -> None:
    info = data_info(name)
    assert info.nc == classes
    assert info.path is not None
    assert info.path.is_file()


def test_every_dataset_that_ultralytics_ships_for_detection_is_read(here: Path) -> None:
    info = data_info("coco8")
    assert info.path is not None
    for file in info.path.parent.glob("*.yaml"):
        if file.stem != "ImageNet" and "val" in file.read_text():
            assert data_info(str(file)).nc > 0


def test_a_path_is_also_looked_for_beside_the_spec(here: Path) -> None:
    (here / "specs").mkdir()
    (here / "specs" / "my.yaml").write_text(GOOD)
    assert data_info("my.yaml", here / "specs").path == here / "specs" / "my.yaml"


def test_nothing_heavy_is_imported(here: Path) -> None:
    (here / "my.yaml").write_text(GOOD)
    code = (
        "import sys; from kdgraph.spec.data import data_info; data_info('my.yaml'); data_info('coco8.yaml'); "
    )
    code += "print([m for m in ('torch', 'ultralytics', 'numpy') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"


def test_a_missing_dataset(here: Path) -> None:
    assert refusal("coco88.yaml") == (
        f"error[KD401] no dataset 'coco88.yaml': not a file in {here}, not one that Ultralytics ships\n"
        "  hint: did you mean coco8.yaml or coco.yaml or coco128.yaml?"
    )
    assert refusal("data/q.yml").endswith("hint: correct the path; builtin:glyphs needs no files")


def test_a_fault_shows_where_the_spec_names_the_dataset(here: Path) -> None:
    span = Span("spec.yaml", 3, 7, 13, "data: x.yaml")
    with pytest.raises(DataError, match=r"spec.yaml:3:7: error\[KD401\] no dataset 'x.yaml'"):
        data_info("x.yaml", span=span)


def test_an_address(here: Path) -> None:
    assert refusal("https://example.com/my.yaml") == (
        "error[KD401] 'https://example.com/my.yaml' is not on this machine\n"
        "  hint: download it, and give its yaml"
    )


def test_an_unknown_built_in_dataset(here: Path) -> None:
    assert refusal("builtin:glyph") == (
        "error[KD401] unknown built-in dataset 'builtin:glyph'\n  hint: did you mean builtin:glyphs?"
    )
    assert refusal("builtin:coco").endswith(
        "hint: there are builtin:glyphs, builtin:glyphs-seg, builtin:glyphs-pose, builtin:glyphs-obb"
    )


def test_a_folder(here: Path) -> None:
    (here / "my").mkdir()
    assert refusal("my").startswith(
        "error[KD401] my is a folder, not a dataset yaml\n  hint: a dataset yaml has"
    )
    (here / "my" / "data.yaml").write_text(GOOD)
    assert refusal("my") == (
        "error[KD401] my is a folder, not a dataset yaml\n  hint: give its yaml: my/data.yaml"
    )


def test_another_kind_of_file(here: Path) -> None:
    (here / "my.zip").write_bytes(b"PK")
    assert refusal("my.zip").startswith(
        "error[KD402] my.zip is no yaml file\n  hint: a dataset yaml has the keys"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"# nothing\n", "is empty"),
        (b"- a\n", "holds a list, not a mapping"),
        (b"cat\n", "holds a str, not a mapping"),
        (b"a: [\n", "is not valid YAML: while parsing a flow node"),
        (b"\xff\xfe\x00", "is not valid YAML: 'utf-8' codec"),
    ],
)
def test_a_file_that_is_no_mapping(content: bytes, message: str, here: Path) -> None:
    (here / "my.yaml").write_bytes(content)
    assert refusal("my.yaml").startswith(f"error[KD402] {here}/my.yaml {message}")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("names: [cat, dog]", "", "no 'names'\n  hint: list the classes: `names: {0: cat, 1: dog}`"),
        ("[cat, dog]", "[]", "'names' is {}\n  hint: list the classes"),
        ("[cat, dog]", "cat", "'names' is 'cat'\n  hint: list the classes"),
        (
            "[cat, dog]",
            "{1: cat, 2: dog}",
            "the keys of 'names' are 1, 2\n  hint: number the 2 classes from 0 to 1",
        ),
        ("[cat, dog]", "[cat]\nnc: 2", "'nc' is 2, but 'names' has 1 classes\n  hint: leave 'nc' out"),
        ("names: [cat, dog]", "nc: many", "'nc' is 'many'\n  hint: write the number of classes"),
        ("train: images/train", "", "no 'train'\n  hint: say where its images are: `train: images/train`"),
        ("val: images/val", "", "no 'val'\n  hint: say where its images are: `val: images/val`"),
        ("val: images/val", "val: 3", "'val' is 3\n  hint: write a folder, a .txt file of image paths"),
        ("val: images/val", "val: []", "'val' is []\n  hint: write a folder"),
        (
            "val: images/val",
            "val: a\nchannels: none",
            "'channels' is 'none'\n  hint: write the number of image",
        ),
        ("val: images/val", "val: a\npath: 3", "'path' is 3\n  hint: write the folder of the dataset"),
        (
            "val: images/val",
            "val: a\nkpt_shape: 17",
            "'kpt_shape' is 17\n  hint: write keypoints and numbers",
        ),
        *(
            (
                "val: images/val",
                f"val: a\nkpt_shape: {shape}",
                f"'kpt_shape' is {shape}\n  hint: write keypoints",
            )
            for shape in ("[17, 4]", "[0, 3]", "[17]", "['17', 3]")
        ),
        *(
            (
                "val: images/val",
                f"val: a\nkpt_shape: [3, 2]\nflip_idx: {flipped}",
                f"'flip_idx' is {flipped}\n  hint: list for each of the 3 keypoints the number",
            )
            for flipped in ("[1, 0]", "[1, 0, 3]", "[1, 0, 0]", "7", "[[0], 1, 2]", "['1', '0', '2']")
        ),
    ],
)
def test_a_wrong_entry(old: str, new: str, message: str, here: Path) -> None:
    (here / "my.yaml").write_text(GOOD.replace(old, new))
    assert refusal("my.yaml").startswith(f"error[KD402] {here}/my.yaml: {message}")


def test_all_faults_are_told_at_once(here: Path) -> None:
    (here / "my.yaml").write_text("path: 3\n")
    faults = {
        text.split("\n")[0].removeprefix(f"error[KD402] {here}/my.yaml: ") for text in refusals("my.yaml")
    }
    assert faults == {"no 'names'", "no 'train'", "no 'val'", "'path' is 3"}
