"""The angle of rotated boxes."""

from __future__ import annotations

import math

from torch import Tensor


def radians(logits: Tensor) -> Tensor:
    """Angles in -pi/4 .. 3 pi/4 of logits `[B, 1, *]`, as the OBB head of YOLOv8 and YOLO11 decodes them."""
    return (logits.sigmoid() - 0.25) * math.pi
