"""Masked generative distillation: what is hidden, when, and what fills it in."""

from __future__ import annotations

import pytest
import torch
import torch._dynamo
from torch import Tensor
from torch.autograd import gradcheck

from kdgraph.nn.criteria import MaskedGenerative
from kdgraph.nn.registry import criterion
from tests.nn import naive_learnt


def module(drop: float = 0.65, channels: int = 3, seed: int = 0) -> MaskedGenerative:
    torch.manual_seed(seed)
    return MaskedGenerative(drop, (channels, channels)).double()


def features(channels: int = 3, size: tuple[int, int] = (4, 5)) -> tuple[Tensor, Tensor]:
    noise = torch.Generator().manual_seed(1)
    student, teacher = torch.randn(2, 2, channels, *size, generator=noise).double()
    return student.clone().requires_grad_(), teacher


def passing(drop: float) -> MaskedGenerative:
    """One whose block hands on what is positive, so that on ones beside zeros the loss is what was kept."""
    loss = module(drop, channels=2)
    for layer in (loss.first, loss.second):
        torch.nn.init.dirac_(layer.weight)
    return loss


@pytest.mark.parametrize("seed", range(3))
def test_value_with_given_cells_by_loops(seed: int) -> None:
    student, teacher = features()
    loss = module(seed=seed)
    for parameter in loss.parameters():  # biases as well
        torch.nn.init.normal_(parameter, 0, 0.3)
    kept = torch.rand(2, 1, 4, 5, generator=torch.Generator().manual_seed(seed)) > 0.5
    state = {name: x.tolist() for name, x in loss.state_dict().items()}
    maps = (x.detach().flatten(2).tolist() for x in (student, teacher))
    everywhere = [[1.0] * 20] * 2
    wanted = naive_learnt.mgd(*maps, everywhere, (4, 5), state, kept=kept.flatten(1).double().tolist())
    assert loss.regenerated(student, teacher, kept).item() == pytest.approx(wanted, rel=1e-9)
    assert gradcheck(lambda s: loss.regenerated(s, teacher, kept), (student,))


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("drop", [0.0, 0.25, 0.65, 1.0])
def test_a_share_of_the_cells_is_hidden_anew_each_time(drop: float, training: bool) -> None:
    loss = passing(drop).train(training)
    ones = torch.ones(4, 2, 40, 40)
    first, second = (loss(ones, torch.zeros_like(ones)).item() for _ in range(2))
    assert first == pytest.approx(1 - drop, abs=0.02)
    assert (first == second) == (drop in (0, 1))


def test_a_hidden_cell_is_hidden_in_all_channels_and_not_in_all_images() -> None:
    loss = passing(0.5)
    student = torch.ones(2, 2, 8, 8, requires_grad=True)
    loss(student, torch.zeros(2, 2, 8, 8)).backward()
    assert student.grad is not None
    reached = student.grad != 0
    assert torch.equal(reached[:, 0], reached[:, 1])
    assert not torch.equal(reached[0], reached[1])


def test_the_same_seed_hides_the_same_cells() -> None:
    student, teacher = features()
    loss = module()
    values = []
    for _ in range(2):
        torch.manual_seed(3)
        values.append(loss(student, teacher).item())
    assert values[0] == values[1]


def test_a_student_that_is_hidden_entirely_learns_nothing_but_the_block_does() -> None:
    student, teacher = features()
    loss = module(drop=1.0)
    loss(student, teacher).backward()
    assert student.grad is not None
    assert not student.grad.any()
    assert loss.second.bias is not None
    assert loss.second.bias.grad is not None
    assert loss.second.bias.grad.any()


def test_every_parameter_of_the_block_is_trained() -> None:
    student, teacher = features()
    loss = module()
    loss(student, teacher).backward()
    assert len(list(loss.parameters())) == 4
    assert all(x.grad is not None and x.grad.any() for x in loss.parameters())


def test_a_new_block_keeps_the_size_of_what_it_is_given() -> None:
    student, _ = features(64, (20, 20))
    out = module(channels=64).regenerated(student, torch.zeros_like(student), torch.ones(2, 1, 20, 20))
    assert 0.7 < out.item() < 1.3


@pytest.mark.parametrize("kept_in", [torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_parameters_of_any_precision_compute_in_that_of_the_features(kept_in: torch.dtype) -> None:
    student, teacher = (x.detach().float() for x in features())
    loss = module(drop=0.0).to(kept_in)
    value = loss(student, teacher)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss.double()(student, teacher))


def test_it_is_one_graph_with_the_same_cells() -> None:
    torch._dynamo.reset()
    loss = module()
    compiled = torch.compile(loss, fullgraph=True, backend="eager", dynamic=True)
    values = []
    for function in (loss, compiled):
        torch.manual_seed(5)
        values.append(function(*features()))
    torch.testing.assert_close(*values, rtol=1e-12, atol=0)
    torch._dynamo.reset()


def test_it_must_be_told_the_channels() -> None:
    with pytest.raises(ValueError, match=r"mgd must be told the channels of student and teacher"):
        MaskedGenerative()
    with pytest.raises(ValueError, match="mgd: the student has 4 channels, the teacher 8"):
        criterion("mgd", channels=(4, 8))


def test_it_needs_maps() -> None:
    with pytest.raises(ValueError, match=r"mgd: expected \[B, C, H, W\], got \[2, 3, 20\]"):
        module()(*(x.flatten(2) for x in features()))
