"""The models Ultralytics knows by name: architectures it ships as yaml, weights it offers for download."""

from __future__ import annotations

import functools
import re
from pathlib import Path

_FAMILY = re.compile(r"^yolo(e-)?v?\d+")  # the scale letter follows it: yolov8-p2 -> yolov8n-p2
_CHECKPOINT = re.compile(r"(yolo(v|e-)?\d|yoloe-v|rtdetr-).*\.pt$")
_SCALE = re.compile(r"^  ([a-z]): \[", re.MULTILINE)
_CLASSES = {"-oiv7": 601, "-obb": 15, "-ade20k": 150}  # where a checkpoint's count is not its yaml's
_RELEASED = (  # how the name of a checkpoint differs from its architecture's
    (re.compile(r"-(oiv7|ade20k|pf)$"), ""),
    (re.compile(r"^(yolov5.)6u$"), r"\1-p6"),
    (re.compile(r"^(yolov[35].*)u$"), r"\1"),
)


@functools.cache
def architectures() -> dict[str, Path]:
    """Stem of each architecture, with and without scale (`yolo11`, `yolo11n`, ...) -> its yaml file."""
    import ultralytics

    found: dict[str, Path] = {}
    for file in sorted((Path(ultralytics.__file__).parent / "cfg" / "models").rglob("*.yaml")):
        found[file.stem] = file
        if family := _FAMILY.match(file.stem):
            for scale in _SCALE.findall(file.read_text(encoding="utf-8")):
                found[f"{family[0]}{scale}{file.stem[family.end() :]}"] = file
    return found


def downloads() -> frozenset[str]:
    """Names of the YOLO and RT-DETR checkpoints that Ultralytics offers for download, with their `.pt`."""
    from ultralytics.utils.downloads import GITHUB_ASSETS_NAMES

    return frozenset(name for name in GITHUB_ASSETS_NAMES if _CHECKPOINT.match(name))


def known_names() -> list[str]:
    """Models that a spec may name without having the file: `yolo11n`, `yolo11n.yaml`, `yolo11n.pt`, ..."""
    stems = architectures()
    return sorted({*stems, *(f"{stem}.yaml" for stem in stems), *downloads()})


def architecture_of(weights: str) -> tuple[str, int | None] | None:
    """Architecture and class count of a released checkpoint, None when its name does not tell.

    The count is None when it is the yaml's own: `yolo11m.pt` -> `("yolo11m", None)`,
    `yolov8n-oiv7.pt` -> `("yolov8n", 601)`, `yolov5nu.pt` -> `("yolov5n", None)`, `yolov5n6u.pt` ->
    `("yolov5n-p6", None)`.
    """
    stem = Path(weights).stem
    classes = next((count for suffix, count in _CLASSES.items() if stem.endswith(suffix)), None)
    candidates = [stem, *(pattern.sub(name, stem) for pattern, name in _RELEASED)]
    return next(((name, classes) for name in candidates if name in architectures()), None)
