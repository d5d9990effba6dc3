"""What every criterion promises: shapes, precision, gradients, empty masks."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from tests.nn.cases import CASES, Case, every_case, every_masked_case, pair, weights


@every_case
def test_maps_and_lists_of_anchors_are_worth_the_same(case: Case) -> None:
    student, teacher = pair(case)
    loss = case.build()
    mask = weights(student) if case.masked else None
    flat = None if mask is None else mask.flatten(1)
    as_maps = loss(student, teacher, mask)
    as_anchors = loss(student.flatten(2), teacher.flatten(2), flat)
    torch.testing.assert_close(as_maps, as_anchors, rtol=1e-12, atol=0)


@every_masked_case
def test_a_mask_of_ones_is_no_mask(case: Case) -> None:
    student, teacher = pair(case)
    ones = torch.ones(2, 1, 3, 4, dtype=torch.bool)
    without, within = (case.build()(student, teacher, mask) for mask in (None, ones))
    torch.testing.assert_close(without, within, rtol=1e-9, atol=0)


@every_case
def test_the_teacher_gets_no_gradient(case: Case) -> None:
    student, teacher = pair(case)
    teacher.requires_grad_()
    case.build()(student, teacher).backward()
    assert teacher.grad is None
    assert student.grad is not None
    assert student.grad.abs().max() > 0


@every_case
def test_gradients_are_the_derivatives(case: Case) -> None:
    student, teacher = pair(case, images=1, size=(3,))
    loss, mask = case.build(), weights(student) if case.masked else None
    assert gradcheck(lambda s: loss(s, teacher), (student,))
    assert mask is None or gradcheck(lambda s: loss(s, teacher, mask), (student,))


@every_masked_case
@pytest.mark.parametrize("dtype", [torch.bool, torch.float32], ids=str)
@pytest.mark.parametrize("size", [(12,), (3, 4)], ids=str)
def test_an_empty_mask_gives_zero_and_no_gradient(
    case: Case, dtype: torch.dtype, size: tuple[int, ...]
) -> None:
    student, teacher = pair(case, size=size)
    loss = case.build()(student, teacher, torch.zeros_like(weights(student), dtype=dtype))
    assert loss.requires_grad
    assert loss.item() == 0
    loss.backward()
    assert student.grad is not None
    assert not student.grad.any()  # NaN would be true


@every_case
@pytest.mark.parametrize(
    ("student_dtype", "teacher_dtype", "computed"),
    [
        (torch.float16, torch.float16, torch.float32),
        (torch.bfloat16, torch.float32, torch.float32),
        (torch.float32, torch.float32, torch.float32),
        (torch.float32, torch.float64, torch.float64),
        (torch.float64, torch.bfloat16, torch.float64),
    ],
)
def test_computes_in_float32_at_least(
    case: Case, student_dtype: torch.dtype, teacher_dtype: torch.dtype, computed: torch.dtype
) -> None:
    student, teacher = pair(case)
    student = student.detach().to(student_dtype).requires_grad_()
    teacher = teacher.to(teacher_dtype)
    loss = case.build()(student, teacher)
    assert (loss.dtype, loss.shape) == (computed, ())
    exact = case.build()(student.detach().double(), teacher.double())
    torch.testing.assert_close(loss.double(), exact, rtol=1e-5, atol=1e-7)
    loss.backward()
    assert student.grad is not None
    assert student.grad.dtype == student_dtype


@every_case
def test_autocast_changes_nothing(case: Case) -> None:
    student, teacher = (x.detach().float() for x in pair(case))
    outside = case.build()(student, teacher)
    with torch.autocast("cpu", torch.bfloat16):
        inside = case.build()(student, teacher)
    torch.testing.assert_close(inside, outside, rtol=0, atol=0)


@pytest.mark.parametrize("autocast", [False, True], ids=["plain", "autocast"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("masked", [False, True], ids=["everywhere", "masked"])
@every_case
def test_extreme_values_stay_finite(case: Case, dtype: torch.dtype, masked: bool, autocast: bool) -> None:
    if masked and not case.masked:
        return
    for student, teacher in extremes(case, dtype):
        mask = weights(student.float()) if masked else None
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss = case.build()(student, teacher, mask)
        loss.backward()
        assert loss.isfinite()
        assert student.grad is not None
        assert student.grad.isfinite().all()


def extremes(case: Case, dtype: torch.dtype) -> list[tuple[Tensor, Tensor]]:
    """Pairs of +-1e4 in every combination of signs, constants among them, and all zeros."""
    shape = (2, case.channels, 4, 4)
    alternating = torch.ones(shape).flatten()
    alternating[::3] = -1
    alternating = alternating.view(shape)
    sides = [alternating, -alternating.flip(1), torch.ones(shape), -torch.ones(shape), torch.zeros(shape)]
    values = [(1e4 * x).to(dtype) for x in sides]
    return [(s.clone().requires_grad_(), t) for s in values for t in values]


WRONG_SHAPES = [
    ((2, 4, 3, 4), (2, 4, 4, 3), None, "teacher"),
    ((2, 4, 3, 4), (2, 8, 3, 4), None, "teacher"),
    ((2, 4, 3, 4), (1, 4, 3, 4), None, "teacher"),
    ((2, 4, 3, 4), (2, 4, 12), None, "teacher"),
    ((2, 4), (2, 4), None, r"\[B, C, A\]"),
    ((2, 4, 3, 4, 5), (2, 4, 3, 4, 5), None, r"\[B, C, A\]"),
    ((2, 4, 3, 4), (2, 4, 3, 4), (2, 3, 4), r"must be \[2, 1, 3, 4\]"),
    ((2, 4, 3, 4), (2, 4, 3, 4), (2, 4, 3, 4), r"must be \[2, 1, 3, 4\]"),
    ((2, 4, 3, 4), (2, 4, 3, 4), (1, 1, 3, 4), r"must be \[2, 1, 3, 4\]"),
    ((2, 4, 12), (2, 4, 12), (2, 1, 12), r"must be \[2, 12\]"),
    ((2, 4, 12), (2, 4, 12), (12,), r"must be \[2, 12\]"),
]


@pytest.mark.parametrize(("student", "teacher", "mask", "says"), WRONG_SHAPES)
@every_case
def test_wrong_shapes_are_refused(
    case: Case, student: tuple[int, ...], teacher: tuple[int, ...], mask: tuple[int, ...] | None, says: str
) -> None:
    given = None if mask is None else torch.ones(mask)
    if given is not None and not case.masked:
        says = "takes no mask"
    with pytest.raises(ValueError, match=says):
        case.build()(torch.zeros(student), torch.zeros(teacher), given)


@pytest.mark.parametrize("case", [c for c in CASES if not c.masked], ids=str)
def test_a_mask_is_refused_where_it_has_no_meaning(case: Case) -> None:
    student, teacher = pair(case)
    with pytest.raises(ValueError, match="takes no mask"):
        case.build()(student, teacher, torch.ones(2, 1, 3, 4))
