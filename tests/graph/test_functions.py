"""Teachers made by a function of a plugin: what it may return, and each way it can go wrong."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn
from ultralytics.nn.tasks import DetectionModel

from kdgraph.errors import CODES, ModelError, Span
from kdgraph.graph.models import build_model
from kdgraph.spec.plugins import load
from kdgraph.spec.schema import TeacherSpec, located

TEXT = """
import torch
from torch import nn


def stack():
    return nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU())


def yolo():
    from ultralytics import YOLO

    return YOLO("yolov8n.yaml")


def broken():
    return nn.Linear(2, 3)(torch.zeros(1, 5))


def silent():
    raise KeyError


def nothing():
    stack()


def text():
    return "resnet18"


def sized(width):
    return nn.Conv2d(3, width, 1)


number = 3
"""


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "my_teachers.py").write_text(TEXT)
    load("my_teachers", folder)
    yield folder / "my_teachers.py"
    del sys.modules["my_teachers"]


def teacher(function: str) -> TeacherSpec:
    line = f"  python: {function}"
    span = Span("spec.yaml", 3, 11, 11 + len(function), line)
    return located(TeacherSpec(model=function, python=function), {"python": span})


def refusal(function: str) -> str:
    with pytest.raises(ModelError) as caught:
        build_model(teacher(function), nc=None)
    (fault,) = caught.value.diagnostics
    assert fault.code in CODES
    assert str(caught.value).startswith("spec.yaml:3:11: error["), "it shows where `python` is written"
    return f"[{fault.code}] {fault.message}\n{fault.hint}"


def test_a_module_is_taken_as_it_is(module: Path) -> None:
    model = build_model(teacher("my_teachers:stack"), nc=7)
    assert [type(layer) for layer in model] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU]  # type: ignore[attr-defined]
    assert not model.training
    assert model(torch.zeros(1, 3, 8, 8)).shape == (1, 4, 4, 4)


def test_its_shapes_are_known_without_memory(module: Path) -> None:
    model = build_model(teacher("my_teachers:stack"), nc=None, meta=True)
    assert {tensor.device.type for tensor in model.state_dict().values()} == {"meta"}


@pytest.mark.parametrize("meta", [False, True])
def test_of_a_yolo_it_is_the_network_inside(meta: bool, module: Path) -> None:
    model = build_model(teacher("my_teachers:yolo"), nc=None, meta=meta)
    assert isinstance(model, DetectionModel)
    assert (model.stride.tolist(), model.training) == ([8, 16, 32], False)


def test_a_module_that_is_not_loaded() -> None:
    assert refusal("no_such_module:make") == (
        "[KD302] the module no_such_module of no_such_module:make is not loaded\n"
        "list no_such_module in `plugins`, or import it first"
    )


@pytest.mark.parametrize(
    ("function", "hint"),
    [
        ("stak", "did you mean my_teachers:stack?"),
        ("number", "write `def number():` in my_teachers"),
        ("q", "write `def q():` in my_teachers"),
    ],
)
def test_a_function_that_is_not_there(function: str, hint: str, module: Path) -> None:
    assert refusal(f"my_teachers:{function}") == f"[KD302] my_teachers has no function '{function}'\n{hint}"


def test_a_function_that_raises_names_the_line(module: Path) -> None:
    text = refusal("my_teachers:broken")
    line = TEXT.splitlines().index("    return nn.Linear(2, 3)(torch.zeros(1, 5))") + 1
    assert text.startswith("[KD305] my_teachers:broken raises RuntimeError: mat1 and mat2 shapes")
    assert f", at {module}:{line}\n" in text
    assert text.endswith("it is called without arguments and must return a torch.nn.Module")


def test_an_exception_without_words(module: Path) -> None:
    line = TEXT.splitlines().index("    raise KeyError") + 1
    assert refusal("my_teachers:silent").startswith(
        f"[KD305] my_teachers:silent raises KeyError, at {module}:{line}\n"
    )


def test_a_function_that_wants_arguments(module: Path) -> None:
    assert refusal("my_teachers:sized").startswith(
        "[KD305] my_teachers:sized raises TypeError: sized() missing 1 required positional argument"
    )


@pytest.mark.parametrize(("function", "kind"), [("nothing", "nothing"), ("text", "a str")])
def test_a_function_that_returns_no_module(function: str, kind: str, module: Path) -> None:
    assert refusal(f"my_teachers:{function}").startswith(
        f"[KD305] my_teachers:{function} returns {kind}, no torch.nn.Module\n"
        "return a torch.nn.Module that takes images"
    )
