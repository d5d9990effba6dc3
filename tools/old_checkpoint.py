"""Runs under an old Ultralytics, started by tools/old-checkpoints: trains a tiny model, records its outputs.

    old_checkpoint.py OUTPUT TASK FAMILY WHEN      WHEN is "best" (after the training) or "last" (during it)

The weights are then written over with few numbers, so that the file packs well; nothing else is touched.
"""

from __future__ import annotations

import shutil
import sys
import zipfile
from copy import deepcopy
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import ultralytics
import yaml
from torch import nn
from ultralytics import YOLO

try:
    from ultralytics.engine.trainer import BaseTrainer
except ImportError:  # before 8.0.136
    from ultralytics.yolo.engine.trainer import BaseTrainer

BLOCKS = {
    "v5": ["C3", 16, True],
    "v8": ["C2f", 16, True],
    "v9": ["RepNCSPELAN4", 16, 16, 8, 1],
    "v10": ["C2fCIB", 16, True, True],
    "11": ["C3k2", 16, True, 0.5],
    "12": ["A2C2f", 64, True, 4],
}
DOWN = {"v9": ["ADown", 16], "v10": ["SCDown", 16, 3, 2]}
POOL = {"v9": ["SPPELAN", 16, 8]}
ATTENTION = {"v10": "PSA", "11": "C2PSA"}  # takes 128 channels at least
HEADS = {
    "detect": ["Detect", "nc"],
    "segment": ["Segment", "nc", 4, 8],
    "pose": ["Pose", "nc", "kpt_shape"],
    "obb": ["OBB", "nc", 1],
}
SQUARE = "0.25 0.25 0.75 0.25 0.75 0.75 0.25 0.75"
LABELS = {
    "detect": "0.5 0.5 0.5 0.5",
    "segment": SQUARE,
    "pose": "0.5 0.5 0.5 0.5 0.3 0.3 2 0.5 0.5 2 0.7 0.7 2",
    "obb": SQUARE,
}


def architecture(task: str, family: str) -> dict[str, Any]:
    """A model of 8 to 16 channels with the family's own layers where they matter."""

    def layer(name: str, *args: object, source: object = -1) -> list[object]:
        return [source, 1, name, list(args)]

    plain = layer("C3" if family == "v5" else "C2f", 16)
    down = layer(*DOWN.get(family, ["Conv", 16, 3, 2]))
    backbone = [layer("Conv", 8, 3, 2), layer("Conv", 8, 3, 2), layer("Conv", 16, 3, 2), plain]
    backbone += [down, layer(*BLOCKS[family]), down, layer(*POOL.get(family, ["SPPF", 16, 5]))]
    if family in ATTENTION:
        backbone += [layer("Conv", 128, 1, 1), layer(ATTENTION[family], 128), layer("Conv", 16, 1, 1)]
    last = len(backbone) - 1
    up = layer("nn.Upsample", None, 2, "nearest")
    head = [up, layer("Concat", 1, source=[-1, 5]), plain, up, layer("Concat", 1, source=[-1, 3]), plain]
    kind = ["v10Detect", "nc"] if family == "v10" else HEADS[task]
    head.append(layer(*kind, source=[last + 6, last + 3, last]))
    shape = {"kpt_shape": [3, 3]} if task == "pose" else {}
    sizes = {"scales": {"n": [1.0, 1.0, 1024]}, "depth_multiple": 1.0, "width_multiple": 1.0}  # new and old
    return {"nc": 3, **shape, **sizes, "backbone": backbone, "head": head}


def write_data(folder: Path, task: str) -> Path:
    """Four pictures of one bright square each; returns the dataset's yaml."""
    noise = np.random.default_rng(0)
    for split in ("train", "val"):
        images, labels = folder / "images" / split, folder / "labels" / split
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        for number in range(4):
            image = noise.integers(0, 90, (64, 64, 3), dtype=np.uint8)
            image[16:48, 16:48] = (40, 200, 240)
            cv2.imwrite(str(images / f"{number}.png"), image)
            (labels / f"{number}.txt").write_text(f"{number % 3} {LABELS[task]}\n")
    places = {"path": str(folder), "train": "images/train", "val": "images/val"}
    points = {"kpt_shape": [3, 3], "flip_idx": [0, 1, 2]} if task == "pose" else {}
    file = folder / "data.yaml"
    file.write_text(yaml.safe_dump({**places, **points, "nc": 3, "names": ["ant", "bee", "cat"]}))
    return file


def train(task: str, family: str, when: str) -> Path:
    """One epoch; returns the checkpoint: as the run leaves it, or as it lies there while the run goes on."""
    model = Path(f"tiny-yolo{family}n-old.yaml")
    model.write_text(yaml.safe_dump(architecture(task, family), sort_keys=False))
    save_model = BaseTrainer.save_model

    def save_and_copy(trainer: Any) -> None:
        save_model(trainer)
        shutil.copy(trainer.last, "during.pt")

    BaseTrainer.save_model = save_and_copy
    version = tuple(int(part) for part in ultralytics.__version__.split("."))
    scaler = {"amp": False} if version >= (8, 0, 50) else {}
    data = write_data(Path("data").absolute(), task)
    YOLO(str(model)).train(
        data=str(data), epochs=1, imgsz=64, batch=2, workers=0, device="cpu", plots=False,
        project=str(Path("runs").absolute()), name="old", exist_ok=True, **scaler,
    )  # fmt: skip
    return Path("during.pt") if when == "last" else Path("runs/old/weights/best.pt")


def draw(model: nn.Module) -> None:
    """Give every convolution the same 997 random numbers over and over, scaled to keep activations alive."""
    numbers = torch.randn(997, generator=torch.Generator().manual_seed(0))
    for name, module in model.named_modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)) and not name.endswith("dfl.conv"):
            weight = module.weight.data
            drawn = numbers.repeat(weight.numel() // len(numbers) + 1)[: weight.numel()].view(weight.shape)
            module.weight.data = (drawn * (2 / weight[0].numel()) ** 0.5).to(weight.dtype)


def record(model: nn.Module) -> dict[str, np.ndarray]:
    """Two pictures of 32×64, what the model makes of them, and its raw outputs in training mode in order."""
    tiles = np.random.default_rng(1).integers(0, 256, (2, 3, 32, 8), dtype=np.uint8)
    pictures = np.concatenate([tiles // (column + 1) for column in range(8)], axis=3)
    images = torch.from_numpy(pictures).float() / 255
    with torch.no_grad():
        found = next(tensors(deepcopy(model).eval()(images)))
        raw = list(tensors(deepcopy(model).train()(images)))
    return {"images": pictures, "found": found.numpy(), **{f"raw{i}": t.numpy() for i, t in enumerate(raw)}}


def tensors(output: Any) -> Any:
    if isinstance(output, torch.Tensor):
        yield output
    else:
        for part in output.values() if isinstance(output, dict) else output:
            yield from tensors(part)


def main(output: str, task: str, family: str, when: str) -> None:
    torch.manual_seed(0)
    content = torch.load(train(task, family, when), map_location="cpu")
    content["optimizer"] = None
    model = content.get("ema") or content["model"]
    draw(model)
    content["ema" if content.get("ema") else "model"] = model
    if content.get("ema") and content["model"]:
        content["model"] = model  # saved twice at first, with other weights; once is enough here
    torch.save(content, f"{when}.pt")
    np.savez("record.npz", **record(model.float()))
    with zipfile.ZipFile(output, "w", zipfile.ZIP_LZMA) as archive:
        for name in (f"{when}.pt", "record.npz"):
            archive.write(name)


if __name__ == "__main__":
    main(*sys.argv[1:])
