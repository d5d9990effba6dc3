"""Dynamo takes every mask and signal as one graph, at any sizes and counts of objects; see test_compile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from kdgraph.nn.assign import TaskAligned
from kdgraph.nn.instances import Instances
from kdgraph.nn.registry import mask
from kdgraph.nn.signals import at_level, labels_of, product, target_boxes
from kdgraph.spec.components import MASKS
from tests.nn.detection import STRIDES, random_predictions, random_targets
from tests.nn.test_compile import fresh_dynamo, one_graph  # noqa: F401  (a fixture that all tests use)

SCENES = [((96, 160), [5, 1, 9]), ((128, 96), [2, 0, 3, 4]), ((192, 128), [0, 7])]
"""Sizes of images, and how many objects each has."""
NONE_AND_ONE = [((96, 160), [0, 0]), ((96, 160), [1, 0])]
"""Dynamo holds sizes 0 and 1 for constants, so each has a graph of its own."""


class Scene:
    """Every signal that a mask may read, along the anchor axis."""

    def __init__(self, size: tuple[int, int], counts: list[int]) -> None:
        student, teacher = (random_predictions(size, images=len(counts), reg_max=1, seed=i) for i in (1, 2))
        targets = random_targets(counts)
        self.objects = [targets.batch_idx, targets.cls, targets.bboxes]
        self.maps = student.feats
        self.student_cls, self.teacher_cls = student.scores, teacher.scores
        self.teacher_branches = [student.scores, teacher.scores]
        self.student_box, self.teacher_box = student.boxes, teacher.boxes
        labels = (targets.batch_idx, targets.cls, targets.bboxes)
        self.target = TaskAligned(4, 1, STRIDES)(student.boxes, student.scores, student.feats, *labels)
        self.instances = self.chosen(Instances(4, strides=STRIDES))

    def chosen(self, module: Callable[..., Tensor]) -> Tensor:
        return module(**self.read("student_cls", "teacher_cls", "student_box", "teacher_box", "maps"))

    def read(self, *names: str) -> dict[str, Any]:
        return {name: getattr(self, name) for name in names}


def build(name: str) -> Callable[..., Tensor]:
    return mask(name, **({"strides": STRIDES} if "strides" in MASKS[name].wires else {}))


def test_all() -> None:
    compiled = one_graph(mask("all"))
    for shape in [(2, 3, 4, 5), (4, 3, 7, 6)]:
        assert torch.equal(compiled(torch.randn(shape)), torch.ones(shape[0], 1, *shape[2:]))


@pytest.mark.parametrize("scenes", [SCENES, *([s] for s in NONE_AND_ONE)], ids=["many", "none", "one"])
@pytest.mark.parametrize("name", [name for name, info in MASKS.items() if info.reads])
def test_mask(name: str, scenes: list[Any]) -> None:
    module = build(name)
    compiled = one_graph(module)
    for size, counts in scenes:
        given = Scene(size, counts).read(*MASKS[name].reads)
        assert torch.equal(compiled(**given), module(**given))


@pytest.mark.parametrize("name", ["boxes", "gi"])
@pytest.mark.parametrize("anchors", [False, True])
def test_mask_of_one_map(name: str, anchors: bool) -> None:
    module = build(name)
    compiled = one_graph(module)
    for scene in (Scene(*s) for s in SCENES):
        given = {**scene.read(*MASKS[name].reads), "maps": scene.maps[:1], "anchors": anchors}
        assert torch.equal(compiled(**given), module(**given))


def test_instances() -> None:
    module = Instances(4, strides=STRIDES)
    compiled = one_graph(module)
    for scene in (Scene(*s) for s in SCENES):
        assert torch.equal(scene.chosen(compiled), scene.instances)
        assert scene.instances.any()


@pytest.mark.parametrize("scenes", [SCENES, *([s] for s in NONE_AND_ONE)], ids=["many", "none", "one"])
def test_signals_of_the_assignment(scenes: list[Any]) -> None:
    label, box = one_graph(labels_of), one_graph(target_boxes)
    for scene in (Scene(*s) for s in scenes):
        target, (_, cls, bboxes) = scene.target, scene.objects
        assert torch.equal(label(target, cls), labels_of(target, cls))
        given = (target, bboxes, scene.maps, STRIDES)
        assert torch.equal(box(*given), target_boxes(*given))


@pytest.mark.parametrize("level", [0, 2])
def test_level(level: int) -> None:
    compiled = one_graph(at_level)
    for scene in (Scene(*s) for s in SCENES):
        given = (scene.teacher_cls, scene.maps, level)
        assert torch.equal(compiled(*given), at_level(*given))


def test_product() -> None:
    compiled = one_graph(product)
    for images, cells in [(2, 12), (3, 30)]:
        masks = [torch.rand(images, cells), torch.rand(images, cells) > 0.5]
        assert torch.equal(compiled(masks), product(masks))
