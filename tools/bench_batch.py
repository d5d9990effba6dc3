"""One batch to train on, again and again: synthetic, or read from a folder."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["folder_batch", "synthetic_batch"]

_GREY = 114
"""Ultralytics pads with it."""
_SUFFIXES = (".jpg", ".jpeg", ".png")


def synthetic_batch(images: int, size: int, classes: int, seed: int = 0) -> dict[str, Tensor]:
    """Smooth noise [B,3,S,S] in 0..1 with 1 to 30 boxes an image, 7 on average as in COCO.

    Sides of boxes are log-uniform from 3 to 60 % of the image's.
    """
    random = torch.Generator().manual_seed(seed)
    coarse = torch.rand(images, 3, max(2, size // 16), max(2, size // 16), generator=random)
    smooth = functional.interpolate(coarse, (size, size), mode="bilinear")
    pixels = (0.8 * smooth + 0.2 * torch.rand(images, 3, size, size, generator=random)).clamp(0, 1)
    counts = torch.empty(images).exponential_(1 / 6, generator=random).long().clamp(0, 29) + 1
    total = int(counts.sum())
    sides = 0.03 * (20 ** torch.rand(total, 2, generator=random))
    centres = sides / 2 + torch.rand(total, 2, generator=random) * (1 - sides)
    return {
        "img": pixels,
        "batch_idx": torch.arange(images).repeat_interleave(counts).float(),
        "cls": torch.randint(classes, (total, 1), generator=random).float(),
        "bboxes": torch.cat((centres, sides), 1),
    }


def folder_batch(folder: Path, images: int, size: int, classes: int) -> dict[str, Tensor]:
    """The first images of a folder, in alphabetical order and from the start again where they are too few.

    Letterboxed in grey; labels are YOLO's .txt, in `labels/` beside `images/` in the path, or beside the
    image. Raises ValueError for a folder without images, and for a class that the student does not have.
    """
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)
    if not files:
        raise ValueError(f"no images in {folder}")
    read = [_letterboxed(files[i % len(files)], size) for i in range(images)]
    labels = torch.cat(
        [torch.cat((torch.full((len(b), 1), float(i)), b), 1) for i, (_, b) in enumerate(read)]
    )
    if len(labels) and int(labels[:, 1].max()) >= classes:
        raise ValueError(
            f"{folder} has class {int(labels[:, 1].max())}, the student {classes} classes from 0"
        )
    return {
        "img": torch.stack([pixels for pixels, _ in read]),
        "batch_idx": labels[:, 0],
        "cls": labels[:, 1:2],
        "bboxes": labels[:, 2:6],
    }


def _letterboxed(file: Path, size: int) -> tuple[Tensor, Tensor]:
    """Pixels [3,S,S] in 0..1, and rows of class, x, y, w, h in parts of the square."""
    import numpy as np
    from PIL import Image

    with Image.open(file) as opened:
        image = opened.convert("RGB")
    scale = size / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    left, top = (size - width) // 2, (size - height) // 2
    square = Image.new("RGB", (size, size), (_GREY,) * 3)
    square.paste(image.resize((width, height)), (left, top))
    boxes = _labels(file)
    boxes[:, 1:5] *= torch.tensor([width, height, width, height]) / size
    boxes[:, 1:3] += torch.tensor([left, top]) / size
    return torch.from_numpy(np.array(square)).permute(2, 0, 1).float() / 255, boxes


def _labels(file: Path) -> Tensor:
    parts = ["labels" if part == "images" else part for part in file.parts]
    for path in (Path(*parts).with_suffix(".txt"), file.with_suffix(".txt")):
        if path.is_file():
            lines = [line.split()[:5] for line in path.read_text().splitlines() if line.strip()]
            return torch.tensor([[float(word) for word in line] for line in lines]).reshape(-1, 5)
    return torch.zeros(0, 5)
