"""`kdgraph run`: from a spec to a distilled student."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ultralytics.utils.files import increment_path

from kdgraph.compiler.api import Plan, check
from kdgraph.errors import DataError, Diagnostic, RunError
from kdgraph.spec.schema import Spec
from kdgraph.train.data import check_dataset
from kdgraph.train.folder import RunFolder
from kdgraph.train.loading import restricted_loading
from kdgraph.train.teachers import ensure_teachers
from kdgraph.train.trainer import trainer_for

__all__ = ["RunResult", "resume", "run"]


@dataclass(frozen=True)
class RunResult:
    """Where a run left its files, and the best student's validation metrics (as in results.csv).

    task: what the student does. teachers: the checkpoint of each teacher that has one, by role.
    """

    folder: Path
    spec: Spec
    task: str
    teachers: dict[str, str]
    data: str
    metrics: dict[str, float]

    @property
    def trust(self) -> bool:
        """Whether the spec lets checkpoints load without restrictions."""
        return _trusts(self.spec)

    @property
    def best(self) -> Path:
        """The checkpoint to ship: best by validation, last where validation was off."""
        best = self.folder / "weights" / "best.pt"
        return best if best.is_file() else best.with_name("last.pt")


def run(spec: Spec) -> RunResult:
    """Check, train the teacher if the spec says so, then train the student.

    Nothing is written before the spec, both models and the dataset have been found sound.
    """
    if spec.data is None:
        raise DataError(
            Diagnostic("KD401", "the spec names no data to train on", spec.span(), "add `data: my-data.yaml`")
        )
    planned = check(spec)
    task = getattr(planned.student, "task", None)
    trainer_for(task, spec.student.span("model"))  # or it says why there is none
    data = _check_data(spec, planned)
    with restricted_loading(_trusts(spec)):
        teachers = ensure_teachers(spec, data)
        folder = RunFolder(_new_folder(spec))
        folder.write(spec, teachers, data, str(task))
        overrides = {**spec.train, "model": spec.student.model, "data": data, "save_dir": str(folder.path)}
        return _train(spec, overrides, folder, data)


def _check_data(spec: Spec, planned: Plan) -> str:
    """The dataset, found sound for the tasks of the student and of the teachers that learn from it."""
    learning = ["student", *(role for role, ref in spec.teachers.items() if ref.train is not None)]
    tasks = dict.fromkeys(getattr(planned.graph.models[role].source, "task", None) for role in learning)
    folder, span = spec.path and spec.path.parent, spec.span("data")
    paths = [check_dataset(str(spec.data), folder, span=span, task=str(task)) for task in tasks]
    return paths[0]


def resume(path: Path) -> RunResult:
    """Go on with the run in folder `path` from its last.pt: weights, adapters, optimiser, schedule."""
    folder = RunFolder(path)
    facts, spec = folder.facts(), folder.spec()
    if not folder.last.is_file():
        raise RunError(
            Diagnostic(
                "KD502", f"{folder.last} is missing", hint="the first epoch had not ended: start again"
            )
        )
    if not folder.learnt.is_file():
        raise RunError(
            Diagnostic("KD502", f"the run in {path} has ended", hint="start a new run with more epochs")
        )
    if not isinstance(facts.get("data"), str):
        raise RunError(
            Diagnostic(
                "KD502", f"{path / 'kdgraph.json'} is broken: it names no data", hint="start a new run"
            )
        )
    with restricted_loading(_trusts(spec)):
        overrides = {"model": str(folder.last), "resume": str(folder.last), "data": facts["data"]}
        overrides["save_dir"] = str(folder.path)
        return _train(spec, overrides, folder, facts["data"])


def _trusts(spec: Spec) -> bool:
    return any(ref.trust for ref in (spec.student, *spec.teachers.values()))


def _train(spec: Spec, overrides: dict[str, Any], folder: RunFolder, data: str) -> RunResult:
    task, teachers = folder.task(), folder.teachers()
    try:
        trainer = trainer_for(task)(overrides=overrides, spec=spec, teachers=teachers)
    except (TypeError, ValueError, SyntaxError) as error:  # Ultralytics' own checks of the train arguments
        message = " ".join(str(error).split())
        raise RunError(
            Diagnostic("KD504", f"Ultralytics refuses the train arguments: {message}", spec.span("train"))
        ) from error
    try:
        trainer.train()
    except KeyboardInterrupt:
        raise _interrupted(folder) from None
    metrics = {name: float(value) for name, value in (trainer.metrics or {}).items()}
    return RunResult(folder.path, spec, task, teachers, data, metrics)


def _interrupted(folder: RunFolder) -> RunError:
    kept = folder.last.is_file()
    mend = (
        f"go on with: kdgraph run --resume {folder.path}" if kept else "no epoch had ended yet: start again"
    )
    return RunError(Diagnostic("KD504", "the run was interrupted", hint=mend))


def _new_folder(spec: Spec) -> Path:
    """`runs/<name of the spec>`, numbered when taken; `project`, `name`, `exist_ok` as in Ultralytics."""
    project = Path(spec.train.get("project") or "runs")
    name = spec.train.get("name") or (spec.path.stem if spec.path else "run")
    return Path(increment_path(Path.cwd() / project / name, exist_ok=bool(spec.train.get("exist_ok"))))
