"""What criteria read besides student and teacher, made up for tensors of any shape, and moved along.

All is one scene, so that signals agree: `label` is the class of the object that `target` points at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from kdgraph.spec.components import Signal

Signals = Mapping[Signal, Any]

COUNTS = (2, 0, 1, 3)
"""How many objects an image has, over and over."""
INSTANCES = 4
BY_IMAGE: frozenset[Signal] = frozenset({"instances", "student_proto", "teacher_proto"})
CELLWISE = ("student_cls", "teacher_cls", "teacher_box", "target", "label", "target_box")


@dataclass(frozen=True)
class Scene:
    """Objects in images, and which cells are theirs; a method per signal.

    Args:
        like: `[B, C, H, W]` or `[B, C, A]`, the student.
        classes: nc.
        counts: of objects per image, repeated as needed.
        teacher_channels: where they differ from the student's.
    """

    like: Tensor
    classes: int
    seed: int = 0
    counts: tuple[int, ...] = COUNTS
    teacher_channels: int | None = None
    image: Tensor = field(init=False)

    def __post_init__(self) -> None:
        counts = [self.counts[i % len(self.counts)] for i in range(self.like.shape[0])]
        image = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
        object.__setattr__(self, "image", image)

    def objects(self) -> list[Tensor]:
        corner, size = self._uniform(0, len(self.image), 2), 0.2 + 0.5 * self._uniform(1, len(self.image), 2)
        boxes = torch.cat((size / 2 + corner * (1 - size), size), 1)
        return [self.image, self._class().unsqueeze(1), boxes]

    def target(self) -> Tensor:
        """About half of the cells have one of their image's objects; the first two of the first image do."""
        images, cells = self.like.shape[0], self.like[0, 0].numel()
        count = torch.bincount(self.image, minlength=images).unsqueeze(1)
        first = (count.cumsum(0) - count).expand(-1, cells)
        which = (self._uniform(2, images, cells) * count).long()
        taken = (self._uniform(3, images, cells) < 0.5) & (count > 0)
        target = torch.where(taken, first + which, -1)
        if count[0] > 0:
            target[0, :2] = 0
        return target.view(images, 1, *self.like.shape[2:]) if self.like.ndim == 4 else target

    def label(self) -> Tensor:
        target = self.target()
        classes = torch.cat((self._class(), torch.tensor([-1.0])))  # the last one is that of target -1
        return classes[target].long()

    def target_box(self) -> Tensor:
        target = self.target()
        owned = (target if target.ndim == 4 else target.unsqueeze(1)) >= 0
        return torch.where(owned, 0.5 + 3 * self._uniform(4, *self._cells(4)), 0)

    def student_cls(self) -> Tensor:
        return 6 * self._uniform(5, *self._cells(self.classes)) - 3

    def teacher_cls(self) -> Tensor:
        return 6 * self._uniform(6, *self._cells(self.classes)) - 3

    def teacher_box(self) -> Tensor:
        """Some so small that no pixel of the prototypes is in them."""
        return 2.5 * self._uniform(12, *self._cells(4)).square()

    def maps(self) -> list[Tensor]:
        """Anchors are cells of a single row."""
        return [torch.zeros(1, 1, *((1,) if self.like.ndim == 3 else ()), *self.like.shape[2:])]

    def instances(self) -> Tensor:
        """The last one of each image is none."""
        images = self.like.shape[0]
        corner, size = (self._uniform(n, images, INSTANCES, 2) for n in (7, 8))
        boxes = torch.cat((0.5 * corner, 0.5 * corner + 0.2 + 0.3 * size), 2)
        boxes[:, -1] = 0
        return boxes

    def student_proto(self) -> Tensor:
        return 2 * self._uniform(10, self.like.shape[0], self.like.shape[1], 5, 6) - 1

    def teacher_proto(self) -> Tensor:
        channels = self.teacher_channels or self.like.shape[1]
        return 2 * self._uniform(11, self.like.shape[0], channels, 5, 6) - 1

    def _cells(self, channels: int) -> tuple[int, ...]:
        return (self.like.shape[0], channels, *self.like.shape[2:])

    def _class(self) -> Tensor:
        return (self.classes * self._uniform(9, len(self.image))).floor()

    def _uniform(self, draw: int, *shape: int) -> Tensor:
        noise = torch.Generator().manual_seed(10 * (self.seed % 2**32) + draw)
        return torch.rand(shape, generator=noise, dtype=torch.float64)


def signals(reads: Iterable[Signal], scene: Scene) -> dict[Signal, Any]:
    return {name: getattr(scene, name)() for name in reads}


def by_cell(given: Signals, change: Callable[[Tensor], Tensor]) -> dict[Signal, Any]:
    """Signals with a value per cell changed, the others as they are."""
    return {name: change(value) if name in CELLWISE else value for name, value in given.items()}


def anchors(given: Signals) -> dict[Signal, Any]:
    """Of maps, as they come along the anchor axis."""
    flat = by_cell(given, lambda x: x.flatten(2))
    return {k: v.squeeze(1) if k in ("target", "label") else v for k, v in flat.items()}


def images(given: Signals, order: Tensor) -> dict[Signal, Any]:
    """Those of the images in another order."""
    picked = by_cell(given, lambda x: x[order])
    for name in BY_IMAGE & picked.keys():
        picked[name] = picked[name][order]
    if "objects" in picked:
        image, *others = picked["objects"]
        picked["objects"] = [order.argsort()[image], *others]
    return picked


def repeated(given: Signals, times: int, batch: int) -> dict[Signal, Any]:
    """Those of `times` copies of `batch` images; each copy has objects of its own."""
    copies = {k: x if isinstance(x, list) else x.repeat(times, *[1] * (x.ndim - 1)) for k, x in given.items()}
    if "objects" in given:
        image, *others = given["objects"]
        shift = batch * torch.arange(times).repeat_interleave(len(image))
        copies["objects"] = [image.repeat(times) + shift, *(x.repeat(times, 1) for x in others)]
    if "target" in given:
        target = given["target"]
        count = len(given["objects"][0]) if "objects" in given else int(target.max()) + 1
        copies["target"] = torch.cat([torch.where(target < 0, -1, target + i * count) for i in range(times)])
    return copies
