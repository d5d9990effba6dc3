"""What the heads of Ultralytics' models are: their tasks, and of a detection head its branches and levels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log2

from torch import nn
from ultralytics.nn.modules.head import (
    OBB,
    Classify,
    Depth,
    Detect,
    Pose,
    RTDETRDecoder,
    Segment,
    SemanticSegment,
    WorldDetect,
    YOLOESegment,
)

__all__ = ["Head", "branches", "describe", "find_head", "level_name", "task_of"]

_TASKS = {
    (Segment, YOLOESegment): "segment", (Pose,): "pose", (OBB,): "obb", (Detect, RTDETRDecoder): "detect",
    (Classify,): "classify", (SemanticSegment,): "semantic", (Depth,): "depth",
}  # fmt: skip


@dataclass(frozen=True)
class Head:
    """What a detection head is: its classes, DFL bins per side (1: none), strides in pixels, branches.

    `task` is one of detect, segment, pose and obb; `keypoints` how many of how many numbers a pose head has.
    """

    classes: int
    reg_max: int
    strides: tuple[int, ...]
    end2end: bool
    task: str = "detect"
    keypoints: tuple[int, int] | None = None

    @property
    def levels(self) -> tuple[str, ...]:
        """P-levels, finest first: stride 8 is `p3`."""
        return tuple(level_name(stride) for stride in self.strides)


def level_name(stride: float) -> str:
    """The P-level of a stride in pixels: 8 is `p3`, 32 is `p5`."""
    return f"p{round(log2(stride))}"


def find_head(model: nn.Module) -> Detect | None:
    """The detection head of an Ultralytics model, None where it has none."""
    return next((m for m in model.modules() if isinstance(m, Detect)), None)


def task_of(model: nn.Module) -> str:
    """What an Ultralytics model does, in Ultralytics' word; empty where it ends in none of its heads."""
    detect = find_head(model)
    return _task(model.model[-1] if detect is None else detect)  # type: ignore[index,arg-type]


def _task(layer: nn.Module) -> str:
    return next((task for kinds, task in _TASKS.items() if isinstance(layer, kinds)), "")


def describe(detect: Detect) -> Head:
    """What is known of a head."""
    task = _task(detect)
    keypoints = (int(detect.kpt_shape[0]), int(detect.kpt_shape[1])) if task == "pose" else None
    strides = tuple(int(stride) for stride in detect.stride)
    return Head(detect.nc, detect.reg_max, strides, len(branches(detect)) > 1, task, keypoints)


def branches(detect: Detect) -> dict[str, Mapping[str, nn.ModuleList]]:
    """The branches that a head has, by Ultralytics' names: parts of towers, each a module for each level.

    A fused end-to-end head has lost its one-to-many branch.
    """
    found: dict[str, Mapping[str, nn.ModuleList]] = {}
    if detect.cv2 is not None:
        found["one2many"] = detect.one2many
    if getattr(detect, "one2one_cv2", None) is not None:
        found["one2one"] = detect.one2one
    if isinstance(detect, WorldDetect):  # which compares its class towers with the text elsewhere
        found = {name: {**branch, "contrastive_head": detect.cv4} for name, branch in found.items()}
    return found
