"""How patterns find taps, and what is known of each name."""

from __future__ import annotations

import pytest
from torch import Tensor, nn

from kdgraph.graph.names import Named, find, is_raw, level_of, tap_names
from kdgraph.graph.shapes import infer_facts
from kdgraph.graph.yolo import trace_model
from tests.toys import SIZE, toy


def names_of(model: nn.Module, size: tuple[int, int] = SIZE) -> dict[str, Named]:
    traced = trace_model(model)
    facts = infer_facts(traced.module, size)
    return tap_names(traced, lambda node: facts[node].shape, size)


@pytest.fixture(scope="module")
def names() -> dict[str, Named]:
    return names_of(toy())


def test_backbone_levels_are_the_last_layers_at_their_strides(names: dict[str, Named]) -> None:
    found = {name: named.node for name, named in names.items() if name.startswith("backbone.")}
    raw = {f"backbone.p{i}": names[f"model.{layer}"].node for i, layer in ((1, 0), (2, 1), (3, 3), (4, 4))}
    assert found == raw


def test_semantic_names_come_first(names: dict[str, Named]) -> None:
    kinds = [is_raw(name) for name in names]
    assert kinds == sorted(kinds)


@pytest.mark.parametrize(
    ("name", "layout", "level", "shape"),
    [
        ("neck.p3", "features", "p3", (2, 16, 8, 12)),
        ("neck.p4", "features", "p4", (2, 32, 4, 6)),
        ("model.3.cv1.bn", "features", "p3", (2, 16, 8, 12)),
        ("head.cls", "cls", None, (2, 3, 120)),
        ("head.cls.p4", "cls", "p4", (2, 3, 4, 6)),
        ("head.cls.p3.1", "features", "p3", (2, 16, 8, 12)),
        ("head.dfl", "dfl", None, (2, 64, 120)),
        ("head.dfl.p3", "dfl", "p3", (2, 64, 8, 12)),
        ("head.box", "box", None, (2, 4, 120)),
        ("head.box.p4", "box", "p4", (2, 4, 4, 6)),
        ("model.11.cv3.0", "cls", "p3", (2, 3, 8, 12)),
        ("model.3.chunk", "features", None, None),
    ],
)
def test_each_name_knows_its_layout_level_and_shape(
    names: dict[str, Named], name: str, layout: str, level: str | None, shape: tuple[int, ...] | None
) -> None:
    found = names[name]
    assert (found.name, found.layout, found.level, found.shape) == (name, layout, level, shape)


def test_end_to_end_branches_have_layouts_too() -> None:
    names = names_of(toy(end2end=True, reg_max=1))
    assert [names[f"head.o2o.{n}"].layout for n in ("cls", "cls.p3", "cls.p3.0", "box", "box.p4")] == [
        "cls", "cls", "features", "box", "box",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("neck.*", ["neck.p3", "neck.p4"]),
        ("neck.p[4-6]", ["neck.p4"]),
        ("neck.p?", ["neck.p3", "neck.p4"]),
        ("head.cls.*", ["head.cls.p3", "head.cls.p4"]),
        ("head.cls.*.0", ["head.cls.p3.0", "head.cls.p4.0"]),
        ("head.*", ["head.cls", "head.dfl", "head.box"]),
        ("model.1", ["model.1"]),
        ("model.?", [f"model.{i}" for i in range(10)]),
        ("model.3.m.*.cv?", ["model.3.m.0.cv1", "model.3.m.0.cv2"]),
        ("*.p4", ["neck.p4", "backbone.p4"]),
        ("neck", []),
        ("neck.P3", []),
        ("n.ck.p3", []),
        ("neck.p3.", []),
        ("*", ["images"]),
    ],
)
def test_patterns(names: dict[str, Named], pattern: str, found: list[str]) -> None:
    assert sorted(find(pattern, names)) == sorted(found)


@pytest.mark.parametrize(
    ("shape", "level"),
    [
        ((2, 8, 8, 12), "p3"),
        ((2, 8, 64, 96), "p0"),
        ((2, 8, 1, 1), "p6"),
        ((2, 8, 3, 3), None),
        ((2, 8, 24, 3), None),
        ((2, 8, 8, 8), None),
        ((2, 8, 1, 2), "p6"),
        ((2, 8, 0, 0), None),
        ((2, 8, 96), None),
        (None, None),
    ],
)
def test_levels_come_from_strides(shape: tuple[int, ...] | None, level: str | None) -> None:
    assert level_of(shape, SIZE) == level


def test_the_neck_of_a_model_without_boxes_is_what_its_last_layer_reads() -> None:
    model = toy()
    model.model[-1] = Sum(model.model[-1].f, model.model[-1].i)
    names = names_of(model)
    assert {name: named.node for name, named in names.items() if name.startswith("neck.")} == {
        "neck.p3": names["model.7"].node,
        "neck.p4": names["model.10"].node,
    }
    assert not [name for name in names if name.startswith("head.")]
    assert names["neck.p4"].level == "p4"
    assert (names["neck.p4"].raw, names["model.7"].raw) == (False, True)


class Sum(nn.Module):
    """A last layer of a user's own."""

    def __init__(self, f: list[int], i: int) -> None:
        super().__init__()
        self.f, self.i = f, i

    def forward(self, x: list[Tensor]) -> Tensor:
        return x[0].mean() + x[1].mean()
