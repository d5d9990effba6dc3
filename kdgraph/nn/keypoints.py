"""Keypoints as YOLO pose heads give them: `[B, K*ndim, *]`, keypoint-major (x, y and perhaps visibility of
the first, then of the second, ...), for each anchor.
"""

from __future__ import annotations

import torch
from torch import Tensor


def offsets(kpts: Tensor, ndim: int, scale: float, shift: float) -> Tensor:
    """Keypoints relative to their anchor's centre, in strides, `[B, K*ndim, *]`: `scale * k + shift`.

    `ndim` numbers describe a keypoint; a third one, the logit of its visibility, stays as it is. YOLOv8 and
    YOLO11 put a keypoint at `(2k + anchor - 0.5) * stride`, YOLO26 at `(k + anchor) * stride`.

    Raises:
        ValueError: the channels are no multiple of `ndim`.
    """
    if kpts.shape[1] % ndim:
        raise ValueError(f"{kpts.shape[1]} channels are no keypoints of {ndim} numbers")
    points = kpts.reshape(kpts.shape[0], -1, ndim, *kpts.shape[2:])
    return torch.cat((points[:, :, :2] * scale + shift, points[:, :, 2:]), 2).flatten(1, 2)
