"""Each invariant, broken on purpose."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.fx as fx
from torch import Tensor, nn

from kdgraph.compiler.passes.base import Sequential
from kdgraph.compiler.pipeline import PIPELINE
from kdgraph.graph.ir import Adapter, DistillGraph, Op, Signal, Splice, Tap, Term
from kdgraph.graph.trace import trace_module
from kdgraph.graph.verify import InvariantError, overwritten, verify
from tests.toys import graph

EDGES = (
    "  sl2: {taps: neck.*, criterion: sl2}\n  e: {taps: head.cls.p3, splice: head.cls.p3.0, criterion: qfl}"
)


@pytest.fixture(scope="module")
def sound() -> DistillGraph:
    result, _ = Sequential(PIPELINE).run(graph(EDGES))
    return result


def first(graph: DistillGraph, kind: type) -> str:
    return next(iter(graph.of(kind)))


def _cycle(g: DistillGraph) -> None:
    g.connect("student:model_1_conv", "student:model_0_conv", "arg")


def _no_output(g: DistillGraph) -> None:
    g.remove([g.output("student") or ""])


def _lost_argument(g: DistillGraph) -> None:
    g.disconnect("student:model_1_conv", "arg")


def _tap_of_nothing(g: DistillGraph) -> None:
    g.disconnect(first(g, Tap), "value")


def _tap_of_the_other(g: DistillGraph) -> None:
    tap = first(g, Tap)
    g.disconnect(tap, "value")
    g.connect("teacher:model_7_cv2_act", tap, "value")


def _tap_of_a_tap(g: DistillGraph) -> None:
    tap = first(g, Tap)
    g.add("tap:again", g[tap], value=tap)


def _term_without_teacher(g: DistillGraph) -> None:
    g.disconnect(first(g, Term), "teacher")


def _term_with_two_masks(g: DistillGraph) -> None:
    term = first(g, Term)
    g.connect(g.source(term, "mask") or "", term, "mask")


def _term_that_is_read(g: DistillGraph) -> None:
    g.add("tap:loss", Tap("student", "x", "features", None), value=first(g, Term))


def _blind_adapter(g: DistillGraph) -> None:
    g.disconnect(first(g, Adapter), "teacher")


def _signal_of_nothing(g: DistillGraph) -> None:
    g.disconnect(first(g, Signal), "teacher_branches")


def _blind_splice(g: DistillGraph) -> None:
    g.disconnect(first(g, Splice), "student")


def _spliced_node_without_its_splice(g: DistillGraph) -> None:
    g.disconnect("spliced:e.p3:model_11_cv3_0_1_conv", "arg")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (_cycle, "the graph has a cycle"),
        (_no_output, "the student's output is gone"),
        (_lost_argument, "student:model_1_conv lost its argument model_0_act"),
        (_tap_of_nothing, "tap:sl2:student.neck.p3 reads no operation of the student"),
        (_tap_of_the_other, "tap:sl2:student.neck.p3 reads no operation of the student"),
        (_tap_of_a_tap, "tap:again reads no operation of the student"),
        (_term_without_teacher, "term:sl2.p3 has the inputs ['mask', 'student']"),
        (_term_with_two_masks, "term:sl2.p3 has the inputs ['mask', 'mask', 'student', 'teacher']"),
        (_term_that_is_read, "term:sl2.p3 is read by ['tap:loss']"),
        (_blind_adapter, "does not see a student and a teacher"),
        (_signal_of_nothing, "teacher_score:sl2.p3 has the inputs []"),
        (_blind_splice, "splice:e.p3 does not see a student and a teacher"),
        (_spliced_node_without_its_splice, "spliced:e.p3:model_11_cv3_0_1_conv lost its argument"),
    ],
)
def test_a_broken_graph_names_the_pass_the_vertex_and_the_fault(
    sound: DistillGraph, harm: Callable[[DistillGraph], None], said: str
) -> None:
    broken = sound.copy()
    harm(broken)
    with pytest.raises(InvariantError) as caught:
        verify(broken, after="some_pass")
    assert str(caught.value).startswith("after some_pass: ")
    assert said in str(caught.value)
    verify(sound, after="all passes")


def test_all_faults_are_named_at_once(sound: DistillGraph) -> None:
    broken = sound.copy()
    _tap_of_nothing(broken)
    _blind_adapter(broken)
    with pytest.raises(InvariantError, match=r"reads no operation.*; .*does not see"):
        verify(broken, after="it")


class Writes(nn.Module):
    """`read` is what a tap would point at."""

    def __init__(self, rule: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.read, self.other, self.rule = nn.Identity(), nn.Identity(), rule

    def forward(self, x: Tensor) -> Tensor:
        return self.rule(self.read(x), self.other(x))


def _iadd(x: Tensor, y: Tensor) -> Tensor:
    x += y
    return x


def _iadd_to_other(x: Tensor, y: Tensor) -> Tensor:
    y += x
    return y


@pytest.mark.parametrize(
    ("rule", "written"),
    [
        (_iadd, False),  # torch.fx has no `+=`: Python falls back to `x = x + y`
        (lambda x, y: x.add_(y), True),
        (lambda x, y: x.clamp_(0), True),
        (lambda x, y: nn.functional.silu(x, inplace=True), True),
        (_iadd_to_other, False),
        (lambda x, y: y.add_(x), False),
        (lambda x, y: x + y, False),
        (lambda x, y: x.add(y), False),
        (lambda x, y: nn.functional.silu(x), False),
        (lambda x, y: torch.cat((x, y)), False),
    ],
)
def test_what_overwrites_its_input(rule: Callable[[Tensor, Tensor], Tensor], written: bool) -> None:
    _, paths = trace_module(Writes(rule), "it")
    assert overwritten(paths["read"]) is written


def test_a_tap_that_is_overwritten_is_a_fault(sound: DistillGraph) -> None:
    broken = sound.copy()
    source = broken.source(first(broken, Tap), "value") or ""
    op = broken[source]
    assert isinstance(op, Op)
    copied = fx.Graph()
    copied.call_method("add_", (node := copied.placeholder("x"), 1))
    broken.update(source, node=node)
    with pytest.raises(InvariantError, match="is overwritten in place by a later operation"):
        verify(broken, after="it")
