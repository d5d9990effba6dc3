"""Criteria between keypoints, and between the angles of oriented boxes."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from kdgraph.nn.criteria.base import Criterion, weighted_mean
from kdgraph.nn.criteria.logits import binary_divergence

__all__ = ["BoxAngle", "Keypoints"]


class Keypoints(Criterion):
    """Where the keypoints are, and whether they are seen.

    Per keypoint, with v = sigma of the teacher's visibility (1 where the models have none): v times the
    smooth absolute difference of x and of y (Huber, quadratic below `delta` strides, divided by `delta`),
    plus KL(v || sigma(s)) of the visibility. A mean over keypoints and positions, weighted by the mask.

    Student and teacher are `[B, K*ndim, A]` or `[B, K*ndim, H, W]`: offsets from the anchor in strides, and
    logits of visibility where ndim is 3. About 1 per stride that the keypoints are off: 1 to 10 beside a
    trained teacher when the student is untrained.

    Args:
        keypoints: K and ndim.
    """

    def __init__(self, delta: float = 1.0, *, keypoints: tuple[int, int]) -> None:
        super().__init__()
        self.delta = delta
        self.keypoints = keypoints

    def compare(self, student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
        ours, theirs = (x.reshape(x.shape[0], *self.keypoints, *x.shape[2:]) for x in (student, teacher))
        off = F.huber_loss(ours[:, :, :2], theirs[:, :, :2], reduction="none", delta=self.delta).sum(2)
        cost = off / self.delta
        if self.keypoints[1] == 3:
            cost = cost * theirs[:, :, 2].sigmoid() + binary_divergence(ours[:, :, 2], theirs[:, :, 2])
        return weighted_mean(cost, mask)

    def extra_repr(self) -> str:
        return f"delta={self.delta}, keypoints={self.keypoints}"


class BoxAngle(Criterion):
    """Squared sine of the difference of the angles: a box that is turned by half a turn is the same box.

    A mean over positions, weighted by the mask. Student and teacher are angles in radians, `[B, 1, A]` or
    `[B, 1, H, W]`. At most 1, for a quarter turn.
    """

    frugal = True

    def compare(self, student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
        return weighted_mean((student - teacher).sin().square(), mask)
