"""How good teacher and student are on the same validation images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ultralytics import YOLO
from ultralytics.utils.torch_utils import get_flops

from kdgraph.graph.quiet import quiet
from kdgraph.train.loading import restricted_loading
from kdgraph.train.run import RunResult

__all__ = ["Score", "scores"]


@dataclass(frozen=True)
class Score:
    """A model's size and its box mAP on the validation set; None where its classes are not the dataset's."""

    name: str
    params: int
    flops: int
    map50: float | None = None
    map50_95: float | None = None


def scores(result: RunResult) -> list[Score]:
    """The teacher's and the student's score, with the image size of the student's training."""
    with quiet(), restricted_loading(result.trust):
        student, teacher = (YOLO(str(path)) for path in (result.best, result.teacher))
        imgsz = int(student.model.args["imgsz"])
        found = [Score("teacher", *_size(teacher.model, imgsz))]
        if len(teacher.names) == len(student.names):
            metrics = teacher.val(
                data=result.data, imgsz=imgsz, plots=False, verbose=False, save_dir=str(result.folder)
            )
            found = [replace(found[0], map50=float(metrics.box.map50), map50_95=float(metrics.box.map))]
    return [*found, Score("student", *_size(student.model, imgsz), *_map(result.metrics))]


def _size(model: Any, imgsz: int) -> tuple[int, int]:
    return sum(p.numel() for p in model.parameters()), int(get_flops(model, imgsz) * 1e9)


def _map(metrics: dict[str, float]) -> tuple[float | None, float | None]:
    return metrics.get("metrics/mAP50(B)"), metrics.get("metrics/mAP50-95(B)")
