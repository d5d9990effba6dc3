from __future__ import annotations

import pytest
import torch
from torch import nn

CPU = torch.device("cpu")
MIB = 2**20


def held(mib: int) -> torch.Tensor:
    return torch.empty(mib * MIB, dtype=torch.uint8)


def test_the_peak_is_of_what_lives_at_once() -> None:
    from bench_memory import peak_of

    def step() -> None:
        first, second = held(1), held(2)
        del first
        third = held(4)
        del second, third
        held(5)

    assert peak_of(step, CPU) == 6 * MIB  # second and third


def test_views_and_work_in_place_are_free() -> None:
    from bench_memory import peak_of

    def step() -> None:
        whole = torch.zeros(MIB)
        whole.view(4, -1)[1:].mul_(2).add_(1)

    assert peak_of(step, CPU) == pytest.approx(4 * MIB, abs=64)  # and the 2, as a tensor


def test_what_was_there_before_does_not_count() -> None:
    from bench_memory import peak_of

    kept = [held(8)]

    def step() -> None:
        kept.clear()
        kept.append(held(3))

    assert peak_of(step, CPU) <= 3 * MIB


def test_what_backward_keeps_counts() -> None:
    """Each exp keeps its output until its backward."""
    from bench_memory import peak_of

    weight = torch.zeros(MIB, requires_grad=True)

    def chain(depth: int) -> None:
        value = weight
        for _ in range(depth):
            value = value.exp()
        value.sum().backward()
        weight.grad = None

    three, four = peak_of(lambda: chain(3), CPU), peak_of(lambda: chain(4), CPU)
    assert three >= 4 * 4 * MIB
    assert four - three == pytest.approx(4 * MIB, rel=1e-3)


def test_a_storage_counts_once_however_often_it_is_named() -> None:
    from bench_memory import resident

    layer = nn.Linear(256, 256, bias=False)
    views = [layer.weight, layer.weight.view(-1), layer.weight[:10], torch.empty(0)]
    assert resident(views) == 4 * 256 * 256
    assert resident([*views, torch.empty(10, dtype=torch.float64)]) == 4 * 256 * 256 + 80


def test_an_error_inside_leaves_stderr_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    import os

    from bench_memory import peak_of

    def step() -> None:
        raise KeyError("inside")

    with pytest.raises(KeyError):
        peak_of(step, CPU)
    os.write(2, b"heard")
    assert "heard" in capfd.readouterr().err
