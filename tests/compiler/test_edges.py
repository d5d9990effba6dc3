from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from kdgraph.compiler.edges import EdgeLoss
from kdgraph.nn.registry import criterion


class Calls(TorchDispatchMode):
    """The operators that were called."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))


def edge() -> EdgeLoss:
    return EdgeLoss([criterion("mimic"), criterion("mimic")], ["p3", "p4"])


def test_the_loss_is_the_weighted_sum_of_its_levels() -> None:
    loss = edge()
    loss.weigh([2.0, 0.5])
    pairs = [
        {"student": torch.full((1, 2, 3, 3), value), "teacher": torch.zeros(1, 2, 3, 3)}
        for value in (1.0, 2.0)
    ]
    raw, weighted = loss(pairs)
    assert (raw.item(), weighted.item()) == (1.0 + 4.0, 2.0 * 1.0 + 0.5 * 4.0)


def test_weights_that_do_not_move_are_not_sent_again() -> None:
    loss = edge()
    with Calls() as calls:
        loss.weigh((1.0, 1.0))
        assert calls.names == []
        loss.weigh((0.5, 1.0))
        assert any("fill_" in name for name in calls.names)
        calls.names.clear()
        loss.weigh((0.5, 1.0))
        assert calls.names == []
    assert loss.weights.tolist() == [0.5, 1.0]
    loss.weigh((0.1, 1.0))
    loss.half().float().weigh((0.1, 1.0))
    torch.testing.assert_close(loss.weights, torch.tensor([0.1, 1.0]), rtol=0, atol=0)
    loss.double().weigh((1.0, 1.0))
    assert loss.weights.tolist() == [1.0, 1.0]
