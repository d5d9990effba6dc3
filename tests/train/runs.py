"""Runs of a spec in a folder, for tests that stop them on the way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import kdgraph
from kdgraph.train.data import check_dataset
from kdgraph.train.folder import RunFolder
from kdgraph.train.trainer import DistillTrainer


class Killed(BaseException):
    """What a power cut looks like from inside."""


def killed(
    spec: str, tmp_path: Path, data: Path, on_batch: Callable[[DistillTrainer], None]
) -> DistillTrainer:
    """A trainer of the spec, its `{teacher}` and `{data}` filled in, that `on_batch` has stopped."""
    from ultralytics import YOLO

    teacher = tmp_path / "teacher.pt"
    YOLO("yolo11s.yaml").save(teacher)
    file = tmp_path / "spec.yaml"
    file.write_text(spec.format(teacher=teacher, data=data))
    loaded = kdgraph.load(file)
    folder = RunFolder(tmp_path / "run")
    dataset = check_dataset(str(data))
    folder.write(loaded, str(teacher), dataset)
    overrides = {**loaded.train, "model": "yolo11n.yaml", "data": dataset, "save_dir": str(folder.path)}
    trainer = DistillTrainer(overrides=overrides, spec=loaded, teacher=str(teacher))
    trainer.add_callback("on_train_batch_end", on_batch)
    with pytest.raises(Killed):
        trainer.train()
    return trainer
