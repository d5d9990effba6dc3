"""How good teacher and student are on the same validation images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ultralytics import YOLO
from ultralytics.utils.torch_utils import get_flops

from kdgraph.graph.quiet import quiet
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
    student = YOLO(str(result.best)).model
    imgsz = int(student.args["imgsz"])
    return [
        _score("teacher", Path(result.teacher), result.data, imgsz, student.nc),
        Score("student", *_size(student, imgsz), *_map(result.metrics)),
    ]


def _score(name: str, checkpoint: Path, data: str, imgsz: int, classes: int) -> Score:
    with quiet():
        model = YOLO(str(checkpoint))
        size = _size(model.model, imgsz)
        if len(model.names) != classes:
            return Score(name, *size)
        metrics = model.val(
            data=data, imgsz=imgsz, plots=False, verbose=False, save_dir=str(checkpoint.parent)
        )
    return Score(name, *size, float(metrics.box.map50), float(metrics.box.map))


def _size(model: Any, imgsz: int) -> tuple[int, int]:
    return sum(p.numel() for p in model.parameters()), int(get_flops(model, imgsz) * 1e9)


def _map(metrics: dict[str, float]) -> tuple[float | None, float | None]:
    return metrics.get("metrics/mAP50(B)"), metrics.get("metrics/mAP50-95(B)")
