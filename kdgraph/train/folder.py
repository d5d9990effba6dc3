"""What kdgraph keeps in a run's folder beside Ultralytics' files: the spec, and the state a resume needs."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from kdgraph.errors import Diagnostic, RunError
from kdgraph.spec import plugins
from kdgraph.spec.parse import parse
from kdgraph.spec.schema import Spec
from kdgraph.train.environment import environment

__all__ = ["RunFolder"]

_MADE = ("scores.json", "edges.csv", "edge_losses.png", "gradient_shares.png", "report.html")
_MAPS = (".epoch1.png", ".last.png")


@dataclass(frozen=True)
class RunFolder:
    """`spec.yaml` (the text as it was), `kdgraph.json` (where it came from, the teachers, when and with what
    it began) and `weights/learnt.pt` (what was trained beside the student, as of `last.pt`).

    The student's checkpoints stay plain; adapters and the like live beside them, since only a resume needs
    them.
    """

    path: Path

    @property
    def last(self) -> Path:
        return self.path / "weights" / "last.pt"

    @property
    def learnt(self) -> Path:
        return self.path / "weights" / "learnt.pt"

    def write(self, spec: Spec, teachers: Mapping[str, str], data: str, task: str = "detect") -> None:
        """Note the experiment when its run begins. Raises RunError (KD504) when that cannot be written.

        What kdgraph left there of a run before goes; Ultralytics' files stay until it writes them anew.

        teachers: role -> path of its checkpoint. task: what the student does, by which its trainer is chosen.
        """
        try:
            self._write(spec, {"teachers": dict(teachers), "data": data, "task": task})
        except OSError as error:
            raise RunError(
                Diagnostic(
                    "KD504",
                    f"{self.path} cannot be written ({error.strerror})",
                    spec.span("train"),
                    hint="start the run elsewhere, or give `train:` a `project:` that can be written",
                )
            ) from error

    def _write(self, spec: Spec, facts: dict[str, Any]) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        for file in self._made():
            file.unlink(missing_ok=True)
        if spec.path is not None:
            (self.path / "spec.yaml").write_text(spec.path.read_text(encoding="utf-8"), encoding="utf-8")
        origin = {
            "source": str(spec.path.absolute()) if spec.path else None,
            "spec": None if spec.path else spec.model_dump(mode="json"),  # made in Python: there is no text
        }
        began = datetime.now().astimezone().isoformat(timespec="seconds")
        noted = {**origin, **facts, "began": began, "environment": environment()}
        (self.path / "kdgraph.json").write_text(json.dumps(noted, indent=2) + "\n", encoding="utf-8")

    def _made(self) -> list[Path]:
        """What kdgraph has made here beside its notes."""
        maps = [file for ending in _MAPS for file in (self.path / "maps").glob(f"*{ending}")]
        files = [self.learnt, *(self.path / name for name in _MADE), *maps]
        return [file for file in files if file.is_file()]

    def notes(self) -> dict[str, str]:
        """The text of each file that `write` wrote, by name."""
        files = [self.path / name for name in ("kdgraph.json", "spec.yaml")]
        return {file.name: file.read_text(encoding="utf-8") for file in files if file.is_file()}

    def restore(self, notes: Mapping[str, str]) -> None:
        """Write what `notes` gave; processes may do it at the same time."""
        self.path.mkdir(parents=True, exist_ok=True)
        for name, text in notes.items():
            fresh = self.path / f".{name}.{os.getpid()}"
            fresh.write_text(text, encoding="utf-8")
            fresh.replace(self.path / name)

    def facts(self) -> dict[str, Any]:
        """What `write` noted. Raises RunError (KD502) when this is no folder of a kdgraph run."""
        file = self.path / "kdgraph.json"
        if not file.is_file():
            raise _no_resume(
                f"{self.path} is not the folder of a kdgraph run",
                "give the folder that `kdgraph run` printed, with spec.yaml and weights/ in it",
            )
        try:
            facts = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise _broken(file, str(error)) from error
        if not isinstance(facts, dict) or not isinstance(facts.get("source", 0), str | None):
            raise _broken(file, "it does not say where the spec came from")
        return facts

    def teachers(self) -> dict[str, str]:
        """The checkpoint of each teacher that has one, by role."""
        facts = self.facts()
        # a run of kdgraph 0.1 had one
        found = facts["teachers"] if "teachers" in facts else {"teacher": facts.get("teacher")}
        if not isinstance(found, dict) or not all(isinstance(path, str) for path in found.values()):
            raise _broken(self.path / "kdgraph.json", "it does not say which teachers there are")
        return found

    def task(self) -> str:
        """What the student does: detect, segment, pose or obb."""
        return str(self.facts().get("task", "detect"))

    def spec(self) -> Spec:
        """The spec of the run; relative paths in it still start from where it was first read."""
        facts = self.facts()
        if facts["source"] is None:
            spec = Spec.model_validate(facts.get("spec"))
            for name in spec.plugins:
                plugins.load(name, Path.cwd())
            return spec
        spec = parse((self.path / "spec.yaml").read_text(encoding="utf-8"), facts["source"])
        return spec.model_copy(update={"path": Path(facts["source"])})

    def save_learnt(self, state: dict[str, Any], epoch: int) -> None:
        """Keep what `Distiller.learnt` gave in this epoch and in the one before, in one atomic write.

        Called before Ultralytics writes last.pt: wherever a run is killed, last.pt finds its counterpart
        here.
        """
        states = {number: kept for number, kept in self._read_learnt().items() if number == epoch - 1}
        fresh = self.learnt.with_suffix(".tmp")
        fresh.parent.mkdir(parents=True, exist_ok=True)
        torch.save({**states, epoch: state}, fresh)
        fresh.replace(self.learnt)

    def load_learnt(self, epoch: int) -> dict[str, Any]:
        """What was learnt by the end of `epoch` (from 0). Raises RunError (KD502) when they are not there."""
        states = self._read_learnt()
        if epoch not in states:
            have = f"has those of epoch {max(states) + 1}" if states else "is missing"
            raise _no_resume(
                f"last.pt is of epoch {epoch + 1}, and {self.learnt} {have}",
                "restore both files from the same moment of the run, or start a new run",
            )
        return states[epoch]

    def _read_learnt(self) -> dict[int, dict[str, Any]]:
        if not self.learnt.is_file():
            return {}
        states: dict[int, dict[str, Any]] = torch.load(self.learnt, map_location="cpu", weights_only=True)
        return states


def _broken(file: Path, why: str) -> RunError:
    return _no_resume(f"{file} is broken: {why}", "restore it, or start a new run")


def _no_resume(what: str, mend: str) -> RunError:
    return RunError(Diagnostic("KD502", what, hint=mend))
