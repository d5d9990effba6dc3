"""Adapters bring the student's features to the teacher's shape.

`forward(student, teacher)` gives the student, adapted. They sit on the student's side and learn with it;
the teacher is looked at for its size only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F


class Identity(nn.Module):
    """The student as it is, of any shape."""

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        return student


class Conv1x1(nn.Module):
    """A linear map of the channels at each position; with `norm` batch norm instead of a bias.

    `[B, inputs, H, W]` to `[B, outputs, H, W]`.
    """

    def __init__(self, inputs: int, outputs: int, norm: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1, bias=not norm)
        self.norm = nn.BatchNorm2d(outputs) if norm else nn.Identity()

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        normed: Tensor = self.norm(self.conv(student))
        return normed


class MLP(nn.Module):
    """1x1 convolution, ReLU, 1x1 convolution, both to the teacher's width.

    `[B, inputs, H, W]` to `[B, outputs, H, W]`. The projector of Ultralytics 8.4 `nn/distill_model.py`.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 1)
        self.conv2 = nn.Conv2d(outputs, outputs, 1)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        projected: Tensor = self.conv2(F.relu(self.conv1(student)))
        return projected


class Resize(nn.Module):
    """The student's map at the teacher's height and width; bilinear with half-pixel centres, or nearest."""

    def __init__(self, mode: Literal["bilinear", "nearest"] = "bilinear") -> None:
        super().__init__()
        self.mode = mode

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        return F.interpolate(student, size=teacher.shape[-2:], mode=self.mode)

    def extra_repr(self) -> str:
        return f"mode={self.mode!r}"


class Chain(nn.Module):
    """Adapters one after another."""

    def __init__(self, *links: nn.Module) -> None:
        super().__init__()
        self.links = nn.ModuleList(links)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        for link in self.links:
            student = link(student, teacher)
        return student


def auto_chain(student_shape: Sequence[int], teacher_shape: Sequence[int]) -> list[str]:
    """Names of the adapters that bring `student_shape` to `teacher_shape`, in order.

    The batch size is ignored. Equal shapes need `identity`; other channels `conv1x1`; another height or
    width `resize`, on the side of the convolution where the map is smaller.

    Raises:
        ValueError: the shapes differ and are not both maps `[B, C, H, W]`.
    """
    student, teacher = tuple(student_shape), tuple(teacher_shape)
    if student[1:] == teacher[1:]:
        return ["identity"]
    if not len(student) == len(teacher) == 4:
        shapes = f"{list(student)} to {list(teacher)}"
        raise ValueError(f"no adapter brings {shapes}: only maps [B, C, H, W] are adapted")
    names = ["conv1x1"] if student[1] != teacher[1] else []
    if student[2:] == teacher[2:]:
        return names
    shrinks = student[2] * student[3] > teacher[2] * teacher[3]
    return ["resize", *names] if shrinks else [*names, "resize"]
