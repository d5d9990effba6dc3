"""What segment, pose and obb heads put out: the names mean what Ultralytics makes of the values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torch.fx as fx
from torch import Tensor
from ultralytics.nn.tasks import OBBModel, PoseModel, SegmentationModel
from ultralytics.utils.loss import PoseLoss26, v8PoseLoss
from ultralytics.utils.tal import make_anchors

from kdgraph.graph.names import Named, tap_names
from kdgraph.graph.shapes import infer_facts
from kdgraph.graph.yolo import TracedModel, trace_model

SIZE = (64, 96)
BUILDERS = {"seg": SegmentationModel, "pose": PoseModel, "obb": OBBModel}


@dataclass
class Head:
    """A model, its trace, and what both gave in training mode for the same images."""

    model: Any
    traced: TracedModel
    result: dict[str, Any]
    values: dict[str, Tensor]

    @property
    def layer(self) -> Any:
        return self.model.model[-1]

    def branches(self) -> Iterator[tuple[str, dict[str, Any]]]:
        yield "head", self.result.get("one2many", self.result)
        if "one2one" in self.result:
            yield "head.o2o", self.result["one2one"]

    def joined(self, name: str) -> Tensor:
        """The levels of a name along the anchors."""
        assert self.traced.head is not None
        return torch.cat([self.values[f"{name}.{level}"].flatten(2) for level in self.traced.head.levels], 2)


class Recorder(fx.Interpreter):
    """Runs every node, dead ones too, and keeps the value by node."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module, garbage_collect_values=False)


def built(name: str) -> Head:
    torch.manual_seed(0)
    model = BUILDERS[name.split("-")[1]](f"{name}.yaml", nc=3, verbose=False)
    traced, images = trace_model(model), torch.rand(2, 3, *SIZE)
    model.train()
    with torch.no_grad():
        result = model(images)
        recorder = Recorder(traced.module)
        recorder.run(images)
    return Head(model, traced, result, {n: recorder.env[node] for n, node in traced.names.items()})


@pytest.fixture(scope="module", params=["yolov8n", "yolo26n"])
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def pose(family: str) -> Head:
    return built(f"{family}-pose")


@pytest.fixture(scope="module")
def segment(family: str) -> Head:
    return built(f"{family}-seg")


@pytest.fixture(scope="module")
def obb(family: str) -> Head:
    return built(f"{family}-obb")


def test_keypoints_are_where_the_head_decodes_them(pose: Head) -> None:
    """Pixels: (offset + centre of the anchor) * stride, and the visibility's logit."""
    head, ndim = pose.layer, pose.layer.kpt_shape[1]
    for prefix, outputs in pose.branches():
        anchors, strides = (t.transpose(0, 1) for t in make_anchors(outputs["feats"], head.stride, 0.5))
        head.anchors, head.strides = anchors, strides
        decoded, found = head.kpts_decode(outputs["kpts"]), pose.values[f"{prefix}.kpt"]
        for axis in (0, 1):
            torch.testing.assert_close(
                (found[:, axis::ndim] + anchors[axis]) * strides, decoded[:, axis::ndim]
            )
        assert torch.equal(found[:, 2::ndim], outputs["kpts"][:, 2::ndim])


def test_keypoints_are_where_the_loss_decodes_them(pose: Head) -> None:
    """In strides, from the corner of the image."""
    loss = PoseLoss26 if type(pose.layer).__name__ == "Pose26" else v8PoseLoss
    for prefix, outputs in pose.branches():
        anchors, _ = make_anchors(outputs["feats"], pose.layer.stride, 0.5)
        raw = outputs["kpts"].permute(0, 2, 1).unflatten(-1, pose.layer.kpt_shape)
        decoded = loss.kpts_decode(anchors, raw)[..., :2]
        found = pose.values[f"{prefix}.kpt"].permute(0, 2, 1).unflatten(-1, pose.layer.kpt_shape)[..., :2]
        torch.testing.assert_close(found + anchors[:, None], decoded)


def test_angles_are_those_that_the_head_decodes_with(obb: Head) -> None:
    for prefix, outputs in obb.branches():
        assert torch.equal(obb.values[f"{prefix}.angle"], outputs["angle"])
        assert obb.values[f"{prefix}.angle"].shape[1] == 1


def test_mask_coefficients_and_prototypes(segment: Head) -> None:
    for prefix, outputs in segment.branches():
        assert torch.equal(segment.values[f"{prefix}.mask"], outputs["mask_coefficient"])
        proto = outputs["proto"]
        proto = proto[0] if isinstance(proto, tuple) else proto
        assert torch.equal(segment.values[f"{prefix}.proto"], proto)
        assert proto.shape[:2] == (2, segment.values[f"{prefix}.mask"].shape[1])


def test_levels_are_parts_of_all(pose: Head, segment: Head, obb: Head) -> None:
    for case, name in ((pose, "kpt"), (segment, "mask"), (obb, "angle")):
        for prefix, _ in case.branches():
            torch.testing.assert_close(case.joined(f"{prefix}.{name}"), case.values[f"{prefix}.{name}"])
            assert case.values[f"{prefix}.{name}.p4"].shape[2:] == (4, 6)


def test_layouts(pose: Head, segment: Head, obb: Head) -> None:
    found = {name: named.layout for case in (pose, segment, obb) for name, named in names_of(case).items()}
    assert [found[f"head.{n}"] for n in ("mask", "mask.p3", "mask.p3.0", "proto")] == [
        "mask", "mask", "features", "features",
    ]  # fmt: skip
    assert [found[f"head.{n}"] for n in ("kpt", "kpt.p4", "kpt.p4.1", "angle", "angle.p5")] == [
        "kpt", "kpt", "features", "angle", "angle",
    ]  # fmt: skip


def names_of(case: Head) -> dict[str, Named]:
    facts = infer_facts(case.traced.module, SIZE)
    return tap_names(case.traced, lambda node: facts[node].shape, SIZE)


def test_what_nobody_taps_is_not_computed(pose: Head) -> None:
    graph = fx.Graph()
    graph.output(graph.graph_copy(pose.traced.module.graph, {}))
    graph.owning_module = pose.traced.module
    graph.eliminate_dead_code()
    called = {node.target.__name__ for node in graph.nodes if node.op == "call_function"}
    assert not called & {"offsets", "distances", "radians"}
