"""What every criterion promises: shapes, precision, gradients, empty masks."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from tests.nn.cases import CASES, CELLS, Case, cases, every_case, every_masked_case, inputs, read, weights


@cases("anchors")
def test_maps_and_lists_of_anchors_are_worth_the_same(case: Case) -> None:
    given = inputs(case)
    given = given.with_mask(weights(given.student) if case.masked else None)
    as_maps, as_anchors = (x.into(case.build()) for x in (given, given.anchors()))
    torch.testing.assert_close(as_maps, as_anchors, rtol=1e-12, atol=0)


@every_masked_case
def test_a_mask_of_ones_is_no_mask(case: Case) -> None:
    given = inputs(case)
    ones = torch.ones(2, 1, 3, 4, dtype=torch.bool)
    without, within = (given.with_mask(mask).into(case.build()) for mask in (None, ones))
    torch.testing.assert_close(without, within, rtol=1e-9, atol=0)


@every_case
def test_the_teacher_gets_no_gradient(case: Case) -> None:
    given, criterion = inputs(case), case.build()
    signals = {name: x for name, x in given.signals.items() if isinstance(x, Tensor)}
    constants = [given.teacher, *(x for name, x in signals.items() if name not in criterion.learns)]
    learning = [given.student, *(signals[name] for name in criterion.learns)]
    for x in (*constants, *learning):
        x.requires_grad_(x.is_floating_point())
    given.into(criterion).backward()
    assert all(x.grad is None for x in constants)
    assert all(x.grad is not None and x.grad.abs().max() > 0 for x in learning)


@cases("derivative")
def test_gradients_are_the_derivatives(case: Case) -> None:
    given = inputs(case, images=1, size=(1, 3) if case.maps else (3,))
    for mask in (None, weights(given.student)) if case.masked else (None,):
        masked = given.with_mask(mask)
        assert gradcheck(lambda s, x=masked: replace(x, student=s).into(case.build()), (given.student,))


@every_masked_case
@pytest.mark.parametrize("dtype", [torch.bool, torch.float32], ids=str)
@pytest.mark.parametrize("size", [(12,), (3, 4)], ids=str)
def test_an_empty_mask_gives_zero_and_no_gradient(
    case: Case, dtype: torch.dtype, size: tuple[int, ...]
) -> None:
    if case.maps and len(size) == 1:
        pytest.skip(CELLS)
    given = inputs(case, size=size)
    loss = given.with_mask(torch.zeros_like(weights(given.student), dtype=dtype)).into(case.build())
    assert loss.requires_grad
    assert loss.item() == 0
    loss.backward()
    assert given.student.grad is not None
    assert not given.student.grad.any()  # NaN would be true


@pytest.mark.parametrize("case", [c for c in CASES if c.info.reads], ids=str)
def test_a_batch_without_objects_is_finite(case: Case) -> None:
    given = inputs(case)
    given = replace(given, signals=read(case, given.student, counts=(0,)))
    loss = given.into(case.build())
    loss.backward()
    assert loss.isfinite()
    assert given.student.grad is not None
    assert given.student.grad.isfinite().all()
    if {"label", "target"} & set(
        case.info.reads
    ) and case.name != "ddf":  # which has a part for the background
        assert loss.item() == 0
        assert not given.student.grad.any()


@cases("precision")
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
    given = inputs(case)
    student = given.student.detach().to(student_dtype).requires_grad_()
    given = replace(given, student=student, teacher=given.teacher.to(teacher_dtype))
    loss = given.into(case.build(computed))
    assert (loss.dtype, loss.shape) == (computed, ())
    exact = replace(given, student=student.detach().double(), teacher=given.teacher.double())
    torch.testing.assert_close(loss.double(), exact.into(case.build()), rtol=1e-5, atol=1e-7)
    loss.backward()
    assert student.grad is not None
    assert student.grad.dtype == student_dtype


@every_case
def test_autocast_changes_nothing(case: Case) -> None:
    given = inputs(case)
    given = replace(given, student=given.student.detach().float(), teacher=given.teacher.float())
    outside = given.into(case.build(torch.float32))
    with torch.autocast("cpu", torch.bfloat16):
        inside = given.into(case.build(torch.float32))
    torch.testing.assert_close(inside, outside, rtol=0, atol=0)


@pytest.mark.parametrize("autocast", [False, True], ids=["plain", "autocast"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("masked", [False, True], ids=["everywhere", "masked"])
@cases("extremes")
def test_extreme_values_stay_finite(case: Case, dtype: torch.dtype, masked: bool, autocast: bool) -> None:
    if masked and not case.masked:
        return
    for student, teacher in extremes(case, dtype):
        mask = weights(student.float()) if masked else None
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss = case.build(torch.float32)(student, teacher, mask, **read(case, student))
        loss.backward()
        assert loss.isfinite()
        assert student.grad is not None
        assert student.grad.isfinite().all()


def extremes(case: Case, dtype: torch.dtype) -> list[tuple[Tensor, Tensor]]:
    """Pairs of +-1e4 in every combination of signs, constants among them, and all zeros."""
    ours, theirs = (_extremes(channels, dtype) for channels in case.both_channels)
    return [(s.clone().requires_grad_(), t) for s in ours for t in theirs]


def _extremes(channels: int, dtype: torch.dtype) -> list[Tensor]:
    shape = (2, channels, 4, 4)
    alternating = torch.ones(shape).flatten()
    alternating[::3] = -1
    alternating = alternating.view(shape)
    values = [alternating, -alternating.flip(1), torch.ones(shape), -torch.ones(shape), torch.zeros(shape)]
    return [(1e4 * x).to(dtype) for x in values]


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
    if student[1] != teacher[1] and not case.info.channels:
        pytest.skip("the two sides may differ in channels")
    if given is not None and not case.masked:
        says = "takes no mask"
    with pytest.raises(ValueError, match=says):
        case.build()(torch.zeros(student), torch.zeros(teacher), given)


@pytest.mark.parametrize("case", [c for c in CASES if not c.masked], ids=str)
def test_a_mask_is_refused_where_it_has_no_meaning(case: Case) -> None:
    with pytest.raises(ValueError, match="takes no mask"):
        inputs(case).with_mask(torch.ones(2, 1, 3, 4)).into(case.build())
