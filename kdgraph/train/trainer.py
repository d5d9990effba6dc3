"""The trainer of each task: Ultralytics' own, with a student that is distilled.

They are classes of a module because Ultralytics pickles the class for the processes of a multi-GPU run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.models.yolo.obb import OBBTrainer
from ultralytics.models.yolo.pose import PoseTrainer
from ultralytics.models.yolo.segment import SegmentationTrainer

from kdgraph.errors import Diagnostic, RunError, Span
from kdgraph.train.distilling import Distilling

__all__ = [
    "DistillTrainer", "OBBDistillTrainer", "PoseDistillTrainer", "SegmentDistillTrainer", "plain_trainer_for",
    "trainer_for",
]  # fmt: skip


class DistillTrainer(Distilling, DetectionTrainer):  # type: ignore[misc]
    """Trains a student that detects."""


class SegmentDistillTrainer(Distilling, SegmentationTrainer):  # type: ignore[misc]
    """Trains a student that segments instances."""


class PoseDistillTrainer(Distilling, PoseTrainer):  # type: ignore[misc]
    """Trains a student that finds keypoints."""


class OBBDistillTrainer(Distilling, OBBTrainer):  # type: ignore[misc]
    """Trains a student that detects with rotated boxes."""


_PLAIN: Mapping[str, Any] = {
    "detect": DetectionTrainer,
    "segment": SegmentationTrainer,
    "pose": PoseTrainer,
    "obb": OBBTrainer,
}
_DISTILLING: Mapping[str, type[Distilling]] = {
    "detect": DistillTrainer,
    "segment": SegmentDistillTrainer,
    "pose": PoseDistillTrainer,
    "obb": OBBDistillTrainer,
}


def trainer_for(task: str | None, span: Span | None = None) -> type[Distilling]:
    """The trainer of a student with this `task`; `span` is where the spec names it.

    Raises RunError (KD504) for a task, or a model without one (None), that `kdgraph run` cannot train.
    """
    _check(task, "student", span)
    return _DISTILLING[str(task)]


def plain_trainer_for(task: str | None, span: Span | None = None) -> Any:
    """Ultralytics' trainer of a teacher with this `task`, as `trainer_for`."""
    _check(task, "teacher", span)
    return _PLAIN[str(task)]


def _check(task: str | None, role: str, span: Span | None) -> None:
    if task not in _PLAIN:
        what = f"for the task '{task}'" if task else "that is no Ultralytics model"
        hint = (
            f"it trains {', '.join(_PLAIN)}; for others write a loop of your own around kdgraph.compile(spec)"
        )
        raise RunError(Diagnostic("KD504", f"`kdgraph run` trains no {role} {what}", span, hint))
