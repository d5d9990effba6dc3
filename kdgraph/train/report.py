"""How good teachers and student are on the same validation images."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from ultralytics import YOLO
from ultralytics.utils.torch_utils import get_flops

from kdgraph.errors import Diagnostic, RunError
from kdgraph.graph.models import build_model
from kdgraph.graph.quiet import quiet
from kdgraph.spec.schema import TeacherSpec
from kdgraph.train.loading import restricted_loading
from kdgraph.train.run import RunResult

__all__ = ["MEASURES", "Score", "note_scores", "noted_scores", "scores"]

MEASURES: Mapping[str, Mapping[str, str]] = {
    "detect": {"mAP50": "mAP50(B)", "mAP50-95": "mAP50-95(B)"},
    "segment": {"mAP50": "mAP50(B)", "mAP50-95": "mAP50-95(B)", "mask mAP50-95": "mAP50-95(M)"},
    "pose": {"mAP50": "mAP50(B)", "mAP50-95": "mAP50-95(B)", "pose mAP50-95": "mAP50-95(P)"},
    "obb": {"mAP50": "mAP50(B)", "mAP50-95": "mAP50-95(B)"},
}
"""What a model of each task is measured by: what it is called, and its name in Ultralytics' metrics."""


_LARGEST = 10**18  # parameters or operations; a larger number was not counted


@dataclass(frozen=True)
class Score:
    """A model's size and what it reaches on the validation set, in the order of its task's MEASURES.

    measures: None for one that does not apply, as a detector's masks. why: why there are none at all.
    """

    name: str
    params: int
    flops: int
    measures: tuple[float | None, ...]
    why: str = ""


def scores(result: RunResult) -> list[Score]:
    """Each teacher's score that has a checkpoint, at the image size that it teaches at, and the student's."""
    with quiet(), restricted_loading(result.trust):
        student = YOLO(str(result.best))
        imgsz = int(student.model.args["imgsz"])
        found = [_teacher(result, role, student, imgsz) for role in result.teachers]
        # A run in processes of its own leaves them only there.
        metrics = result.metrics or student.ckpt.get("train_metrics") or {}
        return [*found, Score("student", *_size(student, imgsz), _measured(result.task, metrics))]


def note_scores(folder: Path, found: Sequence[Score]) -> None:
    """Keep scores in the run's folder, as scores.json. Raises RunError (KD504) when it cannot be written."""
    file = folder / "scores.json"
    try:
        file.write_text(json.dumps([asdict(score) for score in found], indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise RunError(
            Diagnostic("KD504", f"{file} cannot be written ({error.strerror})", hint="make room for it")
        ) from error


def noted_scores(folder: Path) -> list[Score]:
    """What `note_scores` kept; empty when the run has not come so far, or the file is broken."""
    try:
        rows = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
        found = [Score(**{**row, "measures": tuple(row["measures"])}) for row in rows]
    except (OSError, ValueError, TypeError, KeyError):
        return []
    return found if all(map(_is_sound, found)) else []


def _is_sound(score: Score) -> bool:
    """Whether the parts of a score that was read are what they are said to be."""
    sizes = (score.params, score.flops)
    return (
        isinstance(score.name, str)
        and isinstance(score.why, str)
        and all(isinstance(size, int) and 0 <= size < _LARGEST for size in sizes)
        and all(isinstance(value, float | int | None) for value in score.measures)
    )


def _teacher(result: RunResult, role: str, student: Any, imgsz: int) -> Score:
    ref, teacher = result.spec.teachers[role], _loaded(result, role)
    imgsz = ref.imgsz or imgsz
    size, why = _size(teacher, imgsz), _why_not(ref, teacher, student)
    if why:
        return Score(role, *size, (None,) * len(MEASURES[result.task]), why)
    try:
        metrics = teacher.val(
            data=result.data, imgsz=imgsz, plots=False, verbose=False, save_dir=str(result.folder)
        )
    except Exception as error:  # the run has ended well: what cannot be measured beside it is only said
        why = f"Ultralytics cannot validate it ({' '.join(str(error).split())})"
        return Score(role, *size, (None,) * len(MEASURES[result.task]), why)
    return Score(role, *size, _measured(result.task, metrics.results_dict))


def _loaded(result: RunResult, role: str) -> Any:
    """The `YOLO` of a teacher's checkpoint, which may be older than what Ultralytics itself still loads."""
    ref = TeacherSpec(model=result.teachers[role], trust=result.spec.teachers[role].trust)
    with TemporaryDirectory() as folder:
        path = Path(folder) / Path(ref.model).name
        torch.save({"model": build_model(ref, nc=None), "train_args": {}}, path)
        return YOLO(str(path))


def _why_not(ref: TeacherSpec, teacher: Any, student: Any) -> str:
    """Why a teacher cannot be measured on the student's data; empty when it can."""
    if ref.channels is not None:
        return "it sees other channels than the images have"
    boxes = teacher.task == "detect" and student.task != "obb"  # upright boxes are in every other dataset
    if teacher.task != student.task and not boxes:
        return f"its task is '{teacher.task}', the data is for '{student.task}'"
    theirs = {index: (ref.classes or {}).get(name, name) for index, name in teacher.names.items()}
    return "" if _same_classes(theirs, student.names) else "its classes are not those of the data"


def _same_classes(theirs: Mapping[int, str], ours: Mapping[int, str]) -> bool:
    """As many, and none under another number; a name that the data does not have is another word for it."""
    known = set(ours.values())
    return len(theirs) == len(ours) and all(
        name == ours.get(index) or name not in known for index, name in theirs.items()
    )


def _size(model: Any, imgsz: int) -> tuple[int, int]:
    params = sum(p.numel() for p in model.model.parameters())
    return params, int(get_flops(model.model, imgsz) * 1e9)


def _measured(task: str, metrics: Mapping[str, float]) -> tuple[float | None, ...]:
    found = [metrics.get(f"metrics/{name}") for name in MEASURES[task].values()]
    return tuple(None if value is None else float(value) for value in found)
