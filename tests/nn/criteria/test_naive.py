"""Every criterion against its formula written as loops."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from kdgraph.spec.components import CRITERIA
from tests.nn import naive
from tests.nn.cases import CASES, Case, every_case, every_masked_case, pair, weights


def by_loops(case: Case, student: Tensor, teacher: Tensor, mask: Tensor | None = None) -> float:
    everywhere = torch.ones_like(student.detach()[:, :1])
    flat = (everywhere if mask is None else mask).reshape(student.shape[0], -1)
    maps = (x.detach().flatten(2).tolist() for x in (student, teacher))
    bins = {} if case.bins is None else {"bins": case.bins}
    return naive.CRITERIA[case.name](*maps, flat.tolist(), **case.options, **bins)


def test_every_criterion_is_among_the_cases() -> None:
    assert {case.name for case in CASES} == set(CRITERIA)


@every_case
@pytest.mark.parametrize("size", [(7,), (3, 4), (1, 5)], ids=str)
@pytest.mark.parametrize("images", [1, 3])
def test_value(case: Case, size: tuple[int, ...], images: int) -> None:
    student, teacher = pair(case, images=images, size=size)
    assert case.build()(student, teacher).item() == pytest.approx(by_loops(case, student, teacher), rel=1e-9)


@every_masked_case
@pytest.mark.parametrize("size", [(7,), (3, 4)], ids=str)
def test_masked_value(case: Case, size: tuple[int, ...]) -> None:
    student, teacher = pair(case, images=3, size=size, seed=1)
    mask = weights(student)
    assert (mask == 0).any()
    got = case.build()(student, teacher, mask).item()
    assert got == pytest.approx(by_loops(case, student, teacher, mask), rel=1e-8)  # EPS beside the mask's sum


@every_masked_case
def test_a_bool_mask_selects_positions(case: Case) -> None:
    student, teacher = pair(case, images=1, size=(12,))
    mask = torch.arange(12).remainder(3).eq(0).unsqueeze(0)
    chosen = (x[:, :, mask[0]] for x in (student, teacher))
    torch.testing.assert_close(case.build()(student, teacher, mask), case.build()(*chosen), rtol=1e-8, atol=0)
