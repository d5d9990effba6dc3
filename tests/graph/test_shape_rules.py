"""Rules against torch's own meta kernels on any layout, and against what torch really computes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from kdgraph.graph.shape_rules import RULES, ShapeRules

MAP = (2, 6, 8, 12)

TYPICAL: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = [
    *((f, (MAP,), {}) for f in (F.relu, F.silu, torch.sigmoid, Tensor.sigmoid)),
    *((f, (MAP, MAP), {}) for f in (torch.add, Tensor.add, torch.sub, Tensor.sub, torch.mul, Tensor.mul)),
    *((f, (MAP, (6, 1, 1)), {}) for f in (Tensor.mul, Tensor.div, torch.div)),
    *((f, (MAP, 2.5), {}) for f in (Tensor.mul, Tensor.__rsub__)),
    *((f, ((2, 3, 5, 4), (2, 3, 4, 7)), {}) for f in (torch.matmul, Tensor.matmul)),
    (F.softmax, (MAP, -1), {"_stacklevel": 5}),
    *((f, (MAP,), {"dim": 1}) for f in (torch.softmax, Tensor.softmax, torch.sum, Tensor.sum)),
    (torch.cat, ([MAP, (2, 3, 8, 12), MAP],), {"dim": -3}),
    (torch.conv2d, (MAP, (10, 3, 3, 3), (10,), (2, 2), (1, 1), (1, 1), 2), {}),
    (torch.conv2d, (MAP, (10, 6, 3, 1)), {"padding": (0, 1), "dilation": 2}),
    (torch.conv_transpose2d, (MAP, (6, 5, 2, 2), (5,), (2, 2), (0, 0), (0, 0), 1, (1, 1)), {}),
    (torch.conv_transpose2d, (MAP, (6, 5, 3, 2), None, 2, 1, 0, 2, (1, 2)), {}),
    (F.max_pool2d, (MAP, 5), {"stride": 1, "padding": 2, "dilation": 1, "ceil_mode": False}),
    (F.max_pool2d, (MAP, (2, 3)), {}),
    (F.avg_pool2d, (MAP, 2, 1, 0, False, True), {}),
    (F.interpolate, (MAP,), {"scale_factor": 2.0, "mode": "nearest", "align_corners": None}),
    (F.interpolate, (MAP,), {"size": (9, 5)}),
]  # fmt: skip
"""Calls as detectors make them, with shapes in place of tensors."""


def tensors(value: Any, device: str) -> Any:
    """The arguments of a call of `TYPICAL`; pairs of a window are no shapes."""
    if isinstance(value, list):
        return [tensors(part, device) for part in value]
    return torch.rand(value, device=device) if isinstance(value, tuple) and len(value) != 2 else value


def facts(value: Tensor) -> tuple[Any, ...]:
    """Shape, dtype and strides, these where there is a step to make."""
    steps = [stride for size, stride in zip(value.shape, value.stride(), strict=True) if size > 1]
    return tuple(value.shape), value.dtype, steps


@pytest.mark.parametrize(
    ("function", "args", "options"), TYPICAL, ids=lambda value: getattr(value, "__name__", "")
)
def test_a_rule_says_what_torch_computes(function: Any, args: Any, options: Any) -> None:
    real, bare = ([tensors(arg, device) for arg in args] for device in ("cpu", "meta"))
    found = RULES[function](*bare, **options)
    assert found is not None
    assert found.is_meta
    assert facts(found) == facts(function(*real, **options))


def test_every_rule_is_among_these() -> None:
    assert {*RULES} == {function for function, _, _ in TYPICAL} | {torch.arange}


def outcome(call: Callable[[], Tensor]) -> Any:
    try:
        return facts(call())
    except Exception as error:  # which one is compared
        return type(error)


def check(call: Callable[[], Tensor]) -> None:
    with ShapeRules():
        ours = outcome(call)
    assert ours == outcome(call)


SMALL = st.integers(1, 6)
DTYPES = st.sampled_from([torch.float32, torch.float32, torch.float16, torch.int64])


@st.composite
def layouts(draw: st.DrawFn, ndim: int | None = None) -> Tensor:
    """A meta tensor, perhaps a piece of a larger one whose dimensions were moved, or spread out."""
    ndim = draw(st.integers(0, 4)) if ndim is None else ndim
    x = torch.empty(draw(st.lists(SMALL, min_size=ndim, max_size=ndim)), dtype=draw(DTYPES), device="meta")
    if draw(st.booleans()):
        return x
    x = x.permute(draw(st.permutations(range(ndim))))
    for dim in range(ndim):
        start = draw(st.integers(0, x.shape[dim] - 1))
        x = x.narrow(dim, start, draw(st.integers(1, x.shape[dim] - start)))
        if x.shape[dim] == 1 and draw(st.booleans()):
            x = x.expand(*(3 if at == dim else -1 for at in range(ndim)))
    return x


@settings(max_examples=300, deadline=None)
@given(x=layouts(), dim=st.integers(-5, 4))
def test_functions_of_one_tensor(x: Tensor, dim: int) -> None:
    check(lambda: F.silu(x))
    check(lambda: 1 - x)
    check(lambda: x.softmax(dim))
    check(lambda: x.sum(dim))
    check(lambda: x.sum(dim, keepdim=True))


@settings(max_examples=300, deadline=None)
@given(x=layouts(), other=layouts())
def test_functions_of_two_tensors(x: Tensor, other: Tensor) -> None:
    check(lambda: x + other)
    check(lambda: torch.sub(x, other, alpha=2))
    check(lambda: x / other)
    check(lambda: x @ other)
    check(lambda: x @ x.mT if x.ndim > 1 else x)


@settings(max_examples=200, deadline=None)
@given(data=st.data(), x=layouts(), dim=st.integers(-5, 4))
def test_concatenations(data: st.DataObject, x: Tensor, dim: int) -> None:
    part = x.narrow(dim, 0, 1) if -x.ndim <= dim < x.ndim else x
    others = data.draw(st.lists(st.one_of(st.just(x), st.just(part), layouts()), max_size=2))
    check(lambda: torch.cat([x, *others], dim))


MAPS = st.one_of(
    st.builds(lambda *sizes: torch.empty(sizes, device="meta"), SMALL, SMALL, *[st.integers(3, 16)] * 2),
    layouts(ndim=4),
)
SOUND = st.one_of(st.integers(1, 3), st.tuples(st.integers(1, 3), st.integers(1, 3)))
MARGIN = st.one_of(st.integers(0, 1), st.tuples(st.integers(0, 2), st.integers(0, 1)))
ODD = st.one_of(st.integers(-1, 3), st.sampled_from([(1, 2, 3), (0, 1), (-1, 1), 1.0]))
WINDOWS = st.one_of(st.tuples(SOUND, MARGIN, SOUND), st.tuples(ODD, ODD, ODD))
"""Stride, padding and dilation; half of them mistakes."""


@st.composite
def kernels(draw: st.DrawFn, x: Tensor, groups: int, transposed: bool) -> tuple[Tensor, Tensor | None]:
    """Weight and bias for maps like `x`, most of which fit."""
    read = draw(st.sampled_from([x.shape[1], x.shape[1], 2]))
    sizes = (read, draw(SMALL)) if transposed else (draw(SMALL) * groups, max(1, read // max(groups, 1)))
    weight = torch.empty(*sizes, *draw(st.tuples(SMALL, SMALL)), dtype=x.dtype, device="meta")
    count = sizes[1] * groups if transposed else sizes[0]
    bias = torch.empty(draw(st.sampled_from([count, count, 2])), dtype=x.dtype, device="meta")
    return weight, draw(st.sampled_from([None, bias]))


@settings(max_examples=300, deadline=None)
@given(data=st.data(), x=MAPS, window=WINDOWS, groups=st.sampled_from([1, 1, 1, 2, 2, 3, 0, -1]))
def test_convolutions(data: st.DataObject, x: Tensor, window: tuple[Any, ...], groups: int) -> None:
    stride, padding, dilation = window
    weight, bias = data.draw(kernels(x, max(groups, 1), transposed=False))
    check(lambda: torch.conv2d(x, weight, bias, stride, padding, dilation, groups))
    weight, bias = data.draw(kernels(x, max(groups, 1), transposed=True))
    check(lambda: torch.conv_transpose2d(x, weight, bias, stride, padding, 0, groups, dilation))


@settings(max_examples=300, deadline=None)
@given(x=MAPS, kernel=SOUND | ODD, window=WINDOWS, up=st.sampled_from([False, False, True]))
def test_pooling(x: Tensor, kernel: Any, window: tuple[Any, ...], up: bool) -> None:
    stride, padding, dilation = window
    check(lambda: F.max_pool2d(x, kernel, stride, padding, dilation, ceil_mode=up))
    check(lambda: F.avg_pool2d(x, kernel, None, padding, up))


FACTORS = st.one_of(
    st.none(), st.sampled_from([0, 1, 2, 3.0, 0.5, 1.5]), st.tuples(SMALL, SMALL), st.just((1, 2, 3))
)


@settings(max_examples=200, deadline=None)
@given(
    x=MAPS | layouts(),
    size=st.none() | SOUND | ODD,
    factor=FACTORS,
    corners=st.sampled_from([None, None, False]),
)
def test_upsampling(x: Tensor, size: Any, factor: Any, corners: bool | None) -> None:
    check(lambda: F.interpolate(x, size, factor, "nearest", corners))


@given(end=st.integers(-2, 5), dtype=st.sampled_from([None, torch.float32, torch.int64]))
def test_ranges(end: int, dtype: torch.dtype | None) -> None:
    check(lambda: torch.arange(end, dtype=dtype, device="meta"))


def test_what_holds_values_is_computed() -> None:
    x = torch.tensor([[1.0, 2.0]])
    with ShapeRules():
        found = [
            x + x,
            x @ x.mT,
            torch.cat([x, x]),
            torch.arange(2, dtype=torch.float32, device="cpu"),
            F.relu(-x),
        ]
    expected = [[[2, 4]], [[5]], [[1, 2], [1, 2]], [0, 1], [[0, 0]]]
    assert [value.tolist() for value in found] == expected
