"""What stands where the student's features enter the frozen teacher."""

from __future__ import annotations

import torch
from torch import Tensor


def standardised(student: Tensor, teacher: Tensor, eps: float = 1e-6) -> Tensor:
    """The student's map with the teacher's mean and deviation per channel, `[B, C, H, W]` both.

    (s - mean_s) / (std_s + eps) * std_t + mean_t, statistics over batch and positions, unbiased: so the
    layers of the teacher that follow see what they were trained on. The teacher's are constants. Float32 at
    least, given back in the student's dtype.

    Source: Wang et al., *CrossKD*, CVPR 2024, section 3.3 and its code (`align_scale`).
    """
    dtype = torch.promote_types(student.dtype, torch.float32)
    ours, theirs = student.to(dtype), teacher.detach().to(dtype)
    width, middle = _statistics(ours)
    their_width, their_middle = _statistics(theirs)
    return ((ours - middle) / (width + eps) * their_width + their_middle).to(student.dtype)


def _statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Deviation and mean of each channel, `[1, C, 1, 1]`."""
    several = x.numel() > x.shape[1]  # an unbiased deviation of one value is NaN
    return torch.std_mean(x, [0, *range(2, x.ndim)], correction=int(several), keepdim=True)
