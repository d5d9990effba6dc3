"""The student's features through the rest of the frozen teacher."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from kdgraph.compiler.api import compile, plan
from kdgraph.compiler.passes.fold_teacher import FoldTeacher
from kdgraph.compiler.passes.splice_teacher import SpliceTeacher
from kdgraph.errors import GraphError
from kdgraph.graph.ir import Adapter, Op, Splice
from tests.compiler.pairs import distiller, student, teacher
from tests.compiler.passes.helpers import applied, until
from tests.toys import batch, graph, spec, toy

CLS = "  cls: {taps: head.cls.*, splice: head.cls.*.0, criterion: qfl}"


def spliced(edges: str) -> list[str]:
    """The paths of the nodes that are computed a second time."""
    result = applied(SpliceTeacher(), until(SpliceTeacher, graph(edges)))
    return [op.path for op in result.graph.ops("teacher").values() if op.splice]


def test_before_and_after() -> None:
    before = until(SpliceTeacher, graph(CLS))
    result = applied(SpliceTeacher(), before)
    assert result.notes == (
        "cls.p3: head.cls.p3.0 through 4 nodes of the teacher to head.cls.p3",
        "cls.p4: head.cls.p4.0 through 4 nodes of the teacher to head.cls.p4",
    )
    after = result.graph
    names = ["conv", "bn", "act"]
    assert spliced(CLS)[:4] == [*(f"model.11.cv3.0.1.{name}" for name in names), "model.11.cv3.0.2"]
    first = "spliced:cls.p3:model_11_cv3_0_1_conv"
    assert after.inputs(first) == [("arg", "splice:cls.p3")]
    assert after.sources("term:cls.p3", "splice") == []
    end = after.tapped(after.source("term:cls.p3", "student") or "")
    assert (end.path, end.splice) == ("model.11.cv3.0.2", "spliced:cls.p3")
    assert after.tapped(after.source("term:cls.p3", "teacher") or "").splice is None


def test_the_weights_are_counted_once() -> None:
    after = applied(SpliceTeacher(), until(SpliceTeacher, graph(CLS))).graph
    twins = [op for op in after.ops("teacher").values() if op.splice]
    assert sum(op.facts.params for op in twins) == 0
    assert sum(op.facts.flops for op in twins) > 0


def test_a_splice_into_all_levels_ends_at_all_anchors() -> None:
    paths = spliced("  e: {taps: head.cls, splice: head.cls.*.0, criterion: qfl}")
    assert {"model.11.cv3.0.2", "model.11.cv3.1.2"} <= set(paths)
    assert paths[-1].startswith("model.11.cat")


def test_a_splice_may_be_anywhere_before_what_is_compared() -> None:
    paths = spliced("  e: {taps: head.dfl.p4, splice: neck.p3, criterion: kl}")
    assert paths[0] == "model.8.conv"
    assert paths[-1] == "model.11.cv2.1.2"


def test_both_calls_of_the_teacher_s_convolutions_are_folded() -> None:
    after = applied(FoldTeacher(), until(FoldTeacher, graph(CLS))).graph
    ops = [op for op in after.ops("teacher").values() if op.path == "model.11.cv3.0.1.conv"]
    assert [op.splice for op in ops] == [None, "spliced:cls.p3"]
    assert ops[0].folded is ops[1].folded is not None
    assert not [op for op in after.ops("teacher").values() if isinstance(op.module, nn.BatchNorm2d)]


def test_a_splice_between_convolution_and_norm_keeps_both() -> None:
    edge = "  e: {taps: head.cls.p3, splice: model.11.cv3.0.1.conv, criterion: qfl}"
    after = applied(FoldTeacher(), until(FoldTeacher, graph(edge))).graph
    norms = [op for op in after.ops("teacher").values() if isinstance(op.module, nn.BatchNorm2d)]
    assert [(op.path, op.splice) for op in norms] == [
        ("model.11.cv3.0.1.bn", None), ("model.11.cv3.0.1.bn", "spliced:e.p3"),
    ]  # fmt: skip
    found = distiller(edge)(batch())
    assert found.loss.isfinite()


def test_widths_that_differ_get_an_adapter_before_the_splice() -> None:
    planned = plan(
        spec("  e: {taps: head.cls.p3, splice: neck.p3, criterion: qfl}"), student=toy(), teacher=toy(16)
    )
    [(key, adapter)] = planned.graph.of(Adapter).items()
    assert (adapter.kind, adapter.channels) == ("conv1x1", (16, 32))
    assert planned.graph.users(key) == ["splice:e.p3"]


def through_teacher(model: nn.Module, features: Tensor, level: int, start: int) -> Tensor:
    """The rest of the teacher's class tower, called by hand."""
    tower = model.eval().model[-1].cv3[level]  # type: ignore[index,union-attr]
    for stage in list(tower)[start:]:
        features = stage(features)
    return features


@pytest.mark.parametrize("standardise", [True, False])
def test_the_value_is_that_of_calling_the_teacher_by_hand(standardise: bool) -> None:
    edge = (
        f"  e: {{taps: head.cls.*, splice: {{at: head.cls.*.0, standardise: {str(standardise).lower()}}}, "
        "criterion: mimic}\n  see: {taps: head.cls.*.0, criterion: cosine}"
    )
    model = distiller(edge, outputs="[taps]")
    out = model(batch())
    for level, name in enumerate(("p3", "p4")):
        ours, theirs = out.taps[f"head.cls.{name}.0"]
        if theirs.shape[1] != ours.shape[1]:
            ours = model.adapters[f"adapter_e_{name}_conv1x1"](ours, theirs)
        if standardise:
            mean, std = ours.mean((0, 2, 3), keepdim=True), ours.std((0, 2, 3), keepdim=True)
            their_mean, their_std = theirs.mean((0, 2, 3), keepdim=True), theirs.std((0, 2, 3), keepdim=True)
            ours = (ours - mean) / (std + 1e-6) * their_std + their_mean
        expected = through_teacher(teacher(), ours, level, 1)
        torch.testing.assert_close(
            out.taps[f"head.cls.{name}.0>head.cls.{name}"].student, expected, rtol=1e-4, atol=1e-4
        )


def test_gradient_reaches_the_student_through_a_teacher_that_stays_frozen() -> None:
    model = distiller(CLS)
    before = {name: t.clone() for name, t in model.teacher.named_buffers()}
    model(batch()).loss.backward()
    reached = {
        n.split(".")[2] for n, p in model.student.named_parameters() if p.grad is not None and "11" in n
    }
    assert reached == {"cv3"}
    towers = [n for n, p in model.student.named_parameters() if p.grad is not None and "model.11." in n]
    assert all(n.split(".")[4] == "0" for n in towers), "only up to where it enters the teacher"
    assert not list(model.teacher.parameters())
    assert all(torch.equal(t, before[name]) for name, t in model.teacher.named_buffers())


def test_the_student_s_own_head_is_not_what_is_compared() -> None:
    one, other = student(), student()
    with torch.no_grad():
        for tower in other.model[-1].cv3:
            tower[-1].weight.add_(1)
    losses = []
    for model in (one, other):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            losses.append(compile(spec(CLS), student=model, teacher=teacher())(batch()).loss)
    assert torch.equal(*losses)


def test_explain_names_the_spliced_nodes() -> None:
    accounts = plan(spec(CLS), student=toy(), teacher=toy(16)).accounts
    [account] = [account for account in accounts if account.name == "splice_teacher"]
    assert account.notes[0].startswith("cls.p3: head.cls.p3.0 through 4 nodes")
    assert account.after[1].flops > account.before[1].flops
    assert account.after[1].params == account.before[1].params


def test_what_is_compared_must_come_after_the_splice() -> None:
    with pytest.raises(GraphError) as caught:
        plan(
            spec("  e: {taps: head.cls.*, splice: head.dfl.*.0, criterion: qfl}"),
            student=toy(),
            teacher=toy(16),
        )
    [fault] = caught.value.diagnostics
    assert fault.code == "KD203"
    assert fault.message == (
        "edge 'e': the teacher's 'head.cls.p3' does not come after 'head.dfl.p3.0', "
        "where the student is spliced in"
    )
    assert fault.span is not None
    assert fault.span.text[fault.span.column - 1 : fault.span.end_column - 1] == "head.dfl.*.0"


def test_a_splice_that_names_nothing_is_told_at_its_place() -> None:
    with pytest.raises(GraphError) as caught:
        plan(
            spec("  e: {taps: head.cls.*, splice: head.clss.*.0, criterion: qfl}"),
            student=toy(),
            teacher=toy(16),
        )
    assert [fault.code for fault in caught.value.diagnostics] == ["KD201"]
    assert "head.clss" in str(caught.value)


def test_the_teacher_given_is_not_changed() -> None:
    given = teacher()
    before = copy.deepcopy(given.state_dict())
    compile(spec(CLS), student=student(), teacher=given)(batch()).loss.backward()
    assert all(torch.equal(value, before[name]) for name, value in given.state_dict().items())
    assert all(p.grad is None for p in given.parameters())


def test_a_splice_is_one_vertex_for_each_entry() -> None:
    after = until(SpliceTeacher, graph("  e: {taps: head.cls, splice: head.cls.*.0, criterion: qfl}"))
    assert list(after.of(Splice)) == ["splice:e.p3", "splice:e.p4"]
    assert after.sources("term:e.head.cls", "splice") == ["splice:e.p3", "splice:e.p4"]
    assert all(isinstance(after[key], Op) for key in after.ops("teacher"))


def test_two_entries_at_one_level_are_two_splices() -> None:
    edge = "  e: {taps: head.cls.p4, splice: [neck.p4, head.cls.p4.0], criterion: qfl}"
    after = applied(SpliceTeacher(), until(SpliceTeacher, graph(edge))).graph
    assert list(after.of(Splice)) == ["splice:e.neck.p4", "splice:e.head.cls.p4.0"]


def test_the_student_need_not_have_what_is_compared() -> None:
    edges = "  e: {taps: head.dfl.*, splice: {student: head.box.*.0, teacher: head.dfl.*.0}, criterion: kl}"
    model = compile(spec(edges), student=toy(reg_max=1), teacher=teacher())
    assert model(batch()).loss.requires_grad


def test_taps_of_the_student_beside_a_splice_are_refused() -> None:
    text = "  e: {taps: {student: head.cls.p3, teacher: head.cls.p4}, splice: neck.p4, criterion: qfl}"
    with pytest.raises(GraphError) as caught:
        plan(spec(text), student=toy(), teacher=toy(16))
    [fault] = caught.value.diagnostics
    assert fault.code == "KD111"
    assert fault.span is not None
    assert fault.span.text[fault.span.column - 1 : fault.span.end_column - 1] == "head.cls.p3"


def test_a_splice_that_another_one_covers_is_refused() -> None:
    text = "  e: {taps: head.cls.p3, splice: [head.cls.p3.0, head.cls.p3.1], criterion: qfl}"
    with pytest.raises(GraphError) as caught:
        plan(spec(text), student=toy(), teacher=toy(16))
    [fault] = caught.value.diagnostics
    assert fault.code == "KD203"
    assert "the splice at 'head.cls.p3.0' has no effect" in fault.message
