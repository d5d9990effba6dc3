"""The teachers of a run: checkpoints as they are, or trained first on the same data and kept by content."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ultralytics.data.utils import img2label_paths

from kdgraph.graph.models import build_model
from kdgraph.graph.pair import build_teacher
from kdgraph.spec.schema import Spec, follows_student
from kdgraph.train.data import split_images
from kdgraph.train.glyphs import cache_folder
from kdgraph.train.trainer import plain_trainer_for

__all__ = ["ensure_teachers"]


def ensure_teachers(spec: Spec, data: str) -> dict[str, str]:
    """Path of the checkpoint of each teacher that has one, by role; those to be trained are trained first.

    A module of Python and the student's own average have none: the compiler makes them. `data` is the dataset
    yaml that the student will train on. The key of the cache of trained teachers covers the teacher's
    architecture or checkpoint, its train arguments, the dataset's labels and the names and sizes of its
    images, and Ultralytics' version. Raises ModelError when a teacher cannot be had.
    """
    roles = [role for role, ref in spec.teachers.items() if not (ref.python or follows_student(spec, role))]
    return {role: _ensure(spec, role, data) for role in roles}


def _ensure(spec: Spec, role: str, data: str) -> str:
    if spec.teachers[role].train is None:
        return _as_it_is(spec, role)
    target = cache_folder() / "teachers" / _key(spec, role, data) / "teacher.pt"
    if not target.is_file():
        _train(spec, role, data, target)
    return str(target)


def _as_it_is(spec: Spec, role: str) -> str:
    """Find, download and read it, or say what is wrong with it."""
    model: Any = build_model(spec.teachers[role], nc=None)
    return str(Path(model.pt_path).absolute())


def _train(spec: Spec, role: str, data: str, target: Path) -> None:
    """Train into a folder of this process, then move the checkpoint to its place in one step."""
    ref, bare = spec.teachers[role], build_teacher(spec, role, weights=False)
    folder = target.parent.with_name(f"{target.parent.name}.{os.getpid()}")
    arguments = {**(ref.train or {}), "data": data, "model": ref.model, "plots": False}
    trainer = plain_trainer_for(getattr(bare, "task", None), ref.span("model"))(
        overrides={**arguments, "save_dir": str(folder), "pretrained": False}
    )
    trainer.model = build_teacher(spec, role)  # after the trainer, which has seeded all random numbers
    trainer.train()
    target.parent.mkdir(parents=True, exist_ok=True)
    checkpoint = trainer.best if trainer.best.is_file() else trainer.last
    os.replace(checkpoint, target)
    if (folder / "results.csv").is_file():
        shutil.copy(folder / "results.csv", target.parent)
    shutil.rmtree(folder)


def _key(spec: Spec, role: str, data: str) -> str:
    """Sixteen hex digits of everything that decides how the teacher turns out."""
    ref, digest = spec.teachers[role], hashlib.sha256()
    facts: dict[str, Any] = {"train": ref.train, "ultralytics": version("ultralytics")}
    model = build_model(ref, nc=None, weights=False)
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
