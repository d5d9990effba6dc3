"""What kdgraph keeps in a run's folder beside Ultralytics' files: the spec, and the state a resume needs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from kdgraph.errors import Diagnostic, RunError
from kdgraph.spec.parse import parse
from kdgraph.spec.schema import Spec

__all__ = ["RunFolder"]


@dataclass(frozen=True)
class RunFolder:
    """`spec.yaml` (the text as it was), `kdgraph.json` (where it came from, the teacher) and
    `weights/adapters.pt` (adapters as of `last.pt`).

    The student's checkpoints stay plain; the adapters live beside them, since only a resume needs them.
    """

    path: Path

    @property
    def last(self) -> Path:
        return self.path / "weights" / "last.pt"

    @property
    def adapters(self) -> Path:
        return self.path / "weights" / "adapters.pt"

    def write(self, spec: Spec, teacher: str, data: str) -> None:
        """Note the experiment when its run begins. Raises RunError (KD504) when that cannot be written."""
        try:
            self._write(spec, teacher, data)
        except OSError as error:
            raise RunError(
                Diagnostic(
                    "KD504",
                    f"{self.path} cannot be written ({error.strerror})",
                    spec.span("train"),
                    hint="start the run elsewhere, or give `train:` a `project:` that can be written",
                )
            ) from error

    def _write(self, spec: Spec, teacher: str, data: str) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        if spec.path is not None:
            (self.path / "spec.yaml").write_text(spec.path.read_text(encoding="utf-8"), encoding="utf-8")
        facts = {
            "source": str(spec.path.absolute()) if spec.path else None,
            "spec": None if spec.path else spec.model_dump(mode="json"),  # made in Python: there is no text
            "teacher": teacher,
            "data": data,
        }
        (self.path / "kdgraph.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")

    def facts(self) -> dict[str, Any]:
        """What `write` noted. Raises RunError (KD502) when this is no folder of a kdgraph run."""
        file = self.path / "kdgraph.json"
        if not file.is_file():
            raise _no_resume(
                f"{self.path} is not the folder of a kdgraph run",
                "give the folder that `kdgraph run` printed, with spec.yaml and weights/ in it",
            )
        facts: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return facts

    def spec(self) -> Spec:
        """The spec of the run; relative paths in it still start from where it was first read."""
        facts = self.facts()
        if facts["source"] is None:
            return Spec.model_validate(facts["spec"])
        spec = parse((self.path / "spec.yaml").read_text(encoding="utf-8"), facts["source"])
        return spec.model_copy(update={"path": Path(facts["source"])})

    def save_adapters(self, state: dict[str, Any], epoch: int) -> None:
        """Keep the adapters of this epoch and of the one before, in one atomic write.

        Called before Ultralytics writes last.pt: wherever a run is killed, last.pt finds its adapters here.
        """
        states = {number: kept for number, kept in self._read_adapters().items() if number == epoch - 1}
        fresh = self.adapters.with_suffix(".tmp")
        fresh.parent.mkdir(parents=True, exist_ok=True)
        torch.save({**states, epoch: state}, fresh)
        fresh.replace(self.adapters)

    def load_adapters(self, epoch: int) -> dict[str, Any]:
        """The adapters of the end of `epoch` (from 0). Raises RunError (KD502) when they are not there."""
        states = self._read_adapters()
        if epoch not in states:
            have = f"has those of epoch {max(states) + 1}" if states else "is missing"
            raise _no_resume(
                f"last.pt is of epoch {epoch + 1}, and {self.adapters} {have}",
                "restore both files from the same moment of the run, or start a new run",
            )
        return states[epoch]

    def _read_adapters(self) -> dict[int, dict[str, Any]]:
        if not self.adapters.is_file():
            return {}
        states: dict[int, dict[str, Any]] = torch.load(self.adapters, map_location="cpu", weights_only=True)
        return states


def _no_resume(what: str, mend: str) -> RunError:
    return RunError(Diagnostic("KD502", what, hint=mend))
