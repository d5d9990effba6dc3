"""Every criterion with settings that are worth a test of their own, and inputs for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from kdgraph.nn.criteria import Criterion
from kdgraph.nn.registry import criterion
from kdgraph.spec.components import CRITERIA, ComponentInfo
from tests.nn import signals
from tests.nn.signals import Scene

STOPPED = "a weight is a constant for it, though it depends on the student"
ADDED = "what is added to its norms does not grow with the batch"
IMAGE = "the whole image counts, not only the cells that the mask selects"
PLACE = "it counts where a cell lies"
CELLS = "cells have neighbours here: only maps have them"


@dataclass(frozen=True)
class Case:
    """A criterion as a user and the compiler would set it, and the channels of what it compares."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    channels: int = 6
    teacher_channels: int | None = None
    """Where they differ from the student's."""
    bins: int | None = None
    keypoints: tuple[int, int] | None = None
    zero_at_equality: bool = True
    maps: bool = False
    """It takes maps only: where a cell is matters."""
    exempt: Mapping[str, str] = field(default_factory=dict)
    """Laws (see `cases`) that have no meaning for it, and why."""

    @property
    def info(self) -> ComponentInfo:
        return CRITERIA[self.name]

    @property
    def masked(self) -> bool:
        return self.info.masked

    @property
    def both_channels(self) -> tuple[int, int]:
        """The student's, and the teacher's."""
        return self.channels, self.teacher_channels or self.channels

    @property
    def wires(self) -> dict[str, Any]:
        """What the compiler would tell it."""
        bins: dict[str, Any] = {} if self.bins is None else {"bins": self.bins}
        bins |= {} if self.keypoints is None else {"keypoints": self.keypoints}
        return {**bins, **({"channels": self.both_channels} if "channels" in self.info.wires else {})}

    @property
    def classes(self) -> int:
        """Those of a class head beside it: its own, where it compares class logits."""
        return self.channels if self.info.takes == {"cls"} else 3

    def build(self, dtype: torch.dtype = torch.float64) -> Criterion:
        """The criterion with parameters in `dtype`, and the same random numbers ahead of it each time."""
        torch.manual_seed(0)
        module = criterion(self.name, **self.wires, **self.options).to(dtype)
        torch.manual_seed(0)
        return module

    def obeys(self, law: str) -> str | None:
        """None, or why it does not."""
        return self.exempt.get(law) or (
            CELLS if self.maps and law in ("anchors", "positions", "selection") else None
        )

    def __str__(self) -> str:
        settings = [f"{key}={value}" for key, value in self.options.items()]
        return ",".join([self.name, *settings, *([f"bins={self.bins}"] if self.bins else [])])


FEATURES = [
    Case("mimic", {"norm": "image"}, exempt={"selection": IMAGE}),
    Case("pfi"),
    Case("attention", teacher_channels=4, exempt={"selection": IMAGE}),
    Case("attention", {"power": 0.5}, exempt={"selection": IMAGE}),
    Case("attention", {"power": 4.0, "distance": "cosine"}, exempt={"selection": IMAGE}),
    Case("spatial_softmax", exempt={"selection": IMAGE}),
    Case("spatial_softmax", {"temperature": 3.0}, teacher_channels=9, exempt={"selection": IMAGE}),
    Case("channel_softmax"),
    Case("channel_softmax", {"temperature": 0.5}),
    Case("gap_mse"),
    Case("gram_mse"),
    Case("mmd"),
    Case("mmd", {"sigma": 0.2}),
    Case("mgd", {"drop": 0.0}, maps=True, zero_at_equality=False),
    Case("fgd", maps=True),
    Case("fgd", {"temperature": 2.0, "relation": 0.1, "background": 0.0}, maps=True),
    Case("gi", maps=True),
    Case("gi", {"cells": 3, "relation": 5.0}, maps=True),
]

CLASSES = [
    Case("logit_std"),
    Case("logit_std", {"temperature": 1.0}, channels=2),
    Case("dist", zero_at_equality=False, exempt={"twice": ADDED}),
    Case(
        "dist",
        {"temperature": 3.0, "inter": 0.5, "intra": 2.0},
        zero_at_equality=False,
        exempt={"twice": ADDED},
    ),
    Case("dkd"),
    Case("dkd", {"temperature": 2.0, "alpha": 0.5, "beta": 3.0}, channels=3),
    Case("nkd", zero_at_equality=False),
    Case("nkd", {"temperature": 3.0, "gamma": 0.5}, zero_at_equality=False),
    Case("rank"),
    Case("rank", {"temperature": 4.0}),
]

SIDES = [
    Case("ld", channels=20, bins=5),
    Case("ld", {"temperature": 1.0, "reduction": "sum"}, channels=8, bins=2),
    Case("ddf", channels=20, bins=5, exempt={"derivative": STOPPED}),
    Case("ddf", {"temperature": 1.0}, channels=12, bins=3, exempt={"derivative": STOPPED}),
    *[
        Case("m2d2", {"variant": v, "pooling": p}, channels=20, bins=5, maps=True, zero_at_equality=False)
        for v in ("mixture", "mean_logits")
        for p in ("uniform", "score")
    ],
    Case("m2d2", {"temperature": 3.0}, channels=8, bins=2, maps=True, zero_at_equality=False),
    Case("box_l2", channels=4),
    Case("box_l2", {"scale": 8.0}, channels=20, bins=5),
    # a box without area, as random ones may be, is not at an IoU of 1 of itself
    Case("iou", channels=4, zero_at_equality=False),
    Case("iou", channels=20, bins=5, zero_at_equality=False),
]

TASKS = [
    # equal coefficients of other prototypes are other masks
    Case("masks", zero_at_equality=False, exempt=dict.fromkeys(("positions", "selection"), PLACE)),
    Case(
        "masks",
        {"temperature": 3.0},
        channels=2,
        teacher_channels=3,
        zero_at_equality=False,
        exempt=dict.fromkeys(("positions", "selection"), PLACE),
    ),
    Case("keypoints", channels=6, keypoints=(2, 3)),
    Case("keypoints", {"delta": 0.1}, channels=6, keypoints=(3, 2)),
    Case("angle", channels=1),
]

CASES = [
    Case("mimic"),
    Case("cosine"),
    Case("cwd"),
    Case("cwd", {"tau": 4.0, "norm": "batch"}),
    Case("pkd"),
    Case("sl2"),
    *FEATURES,
    Case("bce", zero_at_equality=False),
    Case("bce", {"temperature": 2.0}, zero_at_equality=False),
    Case("kl"),
    Case("kl", {"temperature": 3.0}, channels=20, bins=5),
    Case("qfl"),
    Case("qfl", {"beta": 0.5}),
    Case("qfl", {"beta": 0.0}, zero_at_equality=False),
    *CLASSES,
    *SIDES,
    *TASKS,
]


def cases(law: str = "", *, masked: bool = False) -> pytest.MarkDecorator:
    """A test's `case`: all of them, or the masked ones; skipped where exempt from the law.

    The laws that a case can be exempt from:

    | law | what holds |
    |---|---|
    | `anchors` | maps are worth the same as lists of anchors |
    | `positions` | the order of anchors does not matter |
    | `images` | the order of images does not matter |
    | `twice` | the batch twice is the same loss |
    | `selection` | a bool mask is worth the same as the cells it selects |
    | `derivative` | the gradient is the derivative |
    | `precision` | half precision is computed in float32 |
    | `extremes` | +-1e4 give finite losses and gradients |
    """
    chosen = [case for case in CASES if case.masked or not masked]
    return pytest.mark.parametrize("case", [_under(law, case) for case in chosen], ids=str)


def _under(law: str, case: Case) -> Any:
    reason = case.obeys(law)
    return pytest.param(case, marks=[pytest.mark.skip(reason=reason)] if reason else [])


every_case = cases()
every_masked_case = cases(masked=True)


@dataclass(frozen=True)
class Inputs:
    """All that one call of a criterion takes."""

    student: Tensor
    teacher: Tensor
    mask: Tensor | None = None
    signals: signals.Signals = field(default_factory=dict)

    def into(self, loss: Callable[..., Tensor]) -> Tensor:
        return loss(self.student, self.teacher, self.mask, **self.signals)

    def with_mask(self, mask: Tensor | None) -> Inputs:
        return replace(self, mask=mask)

    def anchors(self) -> Inputs:
        """Of maps, the same as lists of anchors."""
        mask = None if self.mask is None else self.mask.flatten(1)
        return Inputs(self.student.flatten(2), self.teacher.flatten(2), mask, signals.anchors(self.signals))

    def positions(self, order: Tensor) -> Inputs:
        """Other anchors, by index or by a bool mask."""
        mask = None if self.mask is None else self.mask[..., order]
        moved = signals.by_cell(self.signals, lambda x: x[..., order])
        return Inputs(self.student[..., order], self.teacher[..., order], mask, moved)

    def images(self, order: Tensor) -> Inputs:
        mask = None if self.mask is None else self.mask[order]
        return Inputs(self.student[order], self.teacher[order], mask, signals.images(self.signals, order))

    def repeated(self, times: int) -> Inputs:
        batch = self.student.shape[0]
        tensors = [
            None if x is None else x.repeat(times, *[1] * (x.ndim - 1))
            for x in (self.student, self.teacher, self.mask)
        ]
        student, teacher, mask = tensors
        assert student is not None
        assert teacher is not None
        return Inputs(student, teacher, mask, signals.repeated(self.signals, times, batch))


def pair(
    case: Case, *, images: int = 2, size: tuple[int, ...] = (3, 4), seed: int = 0, spread: float = 2.0
) -> tuple[Tensor, Tensor]:
    """A student that collects gradients and a teacher, `[images, channels, *size]`, float64."""
    noise = torch.Generator().manual_seed(seed)
    shapes = [(images, channels, *size) for channels in case.both_channels]
    student, teacher = (spread * torch.randn(shape, generator=noise, dtype=torch.float64) for shape in shapes)
    return student.requires_grad_(), teacher


def inputs(case: Case, *, seed: int = 0, **settings: Any) -> Inputs:
    """A pair, without mask, and the signals that the criterion reads; settings as of `pair`."""
    student, teacher = pair(case, seed=seed, **settings)
    return Inputs(student, teacher, None, read(case, student, seed))


def read(case: Case, student: Tensor, seed: int = 0, **scene: Any) -> dict[Any, Any]:
    """The signals that the criterion reads beside this student."""
    scene = {"teacher_channels": case.teacher_channels, **scene}
    return signals.signals(case.info.reads, Scene(student, case.classes, seed, **scene))


def weights(student: Tensor, seed: int = 0) -> Tensor:
    """A mask for `student` with values in 0 .. 1, about a third of them 0."""
    noise = torch.Generator().manual_seed(seed + 1)
    shape = (student.shape[0], *((1,) if student.ndim == 4 else ()), *student.shape[2:])
    return (1.5 * torch.rand(shape, generator=noise, dtype=student.dtype) - 0.5).clamp(min=0)
