"""The built-in dataset `builtin:glyphs`: made on first use, always the same, kept in a cache folder."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from kdgraph.errors import DataError, Diagnostic
from kdgraph.train.scenes import GLYPHS, SIZE, Box, draw_scene

VERSION = 1
"""Part of the seed and of the folder's name: raise it with every change of the pictures or labels."""

SPLITS = {"train": 320, "val": 96}
"""Number of pictures in each split."""


def glyphs(cache: Path | None = None) -> Path:
    """The path of the dataset's yaml, after making the dataset (some seconds) if `cache` has none.

    cache: a folder; by default $KDGRAPH_CACHE, else ~/.cache/kdgraph. The dataset is made in a folder of its
    own, which is renamed when complete: two processes at once, or one that is killed, leave no half of it.

    Raises DataError (KD401) when the cache cannot be written or Ultralytics' photographs are missing.
    """
    root = cache or cache_folder()
    target = root / f"glyphs-v{VERSION}"
    if not (target / "data.yaml").is_file():
        photos = _photographs()
        try:
            _make(photos, root, target)
        except OSError as error:
            hint = "set KDGRAPH_CACHE to a folder that can be written"
            raise DataError(
                Diagnostic("KD401", f"builtin:glyphs cannot be made: {error}", hint=hint)
            ) from error
    return target / "data.yaml"


def cache_folder() -> Path:
    """Where kdgraph keeps what it can make again: $KDGRAPH_CACHE, else ~/.cache/kdgraph."""
    chosen = os.environ.get("KDGRAPH_CACHE")
    return Path(chosen).expanduser().absolute() if chosen else Path.home() / ".cache" / "kdgraph"


def _photographs() -> list[NDArray[np.uint8]]:
    """The two photographs that ship with Ultralytics, in OpenCV's channel order."""
    from ultralytics.utils import ASSETS

    photos = [cv2.imread(str(ASSETS / name)) for name in ("bus.jpg", "zidane.jpg")]
    found: list[NDArray[np.uint8]] = [photo for photo in photos if photo is not None]
    if len(found) < len(photos):
        hint = "install ultralytics again: pip install --force-reinstall --no-deps ultralytics"
        raise DataError(Diagnostic("KD401", f"builtin:glyphs needs the photographs in {ASSETS}", hint=hint))
    return found


def _make(photos: Sequence[NDArray[np.uint8]], root: Path, target: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=root))
    try:
        draft.chmod(0o755)  # mkdtemp's folder is private, the dataset need not be
        for number, (split, count) in enumerate(SPLITS.items()):
            _make_split(photos, draft, split, number, count)
        content = {"train": "images/train", "val": "images/val", "names": dict(enumerate(GLYPHS))}
        (draft / "data.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        _publish(draft, target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _publish(draft: Path, target: Path) -> None:
    try:
        draft.rename(target)
    except OSError:
        if not (
            target / "data.yaml"
        ).is_file():  # else another process was faster, and its dataset is the same
            raise


def _make_split(
    photos: Sequence[NDArray[np.uint8]], folder: Path, split: str, number: int, count: int
) -> None:
    images, labels = folder / "images" / split, folder / "labels" / split
    images.mkdir(parents=True)
    labels.mkdir(parents=True)
    for index in range(count):
        picture, boxes = draw_scene(photos, (VERSION, number, index))
        if not cv2.imwrite(str(images / f"{index:04}.png"), picture):
            raise OSError(f"{images / f'{index:04}.png'} cannot be written")
        (labels / f"{index:04}.txt").write_text("".join(map(_line, boxes)), encoding="utf-8")


def _line(box: Box) -> str:
    """A label line: class, then centre, width and height in fractions of the picture."""
    centre = (box.left + box.right) / 2, (box.top + box.bottom) / 2
    extent = box.right - box.left, box.bottom - box.top
    return f"{box.label} " + " ".join(f"{value / SIZE:.6f}" for value in (*centre, *extent)) + "\n"
