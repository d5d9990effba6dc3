"""What `kdgraph nodes` prints, as rows."""

from __future__ import annotations

import pytest

from kdgraph.graph.show import NodeRow, node_rows
from kdgraph.graph.yolo import TracedModel, trace_model
from tests.toys import SIZE, toy


@pytest.fixture(scope="module")
def model() -> TracedModel:
    return trace_model(toy())


def test_rows_of_a_pattern(model: TracedModel) -> None:
    c2f = [sum(p.numel() for p in model.source.model[i].parameters()) for i in (7, 10)]  # type: ignore[index,union-attr]
    assert node_rows(model, SIZE, "neck.*") == [
        NodeRow("neck.p3", "model.7", (16, 8, 12), 8, c2f[0]),
        NodeRow("neck.p4", "model.10", (32, 4, 6), 16, c2f[1]),
    ]


def test_every_name_has_a_row_semantic_names_first(model: TracedModel) -> None:
    rows = node_rows(model, SIZE)
    names = [row.name for row in rows]
    assert set(names) >= set(model.names)
    assert len(set(names)) == len(names)
    assert names.index("backbone.p3") < names.index("model.0.conv")
    assert rows == node_rows(trace_model(toy()), SIZE), "the order never changes"


@pytest.mark.parametrize(
    ("name", "path", "shape", "stride", "params"),
    [
        ("head.cls", "model.11.cat_1", (3, 120), None, 0),
        ("head.cls.p4.0", "model.11.cv3.1.0", (16, 4, 6), 16, 32 * 16 * 9 + 2 * 16),
        ("head.box.p3", "head.box.p3", (4, 8, 12), 8, 0),
        ("model.0.conv", "model.0.conv", (8, 32, 48), 2, 3 * 8 * 9),
        ("model.3.chunk", "model.3.chunk", None, None, 0),
    ],
)
def test_a_row(
    model: TracedModel, name: str, path: str, shape: tuple[int, ...] | None, stride: int | None, params: int
) -> None:
    (row,) = node_rows(model, SIZE, name)
    assert row == NodeRow(name, path, shape, stride, params)


def test_a_pattern_without_matches_has_no_rows(model: TracedModel) -> None:
    assert node_rows(model, SIZE, "nick.*") == []
