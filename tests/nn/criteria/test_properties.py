"""Laws that hold for any tensors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kdgraph.nn.registry import criterion
from tests.nn.cases import CASES, Case, Inputs, cases, every_case, inputs, pair, weights

RTOL = 1e-9

seeds = st.integers(0, 2**32 - 1)
spreads = st.sampled_from([1e-3, 1.0, 30.0])
some = settings(max_examples=12, deadline=None, derandomize=True)
maps = given(seed=seeds, images=st.integers(1, 4), size=st.tuples(*[st.integers(2, 5)] * 2), spread=spreads)


def made(case: Case, seed: int, **settings: Any) -> list[Inputs]:
    """Without a mask, and with one where it takes one."""
    plain = inputs(case, seed=seed, **settings)
    return [plain, *([plain.with_mask(weights(plain.student, seed))] if case.masked else [])]


@pytest.mark.parametrize("case", [c for c in CASES if c.zero_at_equality], ids=str)
@maps
@some
def test_zero_at_equality(case: Case, seed: int, images: int, size: tuple[int, int], spread: float) -> None:
    for x in made(case, seed, images=images, size=size, spread=spread):
        loss = replace(x, teacher=x.student.detach().clone()).into(case.build())
        assert loss.item() == pytest.approx(0, abs=1e-12)
        (gradient,) = torch.autograd.grad(loss, x.student)
        assert gradient.abs().max() <= 1e-9


@every_case
@maps
@some
def test_never_negative(case: Case, seed: int, images: int, size: tuple[int, int], spread: float) -> None:
    for x in made(case, seed, images=images, size=size, spread=spread):
        assert x.into(case.build()).item() >= -1e-12  # rounding


@cases("twice")
@maps
@some
def test_twice_the_batch_is_the_same_loss(
    case: Case, seed: int, images: int, size: tuple[int, int], spread: float
) -> None:
    for x in made(case, seed, images=images, size=size, spread=spread):
        if sees_less_than_one(case, x):
            continue  # below one positive in the batch its normaliser stays at one
        once, twice = (x.repeated(n).into(case.build()) for n in (1, 2))
        if case.name == "pkd":  # unbiased deviations: exactly this factor between the two
            values = images * size[0] * size[1]
            once = once * (1 - 1 / (2 * values)) / (1 - 1 / values)
        # pkd adds 1e-6 to deviations, which are about `spread`, a masked mean EPS to the mask's sum
        tolerance = max(RTOL, 1e-5 / spread) if case.name == "pkd" else RTOL if x.mask is None else 1e-6
        torch.testing.assert_close(twice, once, rtol=tolerance, atol=1e-15)


def sees_less_than_one(case: Case, x: Inputs) -> bool:
    """Whether the sum of the teacher's highest scores is below one, where it normalises."""
    if case.name not in ("qfl", "iou", "pfi"):
        return False
    logits = x.teacher if case.name == "qfl" else x.signals["teacher_cls"]
    scores = logits.sigmoid().amax(1, keepdim=True)
    return bool((scores if x.mask is None else scores * x.mask).sum() < 1)


@cases("images")
@maps
@some
def test_the_order_of_images_does_not_matter(
    case: Case, seed: int, images: int, size: tuple[int, int], spread: float
) -> None:
    order = torch.randperm(images, generator=torch.Generator().manual_seed(seed))
    for x in made(case, seed, images=images, size=size, spread=spread):
        as_given, shuffled = (y.into(case.build()) for y in (x, x.images(order)))
        torch.testing.assert_close(shuffled, as_given, rtol=RTOL, atol=1e-15)


@cases("positions")
@given(seed=seeds)
@some
def test_the_order_of_positions_does_not_matter(case: Case, seed: int) -> None:
    order = torch.randperm(9, generator=torch.Generator().manual_seed(seed))
    for x in made(case, seed, size=(9,)):
        as_given, shuffled = (y.into(case.build()) for y in (x, x.positions(order)))
        torch.testing.assert_close(shuffled, as_given, rtol=RTOL, atol=1e-15)


@given(seed=seeds, data=st.data())
@some
def test_pkd_is_blind_to_scale_and_offset_of_a_channel(seed: int, data: st.DataObject) -> None:
    case = Case("pkd")
    student, teacher = pair(case, seed=seed)
    numbers = st.lists(st.floats(0.1, 100), min_size=case.channels, max_size=case.channels)
    scale, offset = (torch.tensor(data.draw(numbers), dtype=torch.float64) for _ in range(2))
    changed = student * scale.view(-1, 1, 1) + offset.view(-1, 1, 1)
    loss = case.build()
    # 1e-6 is added to the deviation, which is 0.1 at least here
    torch.testing.assert_close(loss(changed, teacher), loss(student, teacher), rtol=1e-4, atol=0)


@given(seed=seeds)
@some
def test_pkd_is_one_minus_the_correlation(seed: int) -> None:
    student, teacher = (x.detach() for x in pair(Case("pkd"), seed=seed))
    channels = zip(*(x.transpose(0, 1).flatten(1) for x in (student, teacher)), strict=True)
    correlation = torch.stack([torch.corrcoef(torch.stack(c))[0, 1] for c in channels]).mean()
    values = student.numel() / student.shape[1]
    wanted = (1 - correlation) * (1 - 1 / values)  # unbiased deviations under a plain mean
    torch.testing.assert_close(criterion("pkd")(student, teacher), wanted, rtol=1e-4, atol=0)


@pytest.mark.parametrize("norm", ["none", "batch"])
@given(seed=seeds, offset=st.floats(-50, 50), scale=st.floats(1, 100))
@some
def test_cwd_is_blind_to_what_its_softmax_removes(norm: str, seed: int, offset: float, scale: float) -> None:
    student, teacher = pair(Case("cwd"), seed=seed)
    loss = criterion("cwd", norm=norm)
    changed = student * (scale if norm == "batch" else 1) + offset
    # 1e-5 beside a variance of about 4
    torch.testing.assert_close(loss(changed, teacher), loss(student, teacher), rtol=1e-3, atol=0)


@given(seed=seeds, scale=st.floats(0.01, 100))
@some
def test_cosine_is_blind_to_length(seed: int, scale: float) -> None:
    student, teacher = pair(Case("cosine"), seed=seed)
    loss = criterion("cosine")
    torch.testing.assert_close(loss(student * scale, teacher), loss(student, teacher), rtol=RTOL, atol=0)
    assert loss(student, -student.detach()).item() == pytest.approx(2)


@given(seed=seeds, shift=st.floats(-100, 100))
@some
def test_distributions_are_blind_to_a_common_shift_of_their_logits(seed: int, shift: float) -> None:
    for case in (Case("kl"), Case("kl", channels=20, bins=5), Case("box_l2", channels=20, bins=5)):
        student, teacher = pair(case, seed=seed)
        loss = case.build()
        torch.testing.assert_close(loss(student + shift, teacher), loss(student, teacher), rtol=RTOL, atol=0)
