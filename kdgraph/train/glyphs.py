"""The built-in datasets `builtin:glyphs…`: made on first use, always the same, kept in a cache folder.

There is one for each task: the same pictures, with labels that say in other ways where the glyphs are.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from kdgraph.errors import DataError, Diagnostic
from kdgraph.spec.data import BUILTIN
from kdgraph.train.glyph_labels import KEYPOINTS, LINES
from kdgraph.train.scenes import draw_scene

VERSION = 1
"""Part of the seed and of the folder's name: raise it with every change of the pictures or labels."""

SPLITS = {"train": 320, "val": 96}
"""Number of pictures in each split."""


def glyphs(cache: Path | None = None, name: str = "glyphs") -> Path:
    """The path of the dataset's yaml, after making the dataset (some seconds) if `cache` has none.

    cache: a folder; by default $KDGRAPH_CACHE, else ~/.cache/kdgraph. name: glyphs, or with -seg, -pose or
    -obb. The dataset is made in a folder of its own, which is renamed when complete: two processes at once,
    or one that is killed, leave no half of it.

    Raises DataError (KD401) when the cache cannot be written or Ultralytics' photographs are missing.
    """
    root = cache or cache_folder()
    target = root / f"{name}-v{VERSION}"
    if not (target / "data.yaml").is_file():
        photos = _photographs()
        try:
            _make(photos, root, target, name)
        except OSError as error:
            hint = "set KDGRAPH_CACHE to a folder that can be written"
            raise DataError(
                Diagnostic("KD401", f"builtin:{name} cannot be made: {error}", hint=hint)
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


def _make(photos: Sequence[NDArray[np.uint8]], root: Path, target: Path, name: str) -> None:
    root.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=root))
    try:
        draft.chmod(0o755)  # mkdtemp's folder is private, the dataset need not be
        for number, (split, count) in enumerate(SPLITS.items()):
            _make_split(photos, draft, split, number, count, name)
        content = _content(name)
        (draft / "data.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        _publish(draft, target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _content(name: str) -> dict[str, Any]:
    """What the dataset's yaml says."""
    content = {"train": "images/train", "val": "images/val"}
    keypoints = KEYPOINTS if name.endswith("-pose") else {}
    return {**content, **keypoints, "names": dict(enumerate(BUILTIN[f"builtin:{name}"]))}


def _publish(draft: Path, target: Path) -> None:
    try:
        draft.rename(target)
    except OSError:
        if not (
            target / "data.yaml"
        ).is_file():  # else another process was faster, and its dataset is the same
            raise


def _make_split(
    photos: Sequence[NDArray[np.uint8]], folder: Path, split: str, number: int, count: int, name: str
) -> None:
    images, labels = folder / "images" / split, folder / "labels" / split
    images.mkdir(parents=True)
    labels.mkdir(parents=True)
    for index in range(count):
        picture, shown = draw_scene(photos, (VERSION, number, index))
        if not cv2.imwrite(str(images / f"{index:04}.png"), picture):
            raise OSError(f"{images / f'{index:04}.png'} cannot be written")
        (labels / f"{index:04}.txt").write_text("".join(map(LINES[name], shown)), encoding="utf-8")
