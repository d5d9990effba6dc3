"""What `kdgraph nodes` prints, as rows."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from kdgraph.graph.show import NodeRow, node_rows, stride_of
from kdgraph.graph.yolo import TracedModel, trace_model
from tests.toys import SIZE, toy


@pytest.fixture(scope="module")
def model() -> TracedModel:
    return trace_model(toy())


def test_rows_of_a_pattern(model: TracedModel) -> None:
    params, flops = zip(*(costs(model, "7", (48, 8, 12)), costs(model, "10", (48, 4, 6))), strict=True)
    assert node_rows(model, SIZE, "neck.*") == [
        NodeRow("neck.p3", "model.7", (16, 8, 12), 8, params[0], flops[0], "C2f", "neck"),
        NodeRow("neck.p4", "model.10", (32, 4, 6), 16, params[1], flops[1], "C2f", "neck"),
    ]


def costs(model: TracedModel, layer: str, shape: tuple[int, ...]) -> tuple[int, int]:
    """Parameters and FLOPs of a layer for one image, as torch counts them when it runs."""
    module = model.source.get_submodule(f"model.{layer}")
    with FlopCounterMode(display=False) as counter:
        module(torch.zeros(1, *shape))
    return sum(p.numel() for p in module.parameters()), counter.get_total_flops()


def test_every_name_has_a_row_semantic_names_first(model: TracedModel) -> None:
    rows = node_rows(model, SIZE)
    names = [row.name for row in rows]
    assert set(names) >= set(model.names)
    assert len(set(names)) == len(names)
    assert names.index("backbone.p3") < names.index("model.0.conv")
    assert rows == node_rows(trace_model(toy()), SIZE), "the order never changes"


@pytest.mark.parametrize(
    "row",
    [
        NodeRow("head.cls", "model.11.cat_1", (3, 120), None, 0, 0, "cat", "head"),
        NodeRow("head.cls.p4.0", "model.11.cv3.1.0", (16, 4, 6), 16, 4640, 2 * 4608 * 24, "Conv", "head"),
        NodeRow("head.box.p3", "head.box.p3", (4, 8, 12), 8, 0, 0, "distances", "head"),
        NodeRow("images", "images", (3, 64, 96), 1, 0),
        NodeRow("model.0.conv", "model.0.conv", (8, 32, 48), 2, 216, 2 * 216 * 1536, "Conv2d", "backbone"),
        NodeRow("model.0.act", "model.0", (8, 32, 48), 2, 0, 0, "SiLU", "backbone"),
        NodeRow("model.0", "model.0", (8, 32, 48), 2, 216 + 16, 2 * 216 * 1536, "Conv", "backbone"),
        NodeRow("model.3.chunk", "model.3.chunk", None, None, 0, 0, "chunk", "backbone"),
    ],
    ids=lambda row: row.name,
)
def test_a_row(model: TracedModel, row: NodeRow) -> None:
    assert node_rows(model, SIZE, row.name) == [row]


def test_a_name_that_stands_for_what_is_around_it_tells_its_own_cost(model: TracedModel) -> None:
    """The last module of a C2f gives the value of the whole, and is not the whole."""
    whole, last = (node_rows(model, SIZE, name)[0] for name in ("model.7", "model.7.cv2"))
    assert (last.path, last.shape) == (whole.path, whole.shape)
    assert (last.params, last.flops) == costs(model, "7.cv2", (24, 8, 12))
    assert last.params < whole.params


@pytest.mark.parametrize(
    ("shape", "size", "stride"),
    [
        ((8, 80, 80), (640, 640), 8),
        ((8, 20, 15), (640, 480), 32),
        ((8, 21, 20), (650, 640), None),  # a stride is a whole number
        ((8, 32, 400), (640, 640), None),  # what a head of attention reads
        ((2, 400, 400), (640, 640), None),  # cells by cells
        ((8, 8400), (640, 640), None),
        ((8, 0, 4), (640, 640), None),
        (None, (640, 640), None),
    ],
)
def test_only_maps_have_a_stride(
    shape: tuple[int, ...] | None, size: tuple[int, int], stride: int | None
) -> None:
    assert stride_of(shape, size) == stride


def test_a_pattern_without_matches_has_no_rows(model: TracedModel) -> None:
    assert node_rows(model, SIZE, "nick.*") == []
