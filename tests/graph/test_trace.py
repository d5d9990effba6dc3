"""The tracer on plain modules: what nodes are called, what can be unpacked, what cannot be traced."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from kdgraph.errors import GraphError
from kdgraph.graph.proxies import with_sizes
from kdgraph.graph.trace import Stopped, trace_module
from tests.graph.modules import Picky


class Block(nn.Module):
    """A convolution whose activation belongs to somebody else as well."""

    def __init__(self, act: nn.Module) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.conv(x))


class Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        act = nn.SiLU()
        self.first, self.second = Block(act), Block(act)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))


class Repeated(nn.Module):
    """Calls one module three times, and one kind of operation twice."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(3, 1, 1)
        self.block = Block(nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.pool(self.pool(x)))
        x = self.block(self.block(x))
        return torch.cat((torch.cat((x, x), 1), x), 1)


class Rule(nn.Module):
    def __init__(self, rule: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.rule = rule

    def forward(self, x: Tensor) -> Tensor:
        return self.rule(x)


def test_a_shared_module_is_named_by_each_of_its_places() -> None:
    module, paths = trace_module(Shared(), "it")
    assert [p for p in paths if p.endswith("act")] == ["first.act", "second.act"]
    assert paths["first.act"] is not paths["second.act"]
    assert paths["second"] is paths["second.act"], "a container is the node of its output"
    assert [n.meta.get("path") for n in module.graph.nodes if n.op != "output"] == [
        "x", "first.conv", "first.act", "second.conv", "second.act",
    ]  # fmt: skip


def test_repeated_calls_and_operations_are_numbered() -> None:
    _, paths = trace_module(Repeated(), "it")
    assert list(paths) == [
        "x", "pool", "pool_1", "pool_2", "block.conv", "block.act", "block",
        "block.conv_1", "block.act_1", "block_1", "cat", "cat_1",
    ]  # fmt: skip


def test_the_traced_module_shares_its_parameters_and_computes_the_same() -> None:
    root, x = Shared(), torch.rand(2, 4, 5, 7)
    module, _ = trace_module(root, "it")
    ours, theirs = dict(module.named_parameters()), dict(root.named_parameters())
    assert ours.keys() == theirs.keys()
    assert all(ours[name] is theirs[name] for name in theirs)
    assert torch.equal(module(x), root(x))


@pytest.mark.parametrize(
    "rule",
    [
        lambda x: torch.cat(list(x.chunk(2, 1)), 0),
        lambda x: torch.cat([*torch.chunk(x, 2, 1)], 0),
        lambda x: torch.cat(list(x.split((1, 3), 1))[:1], 0),
        lambda x: torch.cat(x.split([1, 3], dim=1)[:1], 0),
        lambda x: x.chunk(2, dim=1)[-1] + list(x.chunk(chunks=2, dim=1))[1],
        lambda x: torch.cat([part + len(x.chunk(2, 1)) for part in x.chunk(2, 1)], 0),
    ],
)
def test_chunks_and_splits_can_be_listed(rule: Callable[[Tensor], Tensor]) -> None:
    x = torch.rand(2, 4, 3, 3)
    assert torch.equal(trace_module(Rule(rule), "it")[0](x), rule(x))


def _missing(x: Tensor) -> Tensor:
    return {}[x.shape]  # type: ignore[return-value]


def _asserting(x: Tensor) -> Tensor:
    raise AssertionError("only real tensors")


@pytest.mark.parametrize(
    "rule",
    [lambda x: x if x.sum() > 0 else -x, lambda x: x[int(x.sum()) :], lambda x: torch.stack(list(x)),
     lambda x: torch.stack(list(x.split(2, 1))), _missing, _asserting],
    ids=["branch", "int", "iterate", "split-by-size", "key-error", "assertion"],
)  # fmt: skip
def test_what_depends_on_data_is_a_graph_error(rule: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(GraphError) as caught:
        trace_module(nn.Sequential(nn.Identity(), Rule(rule)), "the model 'odd.pt'")
    (fault,) = caught.value.diagnostics
    assert fault.code == "KD205"
    assert fault.message.startswith("the model 'odd.pt' cannot be traced: 1 stops torch.fx (")
    assert fault.hint is not None
    assert "control flow" in fault.hint


# -- what is known while tracing --


class Prompted(nn.Module):
    """Asks how many prompts there are, as a head does that counts its classes by them."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("prompts", torch.rand(1, 5, 4))
        self.count = 0

    def forward(self, x: Tensor) -> Tensor:
        prompts = with_sizes(self.prompts.type_as(x).expand(x.shape[0], -1, -1), {1: 5}).detach()
        self.count = int(prompts.shape[1])
        return prompts.reshape(prompts.shape[0], self.count, -1) * x[:, :1, 0]


def test_a_known_size_is_a_number_and_the_others_are_not() -> None:
    root = Prompted()
    module, _ = trace_module(root, "it")
    for images in (1, 3):
        x = torch.rand(images, 4, 3, 4)
        assert torch.equal(module(x), root(x))
    assert root.count == 5


def test_tracing_leaves_nothing_behind() -> None:
    root = Prompted()
    before = {name: id(value) for name, value in vars(root).items()}
    trace_module(root, "it")
    assert {name: id(value) for name, value in vars(root).items()} == before
    assert root.count == 0


class Constants(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.arange(4)


def test_a_tensor_made_while_tracing_belongs_to_the_graph() -> None:
    root, x = Constants(), torch.rand(2, 4)
    module, _ = trace_module(root, "it")
    assert torch.equal(module(x), root(x))
    assert not [name for name in vars(root) if "constant" in name]


class Optional(nn.Module):
    """Takes more than the images; its forward is wrapped, so that its code does not tell its arguments."""

    @torch.no_grad()
    def forward(self, pixels: Tensor, mask: Tensor | None = None, *, factor: int = 2) -> Tensor:
        return pixels * factor if mask is None else pixels * mask


def test_only_the_images_are_an_input() -> None:
    root, x = Optional(), torch.rand(2, 4)
    module, paths = trace_module(root, "it")
    assert torch.equal(module(x), root(x))
    assert [n.name for n in module.graph.nodes if n.op == "placeholder"] == ["pixels"]
    assert "pixels" in paths


# -- modules that are one node --


def nested() -> nn.Module:
    return nn.Sequential(
        Block(nn.ReLU()), nn.Sequential(Picky(4, 4, 3, padding=1), nn.ReLU()), Picky(4, 2, 1)
    )


def test_what_stops_the_trace_may_be_one_node() -> None:
    root, x = nested(), torch.rand(2, 4, 5, 7)
    module, paths = trace_module(root, "it", whole=bool)
    assert torch.equal(module(x), root(x))
    called = [n.target for n in module.graph.nodes if n.op == "call_module"]
    assert called == ["0.conv", "0.act", "1.0", "1.1", "2"]
    assert (paths["1.0"].target, paths["1"], paths["2"].target) == ("1.0", paths["1.1"], "2")
    assert module.get_submodule("1.0").weight is root.get_submodule("1.0").weight


def test_where_it_may_not_the_trace_stops_there() -> None:
    with pytest.raises(Stopped, match=r"it cannot be traced: 2 stops torch.fx") as caught:
        trace_module(nested(), "it", whole=lambda path: path != "2")
    assert caught.value.where == "2"


class Choosing(nn.Module):
    """Control flow of its own on what a module returns."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Picky(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.inner(x)
        return y if y.shape[1] == 4 else x


def test_the_smallest_module_that_can_be_one_node_is() -> None:
    root, x = nn.Sequential(nn.Conv2d(4, 4, 1), Choosing()), torch.rand(2, 4, 5, 7)
    module, paths = trace_module(root, "it", whole=bool)
    assert list(paths) == ["input", "0", "1"]
    assert torch.equal(module(x), root(x))


def test_a_root_that_stops_the_trace_is_no_node() -> None:
    with pytest.raises(Stopped, match=r"its forward stops torch.fx") as caught:
        trace_module(Choosing(), "it", whole=bool)
    assert caught.value.where == ""
    assert "\n" not in caught.value.diagnostics[0].message
