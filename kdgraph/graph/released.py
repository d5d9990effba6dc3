"""What is known of released checkpoints without having them: the classes they were trained on."""

from __future__ import annotations

import functools
from pathlib import Path

import yaml

__all__ = ["released_names"]

_DATASETS = {
    "-oiv7": "open-images-v7", "-ade20k": "ade20k", "-sem": "cityscapes", "-cls": "ImageNet",
    "-obb": "DOTAv1", "-pose": "coco-pose",
}  # fmt: skip
"""What a checkpoint's name holds -> its dataset, the first that fits; any other was trained on COCO."""

_UNTOLD = ("yoloe", "-depth", "-objv1", "-distill", "-grayscale")  # classes of another kind, or none


def released_names(weights: str) -> dict[int, str] | None:
    """The classes of a released checkpoint by number; None where its name does not tell them.

    `yolo11n.pt` has COCO's 80, `yolo11n-pose.pt` the one class person, `yolov8n-oiv7.pt` Open Images' 601.
    """
    if any(part in weights for part in _UNTOLD):
        return None
    dataset = next((name for part, name in _DATASETS.items() if part in weights), "coco")
    return dict(_names(dataset))


@functools.cache
def _names(dataset: str) -> dict[int, str]:
    import ultralytics

    file = Path(ultralytics.__file__).parent / "cfg" / "datasets" / f"{dataset}.yaml"
    names = yaml.safe_load(file.read_text(encoding="utf-8"))["names"]
    return {int(number): str(name) for number, name in names.items()}
