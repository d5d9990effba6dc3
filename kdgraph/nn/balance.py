"""How edges are weighed against each other beyond the weights that the spec gives them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["Balance", "GradientNorm", "Uncertainty"]

_SCALE = 2.0**12  # gradients of means are small: in float16 they would come out as 0
LARGEST = 1e4
"""A factor stays within 1/LARGEST .. LARGEST: an edge whose gradient vanishes must not be blown up."""


class Balance(nn.Module, ABC):
    """Factors on the edges' weighted losses; edges are counted in the order of the spec."""

    @abstractmethod
    def forward(self, losses: Tensor, edges: Sequence[int]) -> tuple[Tensor, Tensor]:
        """(balanced losses `[n]`, what to add to their sum) of the weighted losses `[n]` of these edges."""


class Uncertainty(Balance):
    """loss_e / v_e + log v_e with a variance v_e for each edge, learnt with the student.

    The optimum is v_e = loss_e: each edge then counts by its relative change, whatever its scale. log v
    starts at 0. An edge whose weighted loss is 0 (before it begins, after it ends) adds nothing and learns
    nothing.

    Source: Kendall et al., *Multi-Task Learning Using Uncertainty to Weigh Losses*, CVPR 2018, equation 10,
    times 2.
    """

    def __init__(self, edges: int) -> None:
        super().__init__()
        self.log_variance = nn.Parameter(torch.zeros(edges))

    def forward(self, losses: Tensor, edges: Sequence[int]) -> tuple[Tensor, Tensor]:
        log_variance = _of(self.log_variance, edges).to(losses.dtype)
        counts = (losses.detach() != 0).to(losses.dtype)
        return losses * (-log_variance).exp(), (log_variance * counts).sum()


class GradientNorm(Balance):
    """Factors that bring each edge's gradient at shared tensors to one norm, times the weight in the spec.

    factor_e = reference / |d raw_e / d shared|, the reference being the norm of the task's gradient there, or
    the mean of the edges' where no task loss is given. Norms are averaged over measurements with `momentum`;
    one that is 0 (no object in the batch) or not finite is no measurement. Factors start at 1.

    Source: after Chen et al., *GradNorm*, ICML 2018, with factors in closed form in place of learnt ones.
    """

    norms: Tensor
    factors: Tensor

    def __init__(self, edges: int, every: int = 16, momentum: float = 0.9) -> None:
        super().__init__()
        self.every = every
        self.momentum = momentum
        self.steps = 0
        self.register_buffer("norms", torch.zeros(edges + 1))  # the last is the task's
        self.register_buffer("factors", torch.ones(edges))

    def forward(self, losses: Tensor, edges: Sequence[int]) -> tuple[Tensor, Tensor]:
        return losses * _of(self.factors, edges).to(losses.dtype), losses.new_zeros(())

    @property
    def due(self) -> bool:
        """Whether the present step is one to measure at."""
        return self.steps % self.every == 0

    def measure(self, losses: Sequence[Tensor | None], task: Tensor | None, shared: Sequence[Tensor]) -> None:
        """Take the norms of one step: of unweighted losses by edge (None: not in it), and of the task's."""
        found = torch.stack([_norm(loss, shared) for loss in (*losses, task)])
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(found)  # the sum serves as the mean: only ratios count
        kept = torch.where(self.norms > 0, self.momentum, 0.0)
        good = (found > 0) & found.isfinite()
        self.norms.copy_(torch.where(good, kept * self.norms + (1 - kept) * found, self.norms))
        self.factors.copy_(self._factors(self.norms[:-1], self.norms[-1]))

    def _factors(self, norms: Tensor, task: Tensor) -> Tensor:
        known = norms > 0
        mean = (norms * known).sum() / known.sum().clamp(min=1)
        reference = torch.where(task > 0, task, mean)
        factors = (reference / norms.clamp(min=torch.finfo(norms.dtype).tiny)).clamp(1 / LARGEST, LARGEST)
        return torch.where(known, factors, 1.0)

    def get_extra_state(self) -> dict[str, int]:
        return {"steps": self.steps}

    def set_extra_state(self, state: dict[str, int]) -> None:
        self.steps = state["steps"]


def _of(values: Tensor, edges: Sequence[int]) -> Tensor:
    """`[n]`: those of some edges; no index that would have to be sent to the device."""
    return torch.stack([values[edge] for edge in edges])


def _norm(loss: Tensor | None, shared: Sequence[Tensor]) -> Tensor:
    """|d loss / d shared| over all tensors together; 0 for no loss, or one that does not depend on them."""
    if loss is None or not loss.requires_grad:
        return torch.zeros((), device=shared[0].device)
    grads = torch.autograd.grad(loss * _SCALE, list(shared), retain_graph=True, allow_unused=True)
    squares = [grad.float().square().sum() for grad in grads if grad is not None]
    return torch.stack([shared[0].new_zeros((), dtype=torch.float32), *squares]).sum().sqrt() / _SCALE
