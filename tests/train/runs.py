"""Runs of a spec in a folder, for tests that stop them on the way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import kdgraph
from kdgraph.train.data import check_dataset
from kdgraph.train.distilling import Distilling
from kdgraph.train.folder import RunFolder
from kdgraph.train.run import RunResult, resume
from kdgraph.train.teachers import ensure_teachers
from kdgraph.train.trainer import DistillTrainer


class Killed(BaseException):
    """What a power cut looks like from inside."""


def killed(
    spec: str,
    tmp_path: Path,
    data: Path,
    on_batch: Callable[[Distilling], None],
    models: tuple[str, str] = ("yolo11n.yaml", "yolo11s.yaml"),
) -> Distilling:
    """A trainer of the spec that `on_batch` has stopped.

    `{data}` in the spec, `{student}` and `{teacher}` are filled in, the last two with networks of `models`.
    """
    from ultralytics import YOLO

    student, teacher = models[0], tmp_path / "teacher.pt"
    YOLO(models[1]).save(teacher)
    file = tmp_path / "spec.yaml"
    file.write_text(spec.format(student=student, teacher=teacher, data=data))
    loaded = kdgraph.load(file)
    dataset = check_dataset(str(data))
    teachers = ensure_teachers(loaded, dataset)
    folder = RunFolder(tmp_path / "run")
    folder.write(loaded, teachers, dataset)
    overrides = {**loaded.train, "model": student, "data": dataset, "save_dir": str(folder.path)}
    trainer = DistillTrainer(overrides=overrides, spec=loaded, teachers=teachers)
    trainer.add_callback("on_train_batch_end", on_batch)
    with pytest.raises(Killed):
        trainer.train()
    return trainer


def seen_at(
    event: str,
    look: Callable[[Distilling], Any],
    path: Path,
    ended: Callable[[RunResult], object] = lambda result: None,
) -> Any:
    """What `look` gives when the run in folder `path` is resumed and first comes to `event`.

    `ended` is given what the run comes to.
    """
    seen: list[Any] = []
    original = Distilling.run_callbacks

    def callbacks(running: Distilling, name: str) -> None:
        if name == event and not seen:
            seen.append(look(running))
        original(running, name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Distilling, "run_callbacks", callbacks)
        ended(resume(path))
    return seen[0]
