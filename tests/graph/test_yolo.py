"""Real Ultralytics models, traced: to the bit what they were, with names that mean what they say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.fx as fx
from torch import Tensor, nn
from ultralytics.nn.tasks import DetectionModel

import kdgraph
from kdgraph.errors import GraphError
from kdgraph.graph import yolo
from kdgraph.graph.yolo import TracedModel, trace_model
from tests.graph.modules import Picky
from tests.toys import equal, tensors, toy

IMAGES = [(2, 3, 64, 96), (1, 3, 96, 32)]


@dataclass
class Case:
    """A model, its trace, and what its modules returned when it ran by itself in training mode."""

    model: Any
    traced: TracedModel
    outputs: dict[str, list[Any]]
    result: Any
    values: dict[fx.Node, Any]

    @property
    def head(self) -> Any:
        return self.model.model[-1]

    def value(self, name: str) -> Any:
        return self.values[self.traced.names[name]]

    def seen(self, module: nn.Module) -> Any:
        """The first output of a module of the model."""
        path = next(path for path, m in self.model.named_modules() if m is module)
        return self.outputs[path][0]


class Recorder(fx.Interpreter):
    """Keeps every node's value. Dead nodes run as well."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.values: dict[fx.Node, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        self.values[n] = super().run_node(n)
        return self.values[n]


def watched(model: nn.Module, images: Tensor) -> tuple[dict[str, list[Any]], Any]:
    """Every module's outputs by path, and the model's own; a shared module is listed at its first place."""
    outputs: dict[str, list[Any]] = {}
    handles = [
        module.register_forward_hook(lambda _m, _i, out, path=path: outputs.setdefault(path, []).append(out))
        for path, module in model.named_modules()
    ]
    try:
        return outputs, model(images)
    finally:
        for handle in handles:
            handle.remove()


@pytest.fixture(scope="module", params=["yolo11n", "yolov8n", "yolo26n", "toy"])
def case(request: pytest.FixtureRequest) -> Case:
    model = toy() if request.param == "toy" else DetectionModel(f"{request.param}.yaml", nc=3, verbose=False)
    traced = trace_model(model)
    images = torch.rand(*IMAGES[0])
    model.train()
    with torch.no_grad():
        outputs, result = watched(model, images)
        recorder = Recorder(traced.module)
        recorder.run(images)
    return Case(model, traced, outputs, result, recorder.values)


def raw_outputs(case: Case) -> Iterator[tuple[str, Tensor]]:
    """(name, value) of every call of a module that has one place only."""
    for path, outputs in case.outputs.items():
        if path.startswith("model.") and not isinstance(case.model.get_submodule(path), nn.SiLU):
            for count, out in enumerate(outputs):
                if isinstance(out, Tensor):
                    yield path + f"_{count}" * (count > 0), out


# -- the whole family, bit-exact --


@pytest.mark.parametrize("scale", "nsmlx")
def test_every_scale_of_yolo11_is_bit_exact(scale: str) -> None:
    model = DetectionModel(f"yolo11{scale}.yaml", nc=4, verbose=False).train()
    images = [torch.rand(*shape) for shape in IMAGES]
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    with torch.no_grad():
        expected = [model(x) for x in images]
        statistics = {name: buffer.clone() for name, buffer in model.named_buffers()}
        for name, buffer in model.named_buffers():
            buffer.copy_(before[name])
        module = kdgraph.trace(model)
        found = [module(x) for x in images]
    assert all(equal(*pair) for pair in zip(expected, found, strict=True))
    assert all(torch.equal(b, statistics[name]) for name, b in model.named_buffers())
    assert not equal(list(before.values()), list(statistics.values())), "statistics must have moved"
    ours, theirs = dict(module.named_parameters()), dict(model.named_parameters())
    assert {p.data_ptr() for p in ours.values()} >= {
        p.data_ptr() for n, p in theirs.items() if ".dfl." not in n
    }
    assert all(p is theirs[name] for name, p in ours.items())


def test_gradients_are_those_of_the_model() -> None:
    model, images = toy().train(), torch.rand(*IMAGES[0])
    module = kdgraph.trace(model)
    gradients = []
    for forward in (model, module):
        model.zero_grad()
        sum(t.square().mean() for t in tensors(forward(images))).backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    assert equal(*gradients)


def test_the_model_keeps_its_mode_and_its_statistics() -> None:
    model = toy()
    model.model[0].train()
    modes = [m.training for m in model.modules()]
    before = {name: t.clone() for name, t in model.state_dict().items()}
    trace_model(model)
    assert [m.training for m in model.modules()] == modes
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())


def test_a_public_trace_has_no_dead_nodes_and_knows_paths() -> None:
    module = kdgraph.trace(toy())
    assert all(node.users or node.op == "output" for node in module.graph.nodes)
    assert {n.meta["path"] for n in module.graph.nodes if n.op == "call_module"} >= {
        "model.0.conv",
        "model.3.cv1.act",
    }


# -- names --


def test_every_module_path_holds_what_the_module_returned(case: Case) -> None:
    raw = list(raw_outputs(case))
    assert len(raw) > 60
    for name, out in raw:
        assert torch.equal(case.value(name), out), name


def test_shared_activations_are_named_by_their_place(case: Case) -> None:
    acts = [name for name in case.traced.names if name.endswith(".act")]
    assert len(acts) > 15
    assert len({case.traced.names[name] for name in acts}) == len(acts)
    for name in acts:
        block = case.outputs[name.removesuffix(".act")][0]
        assert torch.equal(case.value(name), block), name


def test_a_module_called_again_gets_a_number() -> None:
    case = trace_model(DetectionModel("yolov8n.yaml", nc=3, verbose=False))
    assert [n for n in case.names if n.startswith("model.9.m")] == ["model.9.m", "model.9.m_1", "model.9.m_2"]


def test_the_neck_is_what_the_head_reads(case: Case) -> None:
    levels = [name for name in case.traced.names if name.startswith("neck.")]
    assert levels == [f"neck.{level}" for level in ("p3", "p4", "p5")[: len(case.head.stride)]]
    for name, source, stride in zip(levels, case.head.f, case.head.stride.tolist(), strict=True):
        assert torch.equal(case.value(name), case.outputs[f"model.{source}"][0])
        assert case.value(name).shape[2] == IMAGES[0][2] / stride
        assert name == f"neck.p{int(stride).bit_length() - 1}"


def branches(case: Case) -> Iterator[tuple[str, Any, nn.ModuleList, nn.ModuleList]]:
    """(prefix, outputs, box towers, class towers) of each branch of the head."""
    if not hasattr(case.head, "one2one_cv2"):
        yield "head", case.result, case.head.cv2, case.head.cv3
    else:
        yield "head", case.result["one2many"], case.head.cv2, case.head.cv3
        yield "head.o2o", case.result["one2one"], case.head.one2one_cv2, case.head.one2one_cv3


def test_the_head_s_outputs_have_names(case: Case) -> None:
    for prefix, outputs, _, _ in branches(case):
        assert torch.equal(case.value(f"{prefix}.cls"), outputs["scores"])
        expected = outputs["boxes"]
        if case.head.reg_max > 1:
            assert torch.equal(case.value(f"{prefix}.dfl"), expected)
            expected = case.head.dfl(expected).detach()
        else:
            assert f"{prefix}.dfl" not in case.traced.names
        torch.testing.assert_close(case.value(f"{prefix}.box"), expected)
        assert case.value(f"{prefix}.box").shape[1] == 4


def test_the_towers_and_their_hidden_stages_have_names(case: Case) -> None:
    kind = "dfl" if case.head.reg_max > 1 else "box"
    for prefix, _, boxes, classes in branches(case):
        for name, towers in ((f"{prefix}.cls", classes), (f"{prefix}.{kind}", boxes)):
            for level, tower in zip(case.traced.head.levels, towers, strict=True):
                assert torch.equal(case.value(f"{name}.{level}"), case.seen(tower))
                *hidden, _ = tower
                assert len(hidden) == 2
                for index, stage in enumerate(hidden):
                    assert torch.equal(case.value(f"{name}.{level}.{index}"), case.seen(stage))
                assert f"{name}.{level}.2" not in case.traced.names


def test_decoded_distances_by_level_are_parts_of_all(case: Case) -> None:
    for prefix, _, _, _ in branches(case):
        levels = [case.value(f"{prefix}.box.{level}").flatten(2) for level in case.traced.head.levels]
        torch.testing.assert_close(torch.cat(levels, 2), case.value(f"{prefix}.box"))


def test_what_the_head_is(case: Case) -> None:
    head = case.traced.head
    assert (head.classes, head.reg_max) == (3, case.head.reg_max)
    assert head.strides == tuple(case.head.stride.int().tolist())
    assert head.end2end == hasattr(case.head, "one2one_cv2")


def test_no_semantic_name_without_its_branch() -> None:
    names = trace_model(toy(reg_max=1)).names
    assert not [n for n in names if n.startswith(("head.dfl", "head.o2o"))]
    assert "head.box.p3.0" in names, "without bins the box towers are the boxes'"
    assert [n for n in trace_model(toy(end2end=True)).names if n.startswith("head.o2o.dfl.p4")] == [
        "head.o2o.dfl.p4", "head.o2o.dfl.p4.0", "head.o2o.dfl.p4.1",
    ]  # fmt: skip


def test_activations_may_no_longer_overwrite_what_is_tapped() -> None:
    model = toy()
    for module in model.modules():
        if isinstance(module, nn.SiLU):
            module.inplace = True
    names = trace_model(model).names
    assert not any(getattr(m, "inplace", False) for m in model.modules())
    recorder = Recorder(kdgraph.trace(model))
    recorder.run(torch.rand(*IMAGES[0]))
    values = {node.name: value for node, value in recorder.values.items()}
    before, after = values[names["model.0.bn"].name], values[names["model.0.act"].name]
    assert torch.equal(nn.functional.silu(before), after)


def test_what_cannot_be_traced_is_one_node_and_trains() -> None:
    model = toy()
    model.model[2].conv = Picky(8, 16, 3, 2, 1)
    traced = trace_model(model.train())
    assert traced.names["model.2.conv"].op == "call_module"
    assert traced.names["model.3.cv1.conv"].op == "call_module"
    images = torch.rand(*IMAGES[0])
    outputs = [traced.module(images), model(images)]
    gradients = []
    for output in outputs:
        model.zero_grad()
        sum(t.square().mean() for t in tensors(output)).backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    assert equal(*outputs)
    assert equal(*gradients)


def test_a_model_that_cannot_be_traced_says_where() -> None:
    model = toy()

    class Choosy(type(model.model[-1])):  # type: ignore[misc]
        def forward(self, x: list[Tensor]) -> Any:
            return super().forward(x) if x[0].mean() > 0 else x

    model.model[-1].__class__ = Choosy
    with pytest.raises(
        GraphError, match=r"KD205\] the student 'odd.pt' cannot be traced: model.11 stops torch.fx \(symbolic"
    ):
        trace_model(model, "the student 'odd.pt'")
    found = trace_model(model, "the teacher 'odd.pt'", frozen=True)
    assert found.head is None
    assert "its last layer, Choosy," in found.beheaded
    assert found.neck == ("model.7", "model.10")


def test_no_source_file_knows_a_layer_index() -> None:
    import ast

    package = Path(yolo.__file__).parents[1]
    for file in [*(package / "graph").glob("*.py"), *(package / "compiler").rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
                known = node.slice.value
                assert not (isinstance(known, int) and known > 8), f"{file.name}:{node.lineno}"
