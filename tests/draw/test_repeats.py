from __future__ import annotations

import torch.fx as fx
from torch import Tensor, nn

from kdgraph.draw.repeats import Repeat, repeats_of
from kdgraph.graph.shapes import Facts, infer_facts
from kdgraph.graph.yolo import trace_model

Traced = tuple[list[fx.Node], dict[fx.Node, Facts]]


class Blocks(nn.Module):
    """Blocks one after the other, of these widths, the first of 3 channels."""

    def __init__(self, *widths: int) -> None:
        super().__init__()
        pairs = zip((3, *widths), widths, strict=False)
        self.stem = nn.Identity()
        self.m = nn.Sequential(*(nn.Sequential(nn.Conv2d(a, b, 1), nn.ReLU()) for a, b in pairs))

    def forward(self, x: Tensor) -> Tensor:
        return self.m(self.stem(x))  # type: ignore[no-any-return]


class Beside(nn.Module):
    """Two blocks that are alike and read the same, not each other."""

    def __init__(self) -> None:
        super().__init__()
        self.m = nn.ModuleList(nn.Conv2d(3, 3, 1) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        return self.m[0](x) + self.m[1](x)  # type: ignore[no-any-return]


def traced(module: nn.Module) -> Traced:
    graph = trace_model(module.eval(), frozen=True).module
    facts = infer_facts(graph, (8, 8), batch=1)
    return [node for node in graph.graph.nodes if node.op != "output"], dict(facts)


def only(repeats: list[Repeat]) -> Repeat:
    [repeat] = repeats
    return repeat


def test_blocks_that_are_alike_are_one_with_their_number() -> None:
    repeat = only(repeats_of(*traced(Blocks(3, 3, 3))))
    assert (repeat.path, repeat.count) == ("m", 3)
    assert [node.name for node in repeat.first] == ["m_0_0", "m_0_1"]
    assert {node.name: twin.name for node, twin in repeat.others.items()} == {
        "m_1_0": "m_0_0", "m_1_1": "m_0_1", "m_2_0": "m_0_0", "m_2_1": "m_0_1",
    }  # fmt: skip


def test_blocks_of_other_widths_are_others() -> None:
    assert repeats_of(*traced(Blocks(4, 5, 6))) == []
    assert only(repeats_of(*traced(Blocks(3, 3, 4)))).count == 2  # the last one is wider


def test_blocks_beside_each_other_are_no_repeat() -> None:
    assert repeats_of(*traced(Beside())) == []


def test_a_repeat_that_would_hide_a_node_is_drawn_in_full() -> None:
    nodes, facts = traced(Blocks(3, 3, 3))
    [hidden] = [node for node in nodes if node.name == "m_2_1"]
    assert repeats_of(nodes, facts, keep=[hidden]) == []
    [shown] = [node for node in nodes if node.name == "m_0_1"]
    assert only(repeats_of(nodes, facts, keep=[shown])).count == 3


def test_a_repeat_in_a_repeat_is_found_in_the_first() -> None:
    class Nested(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Identity()
            self.m = nn.Sequential(Blocks(3, 3), Blocks(3, 3))

        def forward(self, x: Tensor) -> Tensor:
            return self.m(self.stem(x))  # type: ignore[no-any-return]

    outer, inner = repeats_of(*traced(Nested()))
    assert (outer.path, outer.count) == ("m", 2)
    assert (inner.path, inner.count) == ("m.0.m", 2)
