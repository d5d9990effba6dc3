"""m2d2: what a region says together, and the mistakes of comparing the wrong things."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kdgraph.nn.dfl import sides
from kdgraph.nn.registry import criterion
from tests.nn.naive_m2d2 import m2d2

BINS = 5


def logits(*size: int, images: int = 2, seed: int = 0, spread: float = 2.0) -> tuple[Tensor, Tensor, Tensor]:
    """A student, a teacher, and class logits."""
    noise = torch.Generator().manual_seed(seed)
    shape = (2, images, 4 * BINS, *size)
    student, teacher = spread * torch.randn(shape, generator=noise, dtype=torch.float64)
    return student, teacher, torch.randn(images, 3, *size, generator=noise, dtype=torch.float64)


def by_loops(student: Tensor, teacher: Tensor, classes: Tensor, target: Tensor, **options: Any) -> float:
    maps = [x.flatten(2).tolist() for x in (student, teacher)]
    mask = torch.ones(target.shape).flatten(1).tolist()
    signals = {"teacher_cls": classes.flatten(2).tolist(), "target": target.flatten(1).tolist()}
    return m2d2(*maps, mask, bins=BINS, size=tuple(target.shape[2:]), **signals, **options)


every_variant = pytest.mark.parametrize("variant", ["mixture", "mean_logits"])
every_pooling = pytest.mark.parametrize("pooling", ["uniform", "score"])


@every_variant
@every_pooling
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    owners=st.integers(1, 3),
    share=st.floats(0.2, 1),
)
@settings(max_examples=15, deadline=None, derandomize=True)
def test_value(
    variant: str, pooling: str, seed: int, size: tuple[int, int], owners: int, share: float
) -> None:
    student, teacher, classes = logits(*size, images=3, seed=seed)
    noise = torch.Generator().manual_seed(seed)
    target = torch.randint(0, owners, (3, 1, *size), generator=noise)
    target[torch.rand(target.shape, generator=noise) > share] = -1
    loss = criterion("m2d2", variant=variant, pooling=pooling, temperature=2.0, bins=BINS)
    got = loss(student, teacher, teacher_cls=classes, target=target).item()
    wanted = by_loops(student, teacher, classes, target, variant=variant, pooling=pooling, temperature=2.0)
    assert got == pytest.approx(wanted, rel=1e-8, abs=1e-12)


@every_variant
@every_pooling
def test_regions_of_one_cell_are_plain_kl(variant: str, pooling: str) -> None:
    student, teacher, classes = logits(4, 6)
    target = torch.full((2, 1, 4, 6), -1)
    target[:, :, ::2, ::2] = 0  # no two of them touch
    target[:, :, 1, 0] = 1  # another object's
    loss = criterion("m2d2", variant=variant, pooling=pooling, temperature=3.0, bins=BINS)
    plain = criterion("kl", temperature=3.0, bins=BINS)(student, teacher, target >= 0)
    got = loss(student, teacher, teacher_cls=classes, target=target)
    torch.testing.assert_close(got, plain, rtol=1e-12, atol=0)


def test_cells_that_see_the_same_edges_agree_with_the_mixture() -> None:
    """One sure edge per side, seen from every cell: the mixture is what each cell says anyway."""
    teacher = torch.full((1, 4, BINS, 3, 3), -200.0, dtype=torch.float64)
    for row in range(3):
        for column in range(3):
            for side, bin_ in enumerate((column + 1, row + 1, 3 - column, 3 - row)):
                teacher[0, side, bin_, row, column] = 0
    teacher = teacher.flatten(1, 2)
    target, classes = torch.zeros(1, 1, 3, 3, dtype=torch.long), torch.zeros(1, 2, 3, 3)
    loss = criterion("m2d2", bins=BINS)
    assert loss(teacher, teacher, teacher_cls=classes, target=target).item() == pytest.approx(0, abs=1e-9)
    shifted = criterion("m2d2", variant="mean_logits", bins=BINS)
    assert shifted(teacher, teacher, teacher_cls=classes, target=target).item() > 1


def test_a_region_keeps_the_modes_of_its_cells() -> None:
    """Two cells in a row that each are sure of another left edge: both learn of both, half and half."""
    teacher = torch.full((1, 4, BINS, 1, 2), -50.0, dtype=torch.float64)
    teacher[:, :, 2] = 0  # the left cell sees its left edge at column -2, the right one at -1
    target, classes = torch.zeros(1, 1, 1, 2, dtype=torch.long), torch.zeros(1, 2, 1, 2)
    goal = criterion("m2d2", bins=BINS)._goal(teacher, classes.double(), target)
    left = goal[0, 0, :, 0]  # [bins, 2]
    torch.testing.assert_close(left[:, 0], torch.tensor([0, 0.5, 0.5, 0, 0], dtype=torch.float64))
    torch.testing.assert_close(left[:, 1], torch.tensor([0, 0, 0.5, 0.5, 0], dtype=torch.float64))
    top = goal[0, 1, :, 0]  # they are in one row
    torch.testing.assert_close(top, torch.tensor([[0, 0, 1, 0, 0]] * 2, dtype=torch.float64).T)


def test_a_score_outweighs_cells_that_see_nothing() -> None:
    teacher = torch.full((1, 4, BINS, 1, 2), -50.0, dtype=torch.float64)
    teacher[:, :, 2] = 0
    target = torch.zeros(1, 1, 1, 2, dtype=torch.long)
    classes = torch.tensor([[[[-1e4, -2e4]]]], dtype=torch.float64)  # both underflow a sigmoid
    goal = criterion("m2d2", pooling="score", bins=BINS)._goal(teacher, classes, target)
    assert goal[0, 0, :, 0].argmax(0).tolist() == [2, 3]
    assert goal.isfinite().all()


def test_a_cell_out_of_the_others_reach_keeps_its_own_distribution() -> None:
    """With bins 0 and 1 only, and all the weight at a cell five columns away."""
    teacher = torch.randn(1, 4, 2, 1, 6, dtype=torch.float64)
    classes = torch.full((1, 1, 1, 6), -1e4, dtype=torch.float64)
    classes[..., -1] = 5
    target = torch.zeros(1, 1, 1, 6, dtype=torch.long)
    goal = criterion("m2d2", pooling="score", bins=2)._goal(teacher, classes, target)
    left_and_right = slice(0, 3, 2)  # all cells are in reach of each other's top and bottom
    own = teacher.softmax(2)
    torch.testing.assert_close(goal[:, left_and_right, ..., 0], own[:, left_and_right, ..., 0])


@every_variant
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_without_objects_it_is_zero(variant: str, dtype: torch.dtype) -> None:
    student, teacher, classes = (x.to(dtype) for x in logits(3, 4))
    student.requires_grad_()
    loss = criterion("m2d2", variant=variant, bins=BINS)
    value = loss(student, teacher, teacher_cls=classes, target=torch.full((2, 1, 3, 4), -1))
    value.backward()
    assert value.item() == 0
    assert student.grad is not None
    assert not student.grad.any()


@every_variant
def test_only_the_box_distributions_matter(variant: str) -> None:
    """A head's map has class logits beside the bins: neither may pass for the other."""
    student, teacher, classes = logits(4, 5)
    target = torch.zeros(2, 1, 4, 5, dtype=torch.long)
    loss = criterion("m2d2", variant=variant, bins=BINS)
    value = loss(student, teacher, teacher_cls=classes, target=target)
    assert loss(student, teacher, teacher_cls=classes + 7, target=target).item() == value.item()
    with pytest.raises(ValueError, match="23 channels are not 4 sides of 5 bins"):
        loss(*(torch.cat((x, classes), 1) for x in (student, teacher)), teacher_cls=classes, target=target)


@every_variant
def test_sides_are_told_apart(variant: str) -> None:
    """Channels are side-major: a change of the teacher's right side reaches the student's right side only."""
    student, teacher, classes = logits(4, 5)
    target = torch.zeros(2, 1, 4, 5, dtype=torch.long)
    loss = criterion("m2d2", variant=variant, bins=BINS)
    changed = teacher.clone()
    sides(changed, BINS)[:, 2] += torch.randn(BINS, 1, 1, dtype=torch.float64)
    student.requires_grad_()
    before, after = (
        torch.autograd.grad(loss(student, t, teacher_cls=classes, target=target), student)[0]
        for t in (teacher, changed)
    )
    moved = sides((before - after).abs(), BINS).amax((0, 2, 3, 4))
    assert (moved > 1e-6).tolist() == [False, False, True, False]


@every_variant
def test_a_batch_is_the_mean_over_its_images(variant: str) -> None:
    """[B, H, W] times [B, 1, H, W] would meet every image's mask with every image's divergence."""
    student, teacher, classes = logits(4, 5, images=3)
    target = torch.full((3, 1, 4, 5), -1)
    target[0, 0, :2, :2], target[1, 0, 1:, 1:] = 0, 1
    mask = torch.rand(3, 1, 4, 5, dtype=torch.float64)
    loss = criterion("m2d2", variant=variant, bins=BINS)
    each = [
        loss(
            student[i : i + 1], teacher[i : i + 1], mask[i : i + 1], teacher_cls=classes[i : i + 1], target=t
        )
        for i, t in enumerate(target.split(1))
    ]
    weights = (mask * (target >= 0)).sum((1, 2, 3))
    wanted = (torch.stack(each) * weights).sum() / weights.sum()
    got = loss(student, teacher, mask, teacher_cls=classes, target=target)
    torch.testing.assert_close(got, wanted, rtol=1e-8, atol=0)


def test_anchors_are_refused() -> None:
    student, teacher, classes = (x.flatten(2) for x in logits(3, 4))
    with pytest.raises(ValueError, match=r"expected \[B, C, H, W\]"):
        criterion("m2d2", bins=BINS)(student, teacher, teacher_cls=classes, target=torch.zeros(2, 12).long())
