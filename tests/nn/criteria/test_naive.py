"""Every criterion against its formula written as loops."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from kdgraph.spec.components import CRITERIA
from tests.nn import naive, naive_features, naive_head, naive_learnt, naive_m2d2, naive_tasks
from tests.nn.cases import CASES, CELLS, Case, Inputs, cases, every_case, every_masked_case, inputs, weights

MODULES = (naive, naive_features, naive_learnt, naive_head, naive_m2d2, naive_tasks)
FORMULAS = {name: formula for module in MODULES for name, formula in module.CRITERIA.items()}


def by_loops(case: Case, given: Inputs) -> float:
    """What its formula says; signals come as lists too, those of cells `[image][channel][position]`."""
    everywhere = torch.ones_like(given.student.detach()[:, :1])
    mask = (everywhere if given.mask is None else given.mask).reshape(len(everywhere), -1)
    maps = (x.detach().flatten(2).tolist() for x in (given.student, given.teacher))
    size = {"size": tuple(given.student.shape[2:])} if case.maps else {}
    wires = {name: told for name, told in case.wires.items() if name != "channels"}
    settings = {**case.options, **wires, **size, **as_lists(given)}
    if "channels" in case.info.wires:  # and so has parameters
        settings["state"] = {name: x.tolist() for name, x in case.build().state_dict().items()}
    return FORMULAS[case.name](*maps, mask.tolist(), **settings)


def as_lists(given: Inputs) -> dict[str, Any]:
    flat = given.anchors().signals if given.student.ndim == 4 else given.signals
    return {k: [x.tolist() for x in v] if isinstance(v, list) else v.tolist() for k, v in flat.items()}


def test_every_criterion_is_among_the_cases() -> None:
    assert {case.name for case in CASES} == set(CRITERIA)


@every_case
@pytest.mark.parametrize("size", [(7,), (3, 4), (1, 5)], ids=str)
@pytest.mark.parametrize("images", [1, 3])
def test_value(case: Case, size: tuple[int, ...], images: int) -> None:
    if case.maps and len(size) == 1:
        pytest.skip(CELLS)
    given = inputs(case, images=images, size=size)
    assert given.into(case.build()).item() == pytest.approx(by_loops(case, given), rel=1e-9)


@every_masked_case
@pytest.mark.parametrize("size", [(7,), (3, 4)], ids=str)
def test_masked_value(case: Case, size: tuple[int, ...]) -> None:
    if case.maps and len(size) == 1:
        pytest.skip(CELLS)
    given = inputs(case, images=3, size=size, seed=1)
    mask = weights(given.student)
    given = given.with_mask(mask)
    assert (mask == 0).any()
    got = given.into(case.build()).item()
    assert got == pytest.approx(by_loops(case, given), rel=1e-8)  # EPS beside the mask's sum


@cases("selection", masked=True)
def test_a_bool_mask_selects_positions(case: Case) -> None:
    given = inputs(case, images=1, size=(12,))
    mask = torch.arange(12).remainder(3).eq(0).unsqueeze(0)
    chosen = given.positions(mask[0])
    within, alone = (x.into(case.build()) for x in (given.with_mask(mask), chosen))
    torch.testing.assert_close(within, alone, rtol=1e-8, atol=0)
