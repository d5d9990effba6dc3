"""Reads what a run's folder holds, also while the run still writes there."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from kdgraph.errors import KdgraphError, RunError
from kdgraph.spec.schema import Spec
from kdgraph.train.edge_log import TASK, EdgeRow, read_edges
from kdgraph.train.folder import RunFolder
from kdgraph.train.report import MEASURES, Score, noted_scores

__all__ = ["Run"]


@dataclass(frozen=True)
class Run:
    """A run as its folder tells it. Raises RunError (KD502) when it is no folder of a run."""

    path: Path
    facts: Mapping[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "facts", RunFolder(self.path).facts())

    @property
    def name(self) -> str:
        """The name of the spec; of the folder, where the spec was made in Python."""
        source = self.facts.get("source")
        return Path(source).stem if source else self.path.absolute().name

    @property
    def folder(self) -> RunFolder:
        return RunFolder(self.path)

    @property
    def task(self) -> str:
        """What the student does; `detect` where the folder names no task that there is."""
        found = self.folder.task()
        return found if found in MEASURES else "detect"

    @property
    def teachers(self) -> Mapping[str, str]:
        """Role -> checkpoint; none where the folder no longer says."""
        try:
            return self.folder.teachers()
        except RunError:
            return {}

    @property
    def began(self) -> float:
        """When, in seconds since 1970; 0 where that was not noted."""
        try:
            return datetime.fromisoformat(str(self.facts.get("began"))).timestamp()
        except (ValueError, OverflowError):
            return 0.0

    @property
    def spec(self) -> Spec | None:
        """The spec; None when it can no longer be read, as `spec_fault` says."""
        return self._spec_or_fault[0]

    @property
    def spec_fault(self) -> str:
        return self._spec_or_fault[1]

    @cached_property
    def _spec_or_fault(self) -> tuple[Spec | None, str]:
        try:
            return self.folder.spec(), ""
        except (KdgraphError, OSError, ValueError) as error:  # a plugin that has gone, a rule that is new
            return None, str(error)

    @cached_property
    def spec_text(self) -> str:
        """The spec as it was written; of one made in Python, as YAML."""
        file = self.path / "spec.yaml"
        if self.facts["source"] and file.is_file():
            return file.read_text(encoding="utf-8", errors="replace")
        kept = self.facts.get("spec")
        return yaml.safe_dump(kept, sort_keys=False, allow_unicode=True) if kept else ""

    @cached_property
    def args(self) -> dict[str, Any]:
        """Ultralytics' train arguments; empty before the trainer has written them."""
        try:
            read = yaml.safe_load((self.path / "args.yaml").read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError, UnicodeDecodeError):
            return {}
        return read if isinstance(read, dict) else {}

    @cached_property
    def results(self) -> dict[int, dict[str, float]]:
        """Epoch, from 1 -> the columns of results.csv."""
        rows = _numbers(self.path / "results.csv")
        return {int(row["epoch"]): row for row in rows if 1 <= row.get("epoch", 0) < math.inf}

    @cached_property
    def edges(self) -> dict[str, dict[int, EdgeRow]]:
        """Edge, the student's own loss last -> epoch -> its row in edges.csv."""
        try:
            rows = read_edges(self.path / "edges.csv")
        except (OSError, csv.Error):
            rows = []
        found: dict[str, dict[int, EdgeRow]] = {}
        for row in rows:
            found.setdefault(row.edge, {})[row.epoch] = row
        return {name: found[name] for name in sorted(found, key=TASK.__eq__)}

    @property
    def scores(self) -> list[Score]:
        """What was measured at the end of the run; empty before that."""
        found, count = noted_scores(self.path), len(MEASURES[self.task])
        return found if all(len(score.measures) == count for score in found) else []

    @property
    def ended(self) -> bool:
        """Whether there is a student, and nothing beside it that a resume would need.

        A last.pt from before the run began is that of another one in the same folder.
        """
        last = self.folder.last
        own = last.is_file() and last.stat().st_mtime >= self.began
        return own and not self.folder.learnt.is_file()


def _rows(file: Path) -> list[dict[str, str]]:
    """The complete rows of a CSV file; none where there is no file."""
    if not file.is_file():
        return []
    with file.open(encoding="utf-8", errors="replace", newline="") as lines:
        reader = csv.DictReader(lines, skipinitialspace=True)
        rows = [row for row in reader if None not in row and None not in row.values()]
    return [{str(name).strip(): value.strip() for name, value in row.items()} for row in rows]


def _numbers(file: Path) -> list[dict[str, float]]:
    rows = []
    for row in _rows(file):
        try:
            rows.append({name: float(value) for name, value in row.items()})
        except ValueError:
            continue
    return rows
