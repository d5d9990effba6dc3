"""Reads label files as Ultralytics will, to find before the training what it would skip or fail on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kdgraph.errors import Diagnostic, Span
from kdgraph.train.rows import Rows

SAMPLED = 2000
"""At most this many label files of a split are read, evenly spread over it."""


@dataclass
class _Findings:
    """First faulty line of each kind, and how many there are."""

    objects: int = 0
    unusable: list[Span] = field(default_factory=list)
    reason: str = ""
    strangers: list[Span] = field(default_factory=list)


def label_faults(
    files: Sequence[str], split: str, classes: int, rows: Rows | None = None
) -> list[Diagnostic]:
    """What is wrong with the labels of a split: none at all (KD404), lines that do not fit (KD405).

    files: the label file of each image, existing or not. classes: the number of classes of the dataset.
    rows: what their lines must hold; by default boxes.
    """
    findings, rows = _Findings(), rows or Rows()
    for file in files[:: max(1, math.ceil(len(files) / SAMPLED))]:
        _read(Path(file), classes, rows, findings)
    if findings.unusable or findings.strangers:
        return list(_line_faults(findings, split, classes, rows.hint))
    if findings.objects or any(_has_text(Path(file)) for file in files):
        return []
    found = sum(Path(file).is_file() for file in files)
    message = (
        f"the {split} images have no labels: {found} of {len(files)} label files exist, none has an object"
    )
    hint = f"a label file lies in 'labels' where its image lies in 'images', e.g. {files[0]}"
    return [Diagnostic("KD404", message, hint=hint)]


def _has_text(file: Path) -> bool:
    return file.is_file() and bool(file.read_bytes().strip())


def _read(file: Path, classes: int, rows: Rows, findings: _Findings) -> None:
    if not file.is_file():
        return  # an image without objects needs no label file
    lines = file.read_bytes().decode("utf-8-sig", errors="replace").splitlines()
    kinds = {rows.is_polygon(len(line.split())) for line in lines if line.strip()}
    mixed = "boxes and polygons in one file: Ultralytics skips it" if len(kinds) > 1 else ""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        findings.objects += 1
        reason = rows.fault(line.split()) or mixed
        if reason:
            findings.reason = findings.reason or reason
            findings.unusable.append(_span(file, number, line, line))
        elif float(line.split()[0]) >= classes:
            findings.strangers.append(_span(file, number, line, line.split()[0]))


def _span(file: Path, number: int, line: str, part: str) -> Span:
    column = line.index(part) + 1
    return Span(str(file), number, column, column + len(part), line)


def _line_faults(findings: _Findings, split: str, classes: int, hint: str) -> list[Diagnostic]:
    faults = []
    if findings.unusable:
        message = f"{_lines(findings.unusable)} of the {split} labels cannot be used: {findings.reason}"
        faults.append(Diagnostic("KD405", message, findings.unusable[0], hint))
    if findings.strangers:
        message = f"{_lines(findings.strangers)} of the {split} labels: no such class in the dataset"
        hint = f"its {classes} classes are 0 to {classes - 1}: add the class to 'names', or mend the labels"
        faults.append(Diagnostic("KD405", message, findings.strangers[0], hint))
    return faults


def _lines(spans: list[Span]) -> str:
    return "a line" if len(spans) == 1 else f"{len(spans)} lines"
