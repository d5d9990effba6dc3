"""Predictions of a detection head, targets for them, and how Ultralytics' loss assigns the two."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import torch
from torch import Tensor, nn

STRIDES = (8, 16, 32)


@dataclass(frozen=True)
class Predictions:
    """Raw outputs of a head: boxes `[B, 4 * reg_max, A]`, scores `[B, nc, A]`, and the maps of its levels."""

    boxes: Tensor
    scores: Tensor
    feats: list[Tensor]

    @property
    def reg_max(self) -> int:
        return self.boxes.shape[1] // 4

    @property
    def nc(self) -> int:
        return self.scores.shape[1]


@dataclass(frozen=True)
class Targets:
    """The labels of a batch, as Ultralytics' loader gives them: `[N]`, `[N, 1]`, `[N, 4]`."""

    batch_idx: Tensor
    cls: Tensor
    bboxes: Tensor

    def __getitem__(self, order: Tensor) -> Targets:
        return Targets(self.batch_idx[order], self.cls[order], self.bboxes[order])

    def __len__(self) -> int:
        return len(self.batch_idx)


def random_predictions(
    size: tuple[int, int], *, images: int = 3, nc: int = 4, reg_max: int = 16, seed: int = 0
) -> Predictions:
    """Boxes of all sizes with scores of all heights, for images of `size` (height, width)."""
    noise = torch.Generator().manual_seed(seed)
    feats = [torch.zeros(images, 1, size[0] // s, size[1] // s) for s in STRIDES]
    cells = sum(f[0].numel() for f in feats)
    boxes = 2 * torch.randn(images, 4 * reg_max, cells, generator=noise)
    if reg_max == 1:
        boxes = boxes.abs() + 0.1
    return Predictions(boxes, 2 * torch.randn(images, nc, cells, generator=noise), feats)


def random_targets(counts: list[int], *, nc: int = 4, smallest: float = 0.1, seed: int = 0) -> Targets:
    """`counts[i]` boxes for image i, sides `smallest` .. 0.6 of the image, all within it."""
    noise = torch.Generator().manual_seed(seed + 1)
    total = sum(counts)
    size = smallest + (0.6 - smallest) * torch.rand(total, 2, generator=noise) ** 2
    centre = size / 2 + (1 - size) * torch.rand(total, 2, generator=noise)
    images = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts)).float()
    classes = torch.randint(0, nc, (total, 1), generator=noise).float()
    return Targets(images, classes, torch.cat((centre, size), 1))


class _Detector(nn.Module):
    """As much of a model as Ultralytics' loss reads: a parameter for its device, gains, its last module."""

    def __init__(self, nc: int, reg_max: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.args = SimpleNamespace(box=7.5, cls=0.5, dfl=1.5)
        head = SimpleNamespace(nc=nc, reg_max=reg_max, stride=torch.tensor(STRIDES, dtype=torch.float32))
        self.__dict__["model"] = [head]


def assigned_by_ultralytics(
    predictions: Predictions, targets: Targets, topk: int = 10
) -> tuple[Tensor, Tensor]:
    """Foreground `[B, A]` and each foreground anchor's index in the list of targets, -1 elsewhere.

    The targets must be sorted by image, as Ultralytics needs them.
    """
    from ultralytics.utils.loss import v8DetectionLoss

    loss = v8DetectionLoss(_Detector(predictions.nc, predictions.reg_max), tal_topk=topk)
    (foreground, within_image, *_), _, _ = loss.get_assigned_targets_and_loss(
        vars(predictions), vars(targets)
    )
    images = torch.arange(foreground.shape[0])
    first = torch.searchsorted(targets.batch_idx.long().contiguous(), images).unsqueeze(1)
    return foreground, torch.where(foreground, within_image.long() + first, -1)
