"""Cells of objects, against loops over cells."""

from __future__ import annotations

from itertools import product as every

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kdgraph.nn.registry import mask
from kdgraph.nn.signals import at_level
from tests.nn.detection import random_predictions, random_targets

Sizes = list[tuple[int, int]]

seeds = st.integers(0, 2**32 - 1)
some = settings(max_examples=30, deadline=None, derandomize=True)


@pytest.mark.parametrize("shape", [(2, 12), (2, 1, 3, 4)], ids=str)
def test_foreground_and_background_share_the_cells(shape: tuple[int, ...]) -> None:
    target = torch.randint(-1, 3, shape, generator=torch.Generator().manual_seed(0))
    fore, back = (mask(name)(target=target) for name in ("foreground", "background"))
    assert fore.dtype == back.dtype == torch.bool
    assert fore.shape == back.shape == shape
    for here, index in zip(fore.flatten().tolist(), target.flatten().tolist(), strict=True):
        assert here == (index != -1)
    assert torch.equal(back, ~fore)


def test_an_empty_batch_has_background_only() -> None:
    target = torch.full((2, 5), -1)
    assert not mask("foreground")(target=target).any()
    assert mask("background")(target=target).all()


# pyramid


def some_target(sizes: Sizes, seed: int, images: int = 2, share: float = 0.05) -> tuple[Tensor, list[Tensor]]:
    noise = torch.Generator().manual_seed(seed)
    cells = sum(h * w for h, w in sizes)
    target = torch.where(torch.rand(images, cells, generator=noise) < share, 3, -1)
    return target, [torch.zeros(images, 1, *size) for size in sizes]


def overlap(i: int, of: int, j: int, other: int) -> bool:
    """Whether cell i of `of` along an axis and cell j of `other` have more than an edge in common."""
    return i * other < (j + 1) * of and j * of < (i + 1) * other


def union(target: Tensor, maps: list[Tensor]) -> list[list[bool]]:
    """Cell by cell, level by level: does a positive cell of any level overlap it?"""
    found: list[list[bool]] = []
    for image in range(target.shape[0]):
        levels = [at_level(target, maps, i)[image, 0].tolist() for i in range(len(maps))]
        row = []
        for part in maps:
            for y, x in every(range(part.shape[2]), range(part.shape[3])):
                row.append(
                    any(
                        level[v][u] >= 0
                        and overlap(y, part.shape[2], v, len(level))
                        and overlap(x, part.shape[3], u, len(level[0]))
                        for level in levels
                        for v, u in every(range(len(level)), range(len(level[0])))
                    )
                )
        found.append(row)
    return found


regular = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3)).map(
    lambda n: [(n[0] * 2**i, n[1] * 2**i) for i in reversed(range(n[2]))]
)
any_sizes = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=4)


@given(seed=seeds, sizes=regular | any_sizes)
@some
def test_pyramid_is_the_union_of_what_overlaps(seed: int, sizes: Sizes) -> None:
    target, maps = some_target(sizes, seed)
    got = mask("pyramid")(target=target, maps=maps)
    assert got.dtype == torch.bool
    assert got.tolist() == union(target, maps)


@given(seed=seeds, sizes=regular | any_sizes)
@some
def test_pyramid_never_loses_a_positive(seed: int, sizes: Sizes) -> None:
    target, maps = some_target(sizes, seed, images=1, share=0.0)
    cell = seed % target.shape[1]
    target[0, cell] = 0
    got = mask("pyramid")(target=target, maps=maps)
    assert got[0, cell]
    assert all(at_level(got, maps, i).any() for i in range(len(maps)))
    assert (mask("foreground")(target=target) <= got).all()


def test_pyramid_repeats_up_and_pools_down() -> None:
    maps = [torch.zeros(1, 1, 4, 8), torch.zeros(1, 1, 2, 4), torch.zeros(1, 1, 1, 2)]
    target = torch.full((1, 42), -1)
    target[0, 3 * 8 + 5] = 0  # at the finest level: row 3, column 5
    target[0, 32 + 1] = 0  # in the middle: row 0, column 1
    fine, middle, coarse = (
        at_level(mask("pyramid")(target=target, maps=maps), maps, i)[0, 0] for i in range(3)
    )
    assert fine.nonzero().tolist() == [[0, 2], [0, 3], [1, 2], [1, 3], [3, 5]]
    assert middle.nonzero().tolist() == [[0, 1], [1, 2]]
    assert coarse.tolist() == [[True, True]]


@pytest.mark.parametrize("share", [0.001, 1.0])
def test_pyramid_counts_right_in_half_precision(share: float) -> None:
    target, maps = some_target([(80, 80), (40, 40), (20, 20)], seed=0, share=share)
    plain = mask("pyramid")(target=target, maps=maps)
    for dtype in (torch.float16, torch.bfloat16):
        with torch.autocast("cpu", dtype):
            assert torch.equal(mask("pyramid")(target=target, maps=maps), plain)
    assert plain.any()


def test_pyramid_of_nothing_and_of_other_maps() -> None:
    target, maps = some_target([(4, 4), (2, 2)], seed=0, share=0.0)
    assert not mask("pyramid")(target=target, maps=maps).any()
    with pytest.raises(ValueError, match="the maps have 16 cells"):
        mask("pyramid")(target=target, maps=maps[:1])


# boxes


def centres(size: tuple[int, int]) -> list[tuple[float, float]]:
    return [((x + 0.5) / size[1], (y + 0.5) / size[0]) for y, x in every(range(size[0]), range(size[1]))]


@pytest.mark.parametrize("context", [0.5, 1.0, 1.7])
@pytest.mark.parametrize("size", [(96, 160), (160, 96), (64, 64)], ids=str)
@pytest.mark.parametrize("counts", [[5, 1, 3], [0, 2, 0]], ids=str)
def test_boxes_hold_the_centres_of_cells(counts: list[int], size: tuple[int, int], context: float) -> None:
    maps, targets = random_predictions(size).feats, random_targets(counts)
    got = mask("boxes", context=context)(objects=list(vars(targets).values()), maps=maps)
    assert got.dtype == torch.bool
    points = [point for part in maps for point in centres((part.shape[2], part.shape[3]))]
    for image in range(3):
        own = targets.bboxes[targets.batch_idx == image].tolist()
        for cell, (x, y) in enumerate(points):
            inside = any(
                abs(x - box[0]) < context * box[2] / 2 and abs(y - box[1]) < context * box[3] / 2
                for box in own
            )
            assert got[image, cell].item() == inside
    assert got.any(1).tolist() == [count > 0 for count in counts]
    assert not got.all()


@pytest.mark.parametrize("name", ["boxes", "gi"])
def test_one_map_gives_a_map_unless_it_is_all_of_the_anchors(name: str) -> None:
    maps = random_predictions((96, 160)).feats
    given = {
        "boxes": {"objects": list(vars(random_targets([5, 1, 3])).values())},
        "gi": {"instances": torch.tensor([[0.1, 0.2, 0.5, 0.9], [0, 0, 0, 0]]).repeat(3, 1, 1)},
    }[name]
    module = mask(name)
    whole = module(**given, maps=maps)
    assert whole.shape == (3, 315)
    for level, part in enumerate(maps):
        alone = module(**given, maps=[part])
        assert torch.equal(alone, at_level(whole, maps, level))
        assert torch.equal(module(**given, maps=[part], anchors=True), alone.flatten(1))
    assert torch.equal(module(**given, maps=maps, anchors=True), whole)


@pytest.mark.parametrize("counts", [[0, 0, 0], [1, 0, 0]], ids=str)
def test_boxes_of_none_and_of_one(counts: list[int]) -> None:
    maps, targets = random_predictions((96, 160)).feats, random_targets(counts)
    got = mask("boxes")(objects=[targets.batch_idx[:, None], targets.cls, targets.bboxes], maps=maps)
    assert got.any(1).tolist() == [count > 0 for count in counts]


@given(seed=seeds)
@some
def test_more_context_is_more_cells(seed: int) -> None:
    maps, targets = (
        random_predictions((96, 160)).feats,
        list(vars(random_targets([2, 3, 1], seed=seed)).values()),
    )
    narrow, plain, wide = (mask("boxes", context=c)(objects=targets, maps=maps) for c in (0.6, 1.0, 1.5))
    assert (narrow <= plain).all()
    assert (plain <= wide).all()


# instances


@given(seed=seeds)
@some
def test_gi_holds_the_centres_of_cells(seed: int) -> None:
    noise = torch.Generator().manual_seed(seed)
    low, high = (
        0.6 * torch.rand(2, 2, 3, 2, generator=noise) + torch.tensor([0.0, 0.3]).view(2, 1, 1, 1)
    ).unbind()
    instances = torch.cat((low, high), -1)  # some of them inside out, which hold nothing
    instances[1, 1:] = 0
    maps = [torch.zeros(2, 1, 4, 7), torch.zeros(2, 1, 2, 3)]
    got = mask("gi")(instances=instances, maps=maps)
    points = [*centres((4, 7)), *centres((2, 3))]
    for image, (cell, (x, y)) in every(range(2), enumerate(points)):
        inside = any(a < x < c and b < y < d for a, b, c, d in instances[image].tolist())
        assert got[image, cell].item() == inside


def test_no_instance_no_cell() -> None:
    assert not mask("gi")(instances=torch.zeros(2, 10, 4), maps=[torch.zeros(2, 1, 3, 3)]).any()
