"""Where the images of a dataset lie, by the rules that Ultralytics will apply to its yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def splits_of(path: Path, content: dict[str, Any]) -> dict[str, list[Path]]:
    """Folders or lists of images of the splits `train` and `val` in the dataset yaml at `path`."""
    root = root_of(path, content)
    written = {"train": content["train"], "val": content.get("val") or content["validation"]}
    return {
        split: [_entry(root, str(entry)) for entry in (value if isinstance(value, list) else [value])]
        for split, value in written.items()
    }


def root_of(path: Path, content: dict[str, Any]) -> Path:
    """The yaml's folder, or its `path`: absolute, or from the working directory or the datasets folder."""
    from ultralytics.utils import DATASETS_DIR

    written = content.get("path")
    if not written:
        return path.parent
    root = Path(written)
    return root if root.is_absolute() or root.exists() else Path(DATASETS_DIR) / root


def images_in(place: Path) -> list[str]:
    """The image files of a folder, at any depth, or those that a text file lists; sorted."""
    from ultralytics.data.utils import IMG_FORMATS

    if place.is_dir():
        found = [str(file) for file in place.rglob("*.*")]
    else:
        lines = place.read_text(encoding="utf-8-sig").split("\n")
        found = [
            str(place.parent / line[2:]) if line.startswith("./") else line for line in map(str.strip, lines)
        ]
    return sorted(file for file in found if file.rpartition(".")[2].lower() in IMG_FORMATS)


def _entry(root: Path, entry: str) -> Path:
    place = (root / entry).resolve()
    if not place.exists() and entry.startswith("../"):  # some tools export the yaml one folder too deep
        return (root / entry[3:]).resolve()
    return place
