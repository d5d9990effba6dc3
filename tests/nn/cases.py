"""Every criterion with settings that are worth a test of their own, and inputs for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor

from kdgraph.nn.criteria import Criterion
from kdgraph.nn.registry import criterion


@dataclass(frozen=True)
class Case:
    """A criterion as a user and the compiler would set it, and the channels of what it compares."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    channels: int = 6
    bins: int | None = None
    zero_at_equality: bool = True

    def build(self) -> Criterion:
        return criterion(self.name, bins=self.bins, **self.options)

    @property
    def masked(self) -> bool:
        return self.build().masked

    def __str__(self) -> str:
        settings = [f"{key}={value}" for key, value in self.options.items()]
        return ",".join([self.name, *settings, *([f"bins={self.bins}"] if self.bins else [])])


CASES = [
    Case("mimic"),
    Case("cosine"),
    Case("cwd"),
    Case("cwd", {"tau": 4.0, "norm": "batch"}),
    Case("pkd"),
    Case("sl2"),
    Case("bce", zero_at_equality=False),
    Case("bce", {"temperature": 2.0}, zero_at_equality=False),
    Case("kl"),
    Case("kl", {"temperature": 3.0}, channels=20, bins=5),
    Case("qfl"),
    Case("qfl", {"beta": 0.5}),
    Case("qfl", {"beta": 0.0}, zero_at_equality=False),
    Case("box_l2", channels=4),
    Case("box_l2", {"scale": 8.0}, channels=20, bins=5),
]

every_case = pytest.mark.parametrize("case", CASES, ids=str)
every_masked_case = pytest.mark.parametrize("case", [c for c in CASES if c.masked], ids=str)


def pair(
    case: Case, *, images: int = 2, size: tuple[int, ...] = (3, 4), seed: int = 0, spread: float = 2.0
) -> tuple[Tensor, Tensor]:
    """A student that collects gradients and a teacher, `[images, channels, *size]`, float64."""
    noise = torch.Generator().manual_seed(seed)
    shape = (2, images, case.channels, *size)
    student, teacher = spread * torch.randn(shape, generator=noise, dtype=torch.float64)
    return student.clone().requires_grad_(), teacher.clone()  # not views, which Dynamo guards differently


def weights(student: Tensor, seed: int = 0) -> Tensor:
    """A mask for `student` with values in 0 .. 1, about a third of them 0."""
    noise = torch.Generator().manual_seed(seed + 1)
    shape = (student.shape[0], *((1,) if student.ndim == 4 else ()), *student.shape[2:])
    return (1.5 * torch.rand(shape, generator=noise, dtype=student.dtype) - 0.5).clamp(min=0)
