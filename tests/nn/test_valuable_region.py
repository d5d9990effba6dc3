"""The valuable localisation region, against loops over objects and cells."""

from __future__ import annotations

import math
from statistics import fmean, stdev

import pytest
import torch

from kdgraph.nn.registry import mask
from tests.nn.detection import STRIDES, Targets, random_predictions, random_targets

Box = tuple[float, float, float, float]


def by_loops(
    targets: Targets,
    size: tuple[int, int],
    images: int,
    *,
    gamma: float = 0.25,
    topk: int = 9,
    anchor: float = 8.0,
) -> list[list[bool]]:
    levels = [
        [((x + 0.5) * s, (y + 0.5) * s, s) for y in range(size[0] // s) for x in range(size[1] // s)]
        for s in STRIDES
    ]
    cells = [cell for level in levels for cell in level]
    region = [[False] * len(cells) for _ in range(images)]
    for image, (x, y, width, height) in zip(
        targets.batch_idx.flatten().long().tolist(), targets.bboxes.tolist(), strict=True
    ):
        truth = around(x * size[1], y * size[0], width * size[1], height * size[0])
        candidates = []
        for level in levels:
            nearest = sorted(level, key=lambda c: math.dist(c[:2], (x * size[1], y * size[0])))[:topk]
            candidates += [iou(truth, around(*c[:2], anchor * c[2], anchor * c[2])) for c in nearest]
        threshold = fmean(candidates) + stdev(candidates)
        for number, (across, down, stride) in enumerate(cells):
            near = diou(truth, around(across, down, anchor * stride, anchor * stride))
            region[image][number] |= gamma * threshold <= near < threshold
    return region


def around(x: float, y: float, width: float, height: float) -> Box:
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def area(box: Box) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def iou(a: Box, b: Box) -> float:
    common = area((max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])))
    return common / (area(a) + area(b) - common)


def diou(a: Box, b: Box) -> float:
    span = math.hypot(max(a[2], b[2]) - min(a[0], b[0]), max(a[3], b[3]) - min(a[1], b[1]))
    apart = math.hypot(a[0] + a[2] - b[0] - b[2], a[1] + a[3] - b[1] - b[3]) / 2
    return iou(a, b) - (apart / span) ** 2


def region(targets: Targets, size: tuple[int, int], **options: float) -> torch.Tensor:
    maps = random_predictions(size).feats
    return mask("valuable_region", strides=STRIDES, **options)(
        objects=list(vars(targets).values()), maps=maps
    )


@pytest.mark.parametrize("counts", [[3, 1, 4], [0, 2, 0]], ids=str)
@pytest.mark.parametrize("size", [(96, 160), (256, 128)], ids=str)
@pytest.mark.parametrize("options", [{}, {"gamma": 0.6, "topk": 4}, {"anchor": 3.0, "topk": 30}], ids=str)
def test_region(options: dict[str, float], size: tuple[int, int], counts: list[int]) -> None:
    targets = random_targets(counts, smallest=0.2)
    got = region(targets, size, **options)
    assert got.dtype == torch.bool
    assert got.tolist() == by_loops(targets, size, 3, **options)
    assert got.any(1).tolist() == [count > 0 for count in counts]


def test_no_object_no_region() -> None:
    assert not region(random_targets([0, 0, 0]), (96, 160)).any()


def test_an_object_that_no_anchor_box_overlaps_has_none() -> None:
    empty = Targets(torch.zeros(2), torch.zeros(2, 1), torch.tensor([[0.5, 0.5, 0, 0], [0.2, 0.2, 0.3, 0]]))
    assert not region(empty, (96, 160)).any()


def test_the_region_lies_about_the_positives() -> None:
    """One object as wide as the anchor boxes of stride 8: those that fit best are no part of the region."""
    targets = Targets(torch.zeros(1), torch.zeros(1, 1), torch.tensor([[0.525, 0.5417, 0.4, 0.6667]]))
    got = region(targets, (96, 160))[0]
    finest = got[: 12 * 20].view(12, 20)
    assert not finest[6, 10]  # the object's own centre
    assert finest[6, 7]
    assert finest[6, 13]
    assert not finest[0, 0]


@pytest.mark.parametrize("gamma", [0.0, 0.999999])
def test_gamma_from_all_to_nothing(gamma: float) -> None:
    targets = random_targets([2, 2, 2], smallest=0.3)
    got, plain = region(targets, (96, 160), gamma=gamma), region(targets, (96, 160))
    assert (got >= plain).all() if gamma == 0 else not got.any()


def test_one_cell_alone() -> None:
    """A threshold from one candidate has no deviation."""
    module = mask("valuable_region", strides=[8], topk=1)
    objects = [torch.zeros(1), torch.zeros(1, 1), torch.tensor([[0.5, 0.5, 1.0, 1.0]])]
    got = module(objects=objects, maps=[torch.zeros(1, 1, 3, 3)])
    assert got.tolist() == [[True, True, True, True, False, True, True, True, True]]


def test_one_map_per_stride() -> None:
    with pytest.raises(ValueError, match="2 maps for 3 strides"):
        mask("valuable_region", strides=STRIDES)(
            objects=list(vars(random_targets([1])).values()), maps=random_predictions((96, 160)).feats[:2]
        )
