"""The IR as a value: reading it, changing a copy, what stays of what was replaced."""

from __future__ import annotations

import pytest
import torch.fx as fx
from torch import nn

from kdgraph.graph.ir import DistillGraph, Input, Op, Tap, View, op_key
from tests.toys import SIZE, graph

EDGES = "  neck: {taps: neck.*, criterion: cwd}"


@pytest.fixture(scope="module")
def fresh() -> DistillGraph:
    return graph(EDGES)


def described(graph: DistillGraph) -> list[object]:
    """Everything in a graph, in its order, to compare it with what it was before."""
    return [(key, graph[key], graph.inputs(key), graph.users(key)) for key in graph.order()] + [graph.alias]


def test_a_fresh_graph_is_both_models(fresh: DistillGraph) -> None:
    for role in ("student", "teacher"):
        nodes = list(fresh.models[role].module.graph.nodes)
        assert list(fresh.ops(role)) == [op_key(role, node) for node in nodes]
        for node in nodes:
            sources = [source for port, source in fresh.inputs(op_key(role, node)) if port == "arg"]
            assert set(sources) == {op_key(role, source) for source in node.all_input_nodes}
    assert fresh.views == dict.fromkeys(("student", "teacher"), View(SIZE, 3, stride=16))
    assert set(fresh.of(Op)) == set(fresh.order())


def test_an_operation_knows_its_path_and_module(fresh: DistillGraph) -> None:
    op = fresh["student:model_3_cv1_bn"]
    assert isinstance(op, Op)
    assert op.path == "model.3.cv1.bn"
    assert op.module is fresh.models["student"].source.get_submodule("model.3.cv1.bn")


def test_the_order_is_topological_and_stable(fresh: DistillGraph) -> None:
    order = list(fresh.order())
    place = {key: i for i, key in enumerate(order)}
    assert all(place[source] < place[key] for key in order for _, source in fresh.inputs(key))
    assert order == list(fresh.copy().order()) == list(graph(EDGES).order())


def test_a_copy_changes_alone(fresh: DistillGraph) -> None:
    before = described(fresh)
    twin = fresh.copy()
    tap = twin.add("tap:x", Tap("student", "x", "features", None), value="student:model_0_act")
    twin.update("student:model_0_conv", folded=nn.BatchNorm2d(8))
    twin.disconnect(tap, "value")
    twin.connect("student:model_1_act", tap, "value")
    twin.replace_with("student:model_0_bn", "student:model_0_conv")
    twin.remove([twin.output("teacher") or ""])
    assert described(fresh) == before
    assert described(twin) != before
    assert twin.models == fresh.models


def test_what_was_replaced_is_found_by_its_old_name(fresh: DistillGraph) -> None:
    twin = fresh.copy()
    twin.replace_with("teacher:model_0_bn", "teacher:model_0_conv")
    twin.replace_with("teacher:model_0_act", "teacher:model_0_conv")
    assert twin.resolve("teacher:model_0_act") == twin.resolve("teacher:model_0_bn") == "teacher:model_0_conv"
    assert twin.source("teacher:model_1_conv", "arg") == "teacher:model_0_conv"
    assert "teacher:model_0_bn" not in twin
    assert twin.resolve("teacher:model_1_conv") == "teacher:model_1_conv"


def test_ports_and_users(fresh: DistillGraph) -> None:
    twin = fresh.copy()
    twin.add("batch:cls", Input("cls"))
    twin.add("tap:x", Tap("student", "x", "features", "p3"), value="student:model_3_cv2_act")
    assert twin.source("tap:x", "value") == "student:model_3_cv2_act"
    assert twin.source("tap:x", "other") is None
    assert "tap:x" in twin.users("student:model_3_cv2_act")
    assert twin.tapped("tap:x").path.startswith("model.3")
    assert list(twin.of(Tap)) == ["tap:x"]
    assert list(twin.of(Input)) == ["batch:cls"]


def test_ancestors_are_all_that_is_needed(fresh: DistillGraph) -> None:
    assert fresh.ancestors(["teacher:model_1_conv"]) == {
        "teacher:model_1_conv", "teacher:model_0_act", "teacher:model_0_bn", "teacher:model_0_conv",
        "teacher:images",
    }  # fmt: skip
    assert fresh.ancestors([]) == set()


def test_an_output_may_be_gone(fresh: DistillGraph) -> None:
    twin = fresh.copy()
    output = twin.output("teacher")
    assert output is not None
    twin.remove([output])
    assert twin.output("teacher") is None
    assert twin.output("student") == fresh.output("student")


def test_a_cycle_is_seen(fresh: DistillGraph) -> None:
    twin = fresh.copy()
    assert twin.is_acyclic()
    twin.connect("student:model_1_conv", "student:model_0_conv", "arg")
    assert not twin.is_acyclic()
    assert fresh.is_acyclic()


def test_keys_are_readable(fresh: DistillGraph) -> None:
    node = next(n for n in fresh.models["teacher"].module.graph.nodes if n.op == "call_module")
    assert isinstance(node, fx.Node)
    assert op_key("teacher", node) == "teacher:model_0_conv"
