"""Factors between edges: measured and learnt."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from kdgraph.nn.balance import LARGEST, GradientNorm, Uncertainty
from kdgraph.nn.registry import balance


def step(
    scales: list[float | None], task: float | None = None
) -> tuple[list[Tensor | None], Tensor | None, list[Tensor]]:
    """Losses with gradients of these norms at two shared tensors together; None for an edge without loss."""
    shared = [torch.zeros(3, requires_grad=True), torch.zeros(1, requires_grad=True)]

    def loss(scale: float | None) -> Tensor | None:
        return None if scale is None else scale * (0.6 * shared[0][1] + 0.8 * shared[1][0])

    return [loss(scale) for scale in scales], loss(task), shared


def test_factors_bring_every_gradient_to_that_of_the_task() -> None:
    module = GradientNorm(3)
    module.measure(*step([0.1, 2.0, 40.0], task=4.0))
    torch.testing.assert_close(module.factors, torch.tensor([40.0, 2.0, 0.1]))
    losses, extra = module(torch.tensor([1.0, 1.0, 1.0]), [0, 1, 2])
    torch.testing.assert_close(losses, torch.tensor([40.0, 2.0, 0.1]))
    assert extra == 0


def test_without_a_task_the_mean_is_the_norm() -> None:
    module = GradientNorm(2)
    module.measure(*step([1.0, 3.0]))
    torch.testing.assert_close(module.factors, torch.tensor([2.0, 2 / 3]))


def test_norms_are_averaged_over_measurements() -> None:
    module = GradientNorm(1, momentum=0.75)
    module.measure(*step([1.0], task=1.0))
    module.measure(*step([5.0], task=1.0))
    assert module.norms.tolist() == pytest.approx([2.0, 1.0])


def test_a_step_without_gradient_is_no_measurement() -> None:
    module = GradientNorm(3)
    module.measure(*step([1.0, 2.0, None], task=2.0))
    before = module.factors.clone()
    assert before[2] == 1, "never measured"
    losses, task, shared = step([1.0, 0.0, None], task=2.0)
    losses[0] = torch.tensor(3.0)  # detached: no object in the batch
    module.measure(losses, task, shared)
    torch.testing.assert_close(module.factors, before)


def test_factors_are_bounded() -> None:
    module = GradientNorm(2)
    module.measure(*step([1e-9, 1e9], task=1.0))
    torch.testing.assert_close(module.factors, torch.tensor([LARGEST, 1 / LARGEST]))


def test_a_loss_that_misses_the_shared_tensors_has_no_norm() -> None:
    elsewhere = torch.ones(2, requires_grad=True)
    _, task, shared = step([], task=1.0)
    module = GradientNorm(1)
    module.measure([elsewhere.sum()], task, shared)
    assert module.factors.tolist() == [1.0]


def test_measuring_leaves_the_graph_for_the_backward() -> None:
    losses, task, shared = step([2.0], task=1.0)
    GradientNorm(1).measure(losses, task, shared)
    assert losses[0] is not None
    losses[0].backward()
    assert shared[1].grad is not None


def test_the_count_of_steps_and_the_norms_are_kept_in_the_state() -> None:
    module = GradientNorm(1, every=3)
    assert [(module.due, setattr(module, "steps", module.steps + 1))[0] for _ in range(7)] == [
        True, False, False, True, False, False, True,
    ]  # fmt: skip
    module.measure(*step([4.0], task=1.0))
    again = GradientNorm(1, every=3)
    again.load_state_dict(module.state_dict())
    assert (again.steps, again.factors, again.norms.tolist()) == (7, module.factors, module.norms.tolist())


def test_uncertainty_starts_at_the_weights_of_the_spec() -> None:
    losses, extra = Uncertainty(3)(torch.tensor([2.0, 5.0]), [0, 2])
    assert losses.tolist() == [2.0, 5.0]
    assert extra == 0


def test_the_learnt_variance_is_the_loss() -> None:
    module = Uncertainty(2)
    losses = torch.tensor([5.0, 0.02])
    optimizer = torch.optim.Adam(module.parameters(), 0.05)
    for _ in range(400):
        optimizer.zero_grad()
        balanced, extra = module(losses, [0, 1])
        (balanced.sum() + extra).backward()
        optimizer.step()
    assert module.log_variance.exp().tolist() == pytest.approx(losses.tolist(), rel=0.05)


def test_an_edge_at_rest_learns_no_variance() -> None:
    module = Uncertainty(2)
    balanced, extra = module(torch.tensor([0.0, 3.0], requires_grad=True), [0, 1])
    (balanced.sum() + extra).backward()
    assert module.log_variance.grad is not None
    assert module.log_variance.grad.tolist() == [0.0, 1 - 3.0]
    assert extra == 0


def test_balances_by_name() -> None:
    assert isinstance(balance("uncertainty", 2), Uncertainty)
    made = balance("gradient_norm", 2, every=4, momentum=0.5)
    assert isinstance(made, GradientNorm)
    assert (made.every, made.momentum) == (4, 0.5)
    with pytest.raises(ValueError, match="unknown balance 'gradnorm': did you mean gradient_norm"):
        balance("gradnorm", 2)
