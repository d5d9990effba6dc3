"""Checks a dataset before the training: what its yaml says must be there, with images and labels that fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kdgraph.errors import DataError, Diagnostic, Span
from kdgraph.graph.download import RELEASES, unreachable
from kdgraph.graph.quiet import quiet
from kdgraph.spec.data import check_task, data_info, read_dataset
from kdgraph.train.glyphs import glyphs
from kdgraph.train.labels import label_faults
from kdgraph.train.rows import Rows
from kdgraph.train.splits import images_in, root_of, splits_of


def check_dataset(
    data: str, base: Path | None = None, *, span: Span | None = None, task: str = "detect"
) -> str:
    """The path of a dataset yaml that Ultralytics can train on; `base` is the spec's folder.

    task: what the labels are for: detect, segment, pose or obb.
    `builtin:` data is made if it is not there yet, a dataset with a `download:` address is fetched. At most
    2000 label files of each split are read.

    Raises DataError: KD401 missing, KD402 wrong yaml, KD403 no images, KD404 no labels, KD405 labels that do
    not fit, KD406 not on disk and no network.
    """
    info = data_info(data, base, span=span)
    check_task(info, task, span)
    rows = Rows(task, info.kpt_shape)
    path = info.path or glyphs(name=info.name)
    content = read_dataset(path, span=span)
    with quiet():
        splits = splits_of(path, content)
        missing = [place for places in splits.values() for place in places if not place.exists()]
        if missing:
            _fetch(path, content, missing[0], span)
            splits = splits_of(path, content)
        faults = [fault for split in splits for fault in _faults(split, splits[split], info.nc, rows)]
    if faults:
        raise DataError(*faults)
    return str(path)


def split_images(path: Path) -> list[str]:
    """The image files of all splits of the dataset yaml at `path`, sorted within each."""
    with quiet():
        splits = splits_of(path, read_dataset(path))
        return [image for places in splits.values() for place in places for image in images_in(place)]


def _fetch(path: Path, content: dict[str, Any], missing: Path, span: Span | None) -> None:
    """Let Ultralytics download what the yaml has an address for; only its own yamls may run a script."""
    from ultralytics.data.utils import check_det_dataset

    source = content.get("download")
    if not isinstance(source, str):
        raise DataError(_not_there(path, content, missing, span))
    is_address = source.startswith(("http://", "https://"))
    if not is_address and not _is_shipped(path):
        message = f"{missing} does not exist, and {path} would run a script to make it"
        hint = "prepare the dataset first: kdgraph runs no code from a dataset's yaml"
        raise DataError(Diagnostic("KD406", message, span, hint))
    reason = unreachable(source if is_address else RELEASES)
    if reason is None:
        try:
            check_det_dataset(str(path))
        except Exception as error:  # network, disk, archive or script: either way there is no dataset
            reason = " ".join(str(error).split()) or type(error).__name__
    if reason is not None:
        message = f"{path.name} is not on disk and cannot be downloaded ({reason})"
        hint = f"put its images at {missing}, or use builtin:glyphs"
        raise DataError(Diagnostic("KD406", message, span, hint))


def _is_shipped(path: Path) -> bool:
    import ultralytics

    return path.is_relative_to(Path(ultralytics.__file__).parent)


def _not_there(path: Path, content: dict[str, Any], missing: Path, span: Span | None) -> Diagnostic:
    beside = path.parent / str(content.get("path") or "")
    hint = "correct 'path', 'train' and 'val' in it"
    if beside.is_dir() and beside.resolve() != root_of(path, content).resolve():
        hint = f"a relative 'path' is not taken from the yaml's folder: write `path: {beside.resolve()}`"
    return Diagnostic("KD401", f"{path}: {missing} does not exist", span, hint)


def _faults(split: str, places: list[Path], classes: int, rows: Rows) -> list[Diagnostic]:
    from ultralytics.data.utils import img2label_paths

    images = [image for place in places for image in images_in(place)]
    if not images:
        where = ", ".join(map(str, places))
        return [
            Diagnostic("KD403", f"no {split} images in {where}", hint="put images there, or correct the path")
        ]
    if not any(Path(image).is_file() for image in images):
        message = f"none of the {len(images)} {split} images exists, e.g. {images[0]}"
        return [Diagnostic("KD403", message, hint=f"correct the paths in {places[0]}")]
    return label_faults(img2label_paths(images), split, classes, rows)
