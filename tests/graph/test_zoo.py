"""Ultralytics' families, each traced: to the bit what it was, with exactly the names it should have."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.fx as fx
from torch import Tensor, nn

from kdgraph.errors import ModelError
from kdgraph.graph import zoo
from kdgraph.graph.architectures import build_architecture, read_architecture
from kdgraph.graph.names import Named, tap_names
from kdgraph.graph.shapes import infer_facts
from kdgraph.graph.yolo import TracedModel, trace_model
from tests.graph.zoo_cases import CASES, Case, zoo_table
from tests.toys import equal

ROOT = Path(__file__).parents[2]
SIZES = [(64, 64), (64, 128)]


@dataclass
class Zoo:
    """A model, its trace, and its names at 64×128 pixels."""

    case: Case
    model: Any
    traced: TracedModel
    names: dict[str, Named]


def architecture(case: Case, teacher: bool) -> dict[str, Any]:
    file, name = zoo.architectures()[case.model], Path(f"{case.model}.yaml")
    return read_architecture(file, name, trust=False, span=None, teacher=teacher)


def built(case: Case) -> Zoo:
    torch.manual_seed(0)
    model: Any = build_architecture(architecture(case, case.teacher), 3, 3, None)
    if case.family == "YOLOE":
        model.set_classes(["a", "b", "c"], torch.randn(1, 3, 512))
    traced = trace_model(model, case.model, frozen=case.teacher)
    facts = infer_facts(traced.module, SIZES[1])
    return Zoo(case, model, traced, tap_names(traced, lambda node: facts[node].shape, SIZES[1]))


def found(model: str) -> Case:
    return next(case for case in CASES if case.model == model)


@pytest.mark.parametrize("case", CASES, ids=[case.model for case in CASES])
def test_it_is_traced(case: Case) -> None:
    it = built(case)
    check_names(it)
    check_what_is_known(it)
    check_what_is_one_node(it)
    if not case.left_out:
        check_training(it)
    if case.teacher:
        check_teaching(it)


def check_names(it: Zoo) -> None:
    assert sorted(name for name, named in it.names.items() if not named.raw) == sorted(it.case.names())
    for name, named in it.names.items():
        if name.startswith(("neck.", "backbone.")):
            assert named.level == name.split(".")[1], name


def check_what_is_known(it: Zoo) -> None:
    case, head = it.case, it.traced.head
    tasks = {"mask": "segment", "kpt": "pose", "angle": "obb", "cls": "classify", "": "detect"}
    task = {"yolo26n-sem": "semantic", "yolo26n-depth": "depth"}.get(case.model, tasks[case.extra])
    assert (it.traced.task, it.traced.channels, it.traced.foreign) == (task, 3, False)
    assert it.traced.class_names == tuple(it.model.names.values())
    assert (head is not None) == case.boxes
    if head is not None:
        assert (head.classes, head.task, head.levels) == (3, task, case.neck)
        assert (head.reg_max > 1, head.end2end) == (case.bins, case.o2o)
        assert head.keypoints == ((17, 3) if task == "pose" else None)


def check_what_is_one_node(it: Zoo) -> None:
    module, last = it.traced.module, f"model.{len(it.model.model) - 1}"
    called = [module.get_submodule(str(n.target)) for n in module.graph.nodes if n.op == "call_module"]
    whole = {type(m).__name__ for m in called if not type(m).__module__.startswith("torch.nn")}
    assert whole == set(it.case.whole)
    assert bool(it.traced.beheaded) == bool(it.case.left_out)
    if it.case.left_out:
        assert it.case.left_out == type(it.model.model[-1]).__name__
        assert it.case.left_out in it.traced.beheaded
        assert not [name for name in it.traced.names if name.startswith(last)]


def check_training(it: Zoo) -> None:
    """Outputs and batch-norm statistics are those of the model, to the bit, at two sizes."""
    model, traced = it.model.train(), it.traced
    if it.case.teacher and not it.case.boxes:  # traced as it runs in eval mode: see `check_teaching`
        traced = trace_model(model, it.case.model)
    images = [torch.rand(2, 3, *size) for size in SIZES]
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    with torch.no_grad():
        expected = [model(x) for x in images]
        statistics = {name: buffer.clone() for name, buffer in model.named_buffers()}
        for name, buffer in model.named_buffers():
            buffer.copy_(before[name])
        outputs = [traced.module.train()(x) for x in images]
    assert all(equal(*pair) for pair in zip(expected, outputs, strict=True))
    assert all(torch.equal(b, statistics[name]) for name, b in model.named_buffers())
    assert not equal(list(before.values()), list(statistics.values())), "statistics must have moved"


def check_teaching(it: Zoo) -> None:
    """In eval mode too, what comes out and what each layer returned are the model's, to the bit."""
    model, traced = it.model.eval(), it.traced
    images, seen, values = torch.rand(2, 3, *SIZES[1]), {}, Values(traced.module.eval())
    handles = [
        layer.register_forward_hook(lambda _m, _i, out, path=f"model.{i}": seen.update({path: out}))
        for i, layer in enumerate(model.model)
    ]
    with torch.no_grad():
        result, output = model(images), values.run(images)
    for handle in handles:
        handle.remove()
    layers = {path: out for path, out in seen.items() if isinstance(out, Tensor) and path in traced.names}
    assert len(layers) >= len(model.model) - 2
    assert all(torch.equal(values[traced.names[path]], out) for path, out in layers.items())
    if it.case.left_out:
        assert equal(output, [seen[path] for path in traced.neck])
    else:  # a detector returns what is decoded beside what is not
        assert equal(output, result[1] if it.case.boxes else result)
    if it.case.extra == "cls":
        probabilities, logits = result
        assert torch.equal(values[traced.names["head.cls"]], logits[..., None])
        assert not torch.equal(probabilities, logits)
        assert (it.names["head.cls"].layout, it.names["head.cls"].shape) == ("cls", (2, 3, 1))


class Values(fx.Interpreter):
    """Keeps the value of each node that has a tensor."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self._values: dict[fx.Node, Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if isinstance(value, Tensor):
            self._values[n] = value
        return value

    def __getitem__(self, node: fx.Node) -> Tensor:
        return self._values[node]


TEACHERS = [case for case in CASES if case.teacher]


@pytest.mark.parametrize("case", TEACHERS, ids=[case.model for case in TEACHERS])
def test_who_can_only_teach_is_refused_as_a_student(case: Case) -> None:
    with pytest.raises(ModelError, match=r"KD305\] \S+ is an? .*\n.*this one can be a teacher"):
        architecture(case, teacher=False)


def test_a_yoloe_without_classes_teaches_features_only() -> None:
    model = build_architecture(architecture(found("yoloe-v8n"), True), 3, 3, None)
    traced = trace_model(model, frozen=True)
    assert "set_classes" in traced.beheaded
    assert traced.head is None
    assert traced.neck
    assert not [name for name in traced.names if name.startswith("head.")]


def test_a_prompt_free_yoloe_teaches_features_only() -> None:
    """Its head keeps the anchors that its own filter lets through."""
    model: Any = build_architecture(architecture(found("yoloe-v8n"), True), 3, 3, None)
    model.args["imgsz"] = 64
    widths = [tower[-1].in_channels for tower in model.model[-1].cv3]
    with torch.no_grad():
        model.set_vocab(nn.ModuleList(nn.Conv2d(width, 3, 1) for width in widths), ["a", "b", "c"])
    traced = trace_model(model, frozen=True)
    assert "YOLOEDetect, does depends on the data" in traced.beheaded
    images, values, seen = torch.rand(1, 3, 64, 64), Values(traced.module.eval()), []
    handle = model.model[-1].register_forward_pre_hook(lambda _m, given: seen.extend(given[0][:3]))
    with torch.no_grad():
        model.eval()(images)
        handle.remove()
        values.run(images)
    assert equal([values[traced.names[path]] for path in traced.neck], seen)


def test_a_head_that_lost_its_first_branch_goes_by_the_other() -> None:
    """`YOLO.fuse` leaves an end-to-end head its one-to-one branch only."""
    model: Any = build_architecture(architecture(found("yolo26n"), False), 3, 3, None)
    model.end2end = True
    model.model[-1].fuse()
    traced = trace_model(model, frozen=True)
    assert traced.head is not None
    assert not traced.head.end2end
    images, values = torch.rand(1, 3, 64, 64), Values(traced.module.eval())
    with torch.no_grad():
        values.run(images)
        expected = model.eval()(images)[1]["one2one"]
    assert torch.equal(values[traced.names["head.cls"]], expected["scores"])
    assert torch.equal(values[traced.names["head.box"]], expected["boxes"])


@pytest.mark.parametrize(
    ("weights", "known"),
    [
        ("yolo11m.pt", ("yolo11m", None)),
        ("yolov8n-oiv7.pt", ("yolov8n", 601)),
        ("yolov5nu.pt", ("yolov5n", None)),
        ("yolov5l6u.pt", ("yolov5l-p6", None)),
        ("yolov3-tinyu.pt", ("yolov3-tiny", None)),
        ("yolo11n-obb.pt", ("yolo11n-obb", 15)),
        ("yolo26s-sem-ade20k.pt", ("yolo26s-sem", 150)),
        ("yoloe-11l-seg-pf.pt", ("yoloe-11l-seg", None)),
        ("rtdetr-l.pt", ("rtdetr-l", None)),
        ("mine.pt", None),
    ],
)
def test_the_architecture_of_released_weights(weights: str, known: tuple[str, int | None] | None) -> None:
    assert zoo.architecture_of(weights) == known


def test_teachers_are_among_the_names_that_are_suggested() -> None:
    assert {"rtdetr-l.pt", "yolov8s-world", "yolo11n-cls.yaml", "yolo11n.pt"} <= set(zoo.known_names())


# -- the table --


def test_the_readme_has_the_table_of_these_cases() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    _, _, behind = text.partition("<!-- tools/zoo-table -->")
    table, end, _ = behind.partition("<!-- end -->")
    assert end
    assert table.strip() == zoo_table()


def test_the_tool_prints_it() -> None:
    done = subprocess.run([sys.executable, ROOT / "tools" / "zoo-table"], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (zoo_table() + "\n", "")


def test_every_family_of_ultralytics_is_in_it() -> None:
    """A new release that ships another family has to be tried."""
    families = {file.parent.name for file in zoo.architectures().values()}
    tried = {zoo.architectures()[case.model].parent.name for case in CASES}
    assert families == tried
