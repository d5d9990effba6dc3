"""General instances, against non-maximum suppression written as loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kdgraph.nn.instances import LEAST, Instances
from tests.nn.detection import STRIDES

SIZE = (96, 160)
CELLS = 315

Signals = dict[str, Any]


def signals(seed: int = 0, images: int = 2, nc: int = 4, reach: float = 4.0) -> Signals:
    noise = torch.Generator().manual_seed(seed)
    classes = 2 * torch.randn(2, images, nc, CELLS, generator=noise)
    boxes = reach * torch.rand(2, images, 4, CELLS, generator=noise) - 0.2
    maps = [torch.zeros(images, 1, SIZE[0] // s, SIZE[1] // s) for s in STRIDES]
    return {
        "student_cls": classes[0],
        "teacher_cls": classes[1],
        "student_box": boxes[0],
        "teacher_box": boxes[1],
        "maps": maps,
    }


def by_loops(given: Signals, image: int, count: int, overlap: float) -> list[list[float]]:
    def scores(side: str, anchor: int) -> np.ndarray:
        return 1 / (1 + np.exp(-given[f"{side}_cls"][image, :, anchor].double().numpy()))

    left, anchor = [], 0
    for stride in STRIDES:
        for row, column in np.ndindex(SIZE[0] // stride, SIZE[1] // stride):
            student, teacher = scores("student", anchor), scores("teacher", anchor)
            side = "teacher" if max(teacher) > max(student) else "student"
            a, b, c, d = (stride * x for x in given[f"{side}_box"][image, :, anchor].tolist())
            x, y = (column + 0.5) * stride, (row + 0.5) * stride
            box = [(x - a) / SIZE[1], (y - b) / SIZE[0], (x + c) / SIZE[1], (y + d) / SIZE[0]]
            box = [min(1.0, max(0.0, side)) for side in box]
            if area(box) > 0:
                left.append((max(abs(teacher - student)), box))
            anchor += 1
    chosen: list[list[float]] = []
    for score, box in sorted(left, key=lambda pair: -pair[0]):
        if score > LEAST and all(iou(box, other) <= overlap for other in chosen):
            chosen.append(box)
    return [*chosen[:count], *[[0.0] * 4] * (count - len(chosen))]


def area(box: list[float]) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def iou(a: list[float], b: list[float]) -> float:
    common = area([max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])])
    return common / (area(a) + area(b) - common)


@pytest.mark.parametrize(("count", "overlap"), [(1, 0.3), (10, 0.3), (10, 0.0), (7, 0.7), (400, 0.1)])
@pytest.mark.parametrize("seed", range(3))
def test_the_best_that_do_not_overlap(seed: int, count: int, overlap: float) -> None:
    given = signals(seed)
    found = Instances(count, overlap, strides=STRIDES)(**given)
    assert found.shape == (2, count, 4)
    for image in range(2):
        wanted = torch.tensor(by_loops(given, image, count, overlap))
        torch.testing.assert_close(found[image], wanted, rtol=0, atol=1e-5)
    if count == 400:
        assert not found[:, -1].any()  # fewer boxes than that fit


def test_an_overlap_of_one_keeps_all_but_takes_none_twice() -> None:
    given = signals(images=1)
    found = Instances(5, 1.0, strides=STRIDES)(**given)[0]
    torch.testing.assert_close(found, torch.tensor(by_loops(given, 0, 5, 1.0)), rtol=0, atol=1e-5)
    assert len(found.unique(dim=0)) == 5


def test_equal_models_have_no_instances() -> None:
    given = signals()
    given["student_cls"] = given["teacher_cls"].bfloat16().float()
    found = Instances(strides=STRIDES)(**given)
    assert found.any()  # rounded to 8 bits they differ
    given["student_cls"] = given["teacher_cls"] + 1e-5
    assert not Instances(strides=STRIDES)(**given).any()


def test_boxes_without_area_are_none() -> None:
    given = signals()
    given["student_box"] = given["teacher_box"] = -torch.ones(2, 4, CELLS)
    assert not Instances(strides=STRIDES)(**given).any()


def test_of_equal_scores_the_first() -> None:
    given = signals(images=1)
    given["teacher_cls"], given["student_cls"] = torch.ones(1, 4, CELLS), torch.zeros(1, 4, CELLS)
    given["teacher_box"] = torch.full((1, 4, CELLS), 0.5)
    found = Instances(3, strides=STRIDES)(**given)[0]
    wanted = torch.tensor([[i / 20, 0, (i + 1) / 20, 1 / 12] for i in range(3)])
    torch.testing.assert_close(found, wanted)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None, derandomize=True)
def test_instances_lie_in_the_image_apart_from_one_another(seed: int) -> None:
    found = Instances(8, 0.3, strides=STRIDES)(**signals(seed, reach=9.0))
    assert ((found >= 0) & (found <= 1)).all()
    for image in found.tolist():
        real = [box for box in image if any(box)]
        assert real == image[: len(real)]
        assert all(iou(a, b) <= 0.3 + 1e-5 for i, a in enumerate(real) for b in real[:i])


def test_images_do_not_see_one_another() -> None:
    given, module = signals(images=3), Instances(strides=STRIDES)
    whole = module(**given)
    for image in range(3):
        alone = {k: v if k == "maps" else v[image : image + 1] for k, v in given.items()}
        assert torch.equal(module(**alone)[0], whole[image])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_taken_in_float32(dtype: torch.dtype) -> None:
    half = {k: v if k == "maps" else v.to(dtype) for k, v in signals().items()}
    single = {k: v if k == "maps" else v.float() for k, v in half.items()}
    found = Instances(strides=STRIDES)(**half)
    assert found.dtype == torch.float32
    assert torch.equal(found, Instances(strides=STRIDES)(**single))


def test_no_gradient_and_extreme_values() -> None:
    given: dict[str, Any] = signals()
    for name, value in given.items():
        if isinstance(value, Tensor):
            given[name] = (1e4 * value.sign()).requires_grad_()
    found = Instances(strides=STRIDES)(**given)
    assert found.isfinite().all()
    assert not found.requires_grad
