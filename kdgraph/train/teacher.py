"""The teacher of a run: a checkpoint as it is, or one trained first on the same data and kept by content."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ultralytics.data.utils import img2label_paths
from ultralytics.models.yolo.detect import DetectionTrainer

from kdgraph.graph.models import build_model
from kdgraph.graph.pair import build_teacher
from kdgraph.spec.schema import Spec
from kdgraph.train.data import split_images
from kdgraph.train.glyphs import cache_folder

__all__ = ["ensure_teacher"]


def ensure_teacher(spec: Spec, data: str) -> str:
    """Path of the teacher's checkpoint; trains it first when the spec says so and the cache has none.

    `data` is the dataset yaml that the student will train on. The cache key covers the teacher's
    architecture or checkpoint, its train arguments, the dataset's labels and the names and sizes of its
    images, and Ultralytics' version. Raises ModelError when the teacher cannot be had.
    """
    if spec.teacher.train is None:
        return _as_it_is(spec)
    target = cache_folder() / "teachers" / _key(spec, data) / "teacher.pt"
    if not target.is_file():
        _train(spec, data, target)
    return str(target)


def _as_it_is(spec: Spec) -> str:
    model: Any = build_model(spec.teacher, nc=None)  # finds, downloads and reads it, or says what is wrong
    return str(Path(model.pt_path).absolute())


def _train(spec: Spec, data: str, target: Path) -> None:
    """Train into a folder of this process, then move the checkpoint to its place in one step."""
    folder = target.parent.with_name(f"{target.parent.name}.{os.getpid()}")
    arguments = {**(spec.teacher.train or {}), "data": data, "model": spec.teacher.model, "plots": False}
    trainer = DetectionTrainer(overrides={**arguments, "save_dir": str(folder), "pretrained": False})
    trainer.model = build_teacher(spec)
    trainer.train()
    target.parent.mkdir(parents=True, exist_ok=True)
    checkpoint = trainer.best if trainer.best.is_file() else trainer.last
    os.replace(checkpoint, target)
    if (folder / "results.csv").is_file():
        shutil.copy(folder / "results.csv", target.parent)
    shutil.rmtree(folder)


def _key(spec: Spec, data: str) -> str:
    """Sixteen hex digits of everything that decides how the teacher turns out."""
    digest = hashlib.sha256()
    facts: dict[str, Any] = {"train": spec.teacher.train, "ultralytics": version("ultralytics")}
    model = build_model(spec.teacher, nc=None, weights=False)
    checkpoint = getattr(model, "pt_path", None)
    facts["model"] = _file_digest(Path(checkpoint)) if checkpoint else getattr(model, "yaml", None)
    digest.update(json.dumps(facts, sort_keys=True, default=str).encode())
    digest.update(_data_digest(Path(data)).encode())
    return digest.hexdigest()[:16]


def _data_digest(file: Path) -> str:
    """Of the dataset's yaml, its labels, and its images by name and size."""
    images = split_images(file)
    digest = hashlib.sha256(file.read_bytes())
    for image, labels in zip(images, img2label_paths(images), strict=True):
        digest.update(f"{Path(image).name} {Path(image).stat().st_size}".encode())
        if Path(labels).is_file():
            digest.update(Path(labels).read_bytes())
    return digest.hexdigest()


def _file_digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
