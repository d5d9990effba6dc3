"""Published loss vectors: reading them, and comparing what is computed here with what they recorded."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor


class Vector:
    """One `.npz`: `student`, `teacher`, `loss`, `grad_student`, and `config`, JSON text.

    With several levels (or where the source takes a list) arrays are numbered from 0: `student_0`, ...
    Without levels there is one, and its arrays have no number. The student's arrays collect gradients.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            self.config: dict[str, Any] = json.loads(str(arrays["config"]))
            self.arrays = {k: torch.from_numpy(v.copy()) for k, v in arrays.items() if k != "config"}
        self.numbered = "student_0" in self.arrays
        self.levels = sum(k.startswith("student") for k in self.arrays)
        self.students = [self["student", i].requires_grad_() for i in range(self.levels)]
        self.teachers = [self["teacher", i] for i in range(self.levels)]

    def __getitem__(self, key: tuple[str, int]) -> Tensor:
        name, level = key
        return self.arrays[f"{name}_{level}" if self.numbered else name]

    def get(self, name: str, level: int = 0) -> Tensor | None:
        return self.arrays.get(f"{name}_{level}" if self.numbered else name)

    def number(self, key: str) -> float:
        """A setting that is a number."""
        return float(self.config[key])

    def pairs(self) -> Iterator[tuple[int, Tensor, Tensor]]:
        return zip(range(self.levels), self.students, self.teachers, strict=True)


Case = Callable[[Vector], "Tensor | Verdict | None"]
"""The loss of a vector as computed here, or None when a setting of the file is not built.

Of a file without a loss, the verdict itself.
"""

CASES: dict[str, Case] = {}


def case(*methods: str) -> Callable[[Case], Case]:
    """Register the case of these methods, the `config["method"]` of their files."""

    def register(function: Case) -> Case:
        CASES.update(dict.fromkeys(methods, function))
        return function

    return register


@dataclass(frozen=True)
class Verdict:
    """How far a file is from what is computed here; errors None where nothing was computed."""

    status: str
    loss_error: float | None = None
    grad_error: float | None = None
    note: str = ""


def check(path: Path, rtol: float = 1e-9) -> Verdict:
    """Compare one file: `ok`, `FAIL` or `not built yet`.

    Errors are relative: of the loss, and the largest difference of a gradient over the largest gradient.
    """
    try:
        vector = Vector(path)
    except Exception as error:  # any unreadable file is a finding of its own
        return Verdict("FAIL", note=f"unreadable: {error}")
    build = CASES.get(vector.config.get("method", ""))
    if build is None:
        return Verdict("not built yet")
    try:
        found = build(vector)
        if isinstance(found, Verdict):
            return found
        return Verdict("not built yet") if found is None else _compare(vector, found, rtol)
    except (KeyError, ValueError, RuntimeError) as error:
        return Verdict("FAIL", note=f"{type(error).__name__}: {error}")


def _compare(vector: Vector, loss: Tensor, rtol: float) -> Verdict:
    gradients = torch.autograd.grad(loss, vector.students)
    loss_error = _relative(loss.detach(), vector.arrays["loss"])
    grad_errors = [_relative(got, vector["grad_student", i]) for i, got in enumerate(gradients)]
    good = all(error <= rtol for error in (loss_error, *grad_errors))  # False for NaN
    return Verdict("ok" if good else "FAIL", loss_error, float(torch.tensor(grad_errors).max()))


def _relative(got: Tensor, wanted: Tensor) -> float:
    return float((got - wanted).abs().max() / wanted.abs().max().clamp(min=1e-300))  # 0 against 0 is no error
