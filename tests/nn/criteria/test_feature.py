"""Feature criteria: sl2 as Ultralytics computes it, and degenerate maps."""

from __future__ import annotations

import pytest
import torch

from kdgraph.nn.masks import TeacherScore
from kdgraph.nn.registry import criterion


@pytest.mark.parametrize("seed", range(4))
def test_sl2_is_that_of_ultralytics(seed: int) -> None:
    from ultralytics.nn.distill_model import DistillationModel

    noise = torch.Generator().manual_seed(seed)
    student, teacher = torch.randn(2, 3, 8, 5, 7, generator=noise)
    logits = torch.randn(3, 4, 5, 7, generator=noise) - 3
    student.requires_grad_()
    scores = logits.flatten(2).sigmoid().amax(1, keepdim=True)
    # the method looks at nothing but its arguments
    theirs = DistillationModel.loss_sl2(None, student, teacher, feat_idx=0, teacher_scores=(scores,))
    ours = criterion("sl2")(student, teacher, TeacherScore()(logits))
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)
    gradients = (torch.autograd.grad(loss, student)[0] for loss in (ours, theirs))
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("name", ["cwd", "pkd"])
def test_a_map_of_one_cell_costs_nothing(name: str) -> None:
    student, teacher = torch.randn(2, 1, 4, 1, 1)
    for options in [{}] if name == "pkd" else [{"norm": "none"}, {"norm": "batch"}]:
        x = student.clone().requires_grad_()
        loss = criterion(name, **options)(x, teacher)
        loss.backward()
        assert loss.item() == 0
        assert x.grad is not None
        assert not x.grad.any()


@pytest.mark.parametrize(("name", "options"), [("pkd", {}), ("cwd", {"norm": "batch"}), ("cosine", {})])
def test_dead_channels_and_positions_have_finite_gradients(name: str, options: dict[str, str]) -> None:
    student, teacher = torch.randn(2, 2, 4, 3, 3)
    student[:, 0], teacher[:, 1] = 0, 5.0
    student[:, :, 0, 0] = 0
    student.requires_grad_()
    loss = criterion(name, **options)(student, teacher)
    loss.backward()
    assert loss.isfinite()
    assert student.grad is not None
    assert student.grad.isfinite().all()


def test_cosine_of_nothing_costs_one() -> None:
    zeros, teacher = torch.zeros(1, 3, 2, 2, requires_grad=True), torch.randn(1, 3, 2, 2)
    assert criterion("cosine")(zeros, teacher).item() == 1


def test_cwd_norm_batch_changes_no_statistics() -> None:
    loss = criterion("cwd", norm="batch")
    assert not list(loss.parameters())
    assert not list(loss.buffers())
    student, teacher = torch.randn(2, 2, 4, 3, 3)
    assert torch.equal(loss.train()(student, teacher), loss.eval()(student, teacher))
