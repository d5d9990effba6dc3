from __future__ import annotations

import pytest
import torch

from kdgraph.nn.splice import standardised


def maps(seed: int, channels: int = 3) -> torch.Tensor:
    noise = torch.Generator().manual_seed(seed)
    scale = torch.arange(1, channels + 1).view(-1, 1, 1).double()
    return scale * torch.randn(2, channels, 4, 5, generator=noise, dtype=torch.float64) + scale


def test_each_channel_gets_the_teacher_s_mean_and_deviation() -> None:
    student, teacher = 7 * maps(0) - 3, maps(1)
    got = standardised(student, teacher)
    for channel in range(3):
        ours, theirs = got[:, channel].flatten(), teacher[:, channel].flatten()
        assert ours.mean().item() == pytest.approx(theirs.mean().item())
        assert ours.std().item() == pytest.approx(theirs.std().item(), rel=1e-5)
        assert torch.corrcoef(torch.stack([ours, student[:, channel].flatten()]))[0, 1] == pytest.approx(1)


def test_the_teacher_s_own_map_stays() -> None:
    torch.testing.assert_close(standardised(maps(0), maps(0)), maps(0), rtol=1e-5, atol=1e-6)


def test_gradient_for_the_student_only() -> None:
    student, teacher = maps(0).requires_grad_(), maps(1).requires_grad_()
    standardised(student, teacher).square().sum().backward()
    assert teacher.grad is None
    assert student.grad is not None
    assert student.grad.abs().sum() > 0


@pytest.mark.parametrize("value", [0.0, 1e4])
def test_a_constant_channel_is_finite(value: float) -> None:
    student = torch.full((1, 2, 3, 3), value, requires_grad=True)
    standardised(student, maps(1, 2)[:1, :, :3, :3].float()).sum().backward()
    assert student.grad is not None
    assert student.grad.isfinite().all()


def test_a_single_value_per_channel_becomes_the_teacher_s() -> None:
    student, teacher = torch.randn(1, 2, 1, 1), torch.randn(1, 2, 1, 1)
    torch.testing.assert_close(standardised(student, teacher), teacher)


def test_half_precision_is_computed_in_float32() -> None:
    student, teacher = (maps(0) * 100).bfloat16(), maps(1)
    got = standardised(student, teacher.bfloat16())
    assert got.dtype == torch.bfloat16
    torch.testing.assert_close(got.double(), standardised(student.double(), teacher), rtol=0.02, atol=0.05)
