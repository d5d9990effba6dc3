"""Several teachers, their average, and students that teach themselves."""

from __future__ import annotations

import copy
import math
import operator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kdgraph.compiler.api import compile, plan
from kdgraph.compiler.distiller import Distiller
from kdgraph.errors import GraphError, RunError
from kdgraph.graph.ir import Op
from kdgraph.nn import registry
from kdgraph.spec.parse import parse
from kdgraph.spec.schema import Spec
from tests.compiler.pairs import raw, task_loss
from tests.toys import batch, toy

BOTH = (
    "  a: {taps: neck.p3, criterion: cwd, teacher: big}\n  b: {taps: neck.p4, criterion: cwd, teacher: old}"
)
TWO = "teachers: {big: b.yaml, old: o.yaml}"


def spec(edges: str, teachers: str = TWO, more: str = "") -> Spec:
    return parse(f"student: s.yaml\n{teachers}\n{more}train: {{epochs: 20, imgsz: 64}}\nedges:\n{edges}\n")


def big() -> Any:
    return toy(16, seed=1)


def old() -> Any:
    return toy(12, seed=2)


def two(edges: str, **top: str) -> Distiller:
    more = "".join(f"{key}: {value}\n" for key, value in top.items())
    return compile(spec(edges, more=more), student=toy(), teachers={"big": big(), "old": old()})


def mse(ours: Tensor, theirs: Tensor) -> Tensor:
    return registry.criterion("mimic")(ours, theirs)  # type: ignore[no-any-return]


# -- several --


def test_each_edge_has_its_own_teacher() -> None:
    model = two(
        "  a: {taps: head.box, criterion: mimic, teacher: big}\n"
        "  b: {taps: head.box, criterion: mimic, teacher: old}\n"
        "  c: {taps: neck.*, criterion: cwd, teacher: old}",
        outputs="[taps, teacher]",
    )
    given = batch()
    out = model(given)
    for edge, teacher in (("a", big()), ("b", old())):
        alone = compile(
            spec(f"  {edge}: {{taps: head.box, criterion: mimic}}", "teacher: t.yaml"),
            student=toy(),
            teacher=teacher,
        )(given)
        torch.testing.assert_close(out.raw[edge], alone.raw[edge])
    assert out.teacher.keys() == {"big", "old"}
    torch.testing.assert_close(out.teacher["old"]["scores"], raw(old(), given["img"])["scores"])
    assert not model.state_dict().keys() & {
        name for name in model.state_dict() if name.startswith("teachers")
    }


def test_several_teach_by_their_average() -> None:
    edges = "  e: {taps: head.cls, criterion: bce, teacher: [big, old], mask: %s}"
    given = batch()
    out = two(edges % "all")(given)
    mean = (raw(big(), given["img"])["scores"] + raw(old(), given["img"])["scores"]) / 2
    torch.testing.assert_close(out.raw["e"], registry.criterion("bce")(out.predictions["scores"], mean))
    for mask in ("teacher_score", "score_gap", "top_k", "{foreground: {of: teacher}}", "gi"):
        assert two(edges % mask)(given).raw["e"] > 0


def test_an_average_of_features_is_none() -> None:
    with pytest.raises(GraphError) as caught:
        two("  e: {taps: neck.*, criterion: cwd, teacher: [big, old]}")
    [fault] = caught.value.diagnostics
    assert fault.code == "KD203"
    assert fault.message == "edge 'e': features of several teachers have no common meaning, so no average"
    assert fault.hint == "give each teacher an edge of its own"


def test_teachers_without_a_level_in_common_have_no_average() -> None:
    edges = "  e: {taps: head.cls.*, criterion: bce, teacher: [big, old]}"
    teachers = {"big": toy(16, levels=("p3",)), "old": toy(16, levels=("p4",))}
    with pytest.raises(GraphError) as caught:
        compile(spec(edges), student=toy(), teachers=teachers)
    [fault] = caught.value.diagnostics
    assert fault.message == "edge 'e': no tap of the student has a counterpart in each of big, old"


def test_a_part_that_only_one_teacher_needs_is_pruned_from_the_other() -> None:
    model = two(
        "  a: {taps: neck.p3, criterion: cwd, teacher: big}\n"
        "  b: {taps: head.cls, criterion: bce, teacher: old}"
    )
    assert list(model.teachers) == ["teacher_big", "teacher_old"]
    layers = {name: dict(teacher.named_modules()) for name, teacher in model.teachers.items()}
    assert "model.11" not in layers["teacher_big"]
    assert "model.11.cv3" in layers["teacher_old"]


def test_a_teacher_that_has_ended_goes() -> None:
    model = two(
        "  a: {taps: neck.p3, criterion: cwd, teacher: big, until: 3}\n"
        "  b: {taps: head.cls, criterion: bce, teacher: old}"
    )
    model.retire(3)
    assert list(model.teachers) == ["teacher_old"]
    assert model(batch()).raw.keys() == {"b"}


@pytest.mark.parametrize(
    ("passed", "message"),
    [
        ({"teacher": big}, "a model was passed for the teacher 'teacher'; the spec's teachers are big, old"),
        (
            {"teachers": {"bgi": big}},
            "a model was passed for the teacher 'bgi'; the spec's teachers are big, old",
        ),
    ],
)
def test_models_for_teachers_that_are_not_there(passed: dict[str, Any], message: str) -> None:
    models = {k: v() if callable(v) else {n: m() for n, m in v.items()} for k, v in passed.items()}
    with pytest.raises(GraphError) as caught:
        compile(spec(BOTH), student=toy(), **models)
    assert caught.value.diagnostics[0].message == message


# -- the student's moving average --

EMA = "teacher: student.ema"


def moving(edges: str = "  e: {taps: head.cls, criterion: bce}") -> Distiller:
    return compile(spec(edges, EMA), student=toy())


def test_a_moving_average_follows_the_student() -> None:
    model = moving("  e: {taps: head.cls, criterion: bce}\n  n: {taps: neck.*, criterion: mimic}")
    student = dict(model.student.named_parameters()) | dict(model.student.named_buffers())
    expected = {name: t.detach().clone() for name, t in model.teacher.named_buffers()}
    assert len(expected) > 50
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for step in (1, 2, 3):
        out = model(batch())
        (task_loss(model, batch(), out.predictions) + out.loss).backward()
        optimizer.step()
        optimizer.zero_grad()
        model.update_ema()
        decay = 0.9999 * (1 - math.exp(-step / 2000))
        for name, value in expected.items():
            if value.is_floating_point():
                value.mul_(decay).add_(student[name].detach(), alpha=1 - decay)
            else:
                value.copy_(student[name])
    for name, buffer in model.teacher.named_buffers():
        torch.testing.assert_close(buffer, expected[name])
    assert not torch.equal(expected["model.0.conv.weight"], student["model.0.conv.weight"])


def test_the_teacher_of_the_first_step_is_the_student_in_eval_mode() -> None:
    model, given = moving(), batch()
    out = model(given)
    expected = registry.criterion("bce")(out.predictions["scores"], raw(toy(), given["img"])["scores"])
    torch.testing.assert_close(out.raw["e"], expected)


def test_a_resumed_moving_average_goes_on_where_it_was() -> None:
    model = moving()
    with torch.no_grad():
        for parameter in model.student.parameters():
            parameter.add_(0.1)
    model.update_ema()
    again = moving()
    again.student.load_state_dict(model.student.state_dict())
    again.load_learnt(model.learnt())
    model.update_ema()
    again.update_ema()
    pairs = zip(model.teacher.named_buffers(), again.teacher.named_buffers(), strict=True)
    assert all(torch.equal(one, other) for (_, one), (_, other) in pairs)


def test_a_moving_average_survives_the_end_of_an_edge() -> None:
    model = moving("  a: {taps: neck.p3, criterion: mimic, until: 2}\n  b: {taps: neck.p4, criterion: mimic}")
    with torch.no_grad():
        for parameter in model.student.parameters():
            parameter.add_(0.1)
    model.double().update_ema()
    before = {name: t.clone() for name, t in model.teacher.named_buffers()}
    model.retire(2)
    after = dict(model.teacher.named_buffers())
    assert after
    assert all(torch.equal(t, before[name]) for name, t in after.items())


def test_a_run_that_has_lost_an_edge_resumes() -> None:
    edges = "  a: {taps: neck.p3, criterion: mimic, until: 2}\n  b: {taps: backbone.p3, criterion: mimic}"
    model = moving(edges)
    model.retire(2)
    state = model.learnt()
    again = moving(edges)
    again.load_learnt(state)
    again.retire(2)
    assert again.learnt().keys() == state.keys()
    with pytest.raises(RuntimeError, match="no moving average"):
        again.load_learnt({key: t for key, t in state.items() if not key.startswith("teachers.")})


def test_tensors_that_the_graph_reads_directly_follow_too() -> None:
    class Scaled(nn.Module):
        """A layer with a parameter of its own, as A2C2f has."""

        def __init__(self, like: Any) -> None:
            super().__init__()
            self.i, self.f, self.type, self.np = like.i, like.f, like.type, like.np
            self.conv, self.gamma = like, nn.Parameter(torch.ones(1))

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x) * self.gamma  # type: ignore[no-any-return]

    student = toy()
    student.model[4] = Scaled(student.model[4])
    model = compile(spec("  e: {taps: neck.*, criterion: mimic}", EMA), student=student).double()
    with torch.no_grad():
        student.model[4].gamma.fill_(1e6)
    model.update_ema()
    [read] = [
        n
        for n in model.graph.nodes
        if n.op == "get_attr" and "gamma" in str(n.target) and "teach" in n.target
    ]
    held = model.get_buffer(str(read.target))
    assert held > 2
    assert operator.attrgetter(read.target)(model._graph[0]) is held
    before = model(batch_in(torch.float64)).raw["e"]
    with torch.no_grad():
        held.fill_(1)
    assert model(batch_in(torch.float64)).raw["e"] != before


def batch_in(dtype: torch.dtype) -> dict[str, Tensor]:
    given = batch()
    return {**given, "img": given["img"].to(dtype)}


def test_a_copy_goes_on_alone_and_says_what_it_cannot() -> None:
    model = moving("  a: {taps: neck.p3, criterion: mimic, until: 2}\n  b: {taps: neck.p4, criterion: mimic}")
    copied = copy.deepcopy(model)
    torch.testing.assert_close(copied(batch()).loss, model(batch()).loss)
    assert not {id(p) for p in copied.parameters()} & {id(p) for p in model.parameters()}
    with pytest.raises(RunError, match="a copy of a Distiller cannot compile edges away"):
        copied.retire(2)


def test_batch_norms_of_a_moving_average_are_not_folded() -> None:
    planned = plan(spec("  e: {taps: head.cls, criterion: bce}", EMA), student=toy())
    norms = [
        op
        for op in planned.graph.of(Op).values()
        if op.role == "teacher" and isinstance(op.module, nn.BatchNorm2d)
    ]
    assert norms


def test_without_a_moving_average_nothing_follows() -> None:
    model = two(BOTH)
    before = [t.clone() for t in model.teachers.buffers()]
    with torch.no_grad():
        for parameter in model.student.parameters():
            parameter.add_(1)
    model.update_ema()
    assert all(map(torch.equal, before, model.teachers.buffers()))


# -- the student itself --


def test_deeper_taps_teach_shallower_ones_and_not_the_other_way_round() -> None:
    edges = "  e: {taps: {student: backbone.p4, teacher: neck.p4}, criterion: mimic}"
    model = compile(spec(edges, "teacher: student"), student=toy())
    assert not list(model.teachers)
    out = model(batch())
    out.loss.backward()
    grads = {
        name: p.grad for name, p in model.student.named_parameters() if p.grad is not None and p.grad.any()
    }
    assert any(name.startswith("model.4.") for name in grads)
    assert not any(name.startswith("model.10.") for name in grads), "the deeper tap is a constant"


def test_one_branch_of_the_student_teaches_the_other() -> None:
    edges = "  e: {taps: {student: head.cls, teacher: head.o2o.cls}, criterion: bce, mask: score_gap}"
    student = toy(end2end=True)
    with torch.no_grad():
        for tower in student.model[-1].one2one_cv3:
            tower[-1].bias.add_(1)
    out = compile(spec(edges, "teacher: student"), student=student)(batch())
    ours, theirs = (out.predictions[branch]["scores"] for branch in ("one2many", "one2one"))
    gap = (ours.sigmoid() - theirs.sigmoid()).abs().amax(1).detach()
    torch.testing.assert_close(out.raw["e"], registry.criterion("bce")(ours, theirs, gap))


@pytest.mark.parametrize("edge", ["criterion: pfi", "criterion: gi", "criterion: mimic, mask: score_gap"])
def test_scores_that_are_compared_with_themselves(edge: str) -> None:
    edges = f"  e: {{taps: {{student: backbone.p4, teacher: neck.p4}}, {edge}}}"
    with pytest.raises(GraphError) as caught:
        compile(spec(edges, "teacher: student"), student=toy())
    [fault] = caught.value.diagnostics
    assert fault.code == "KD203"
    assert "weighs by the gap between two models' scores, and these are one: always 0" in fault.message


def test_the_student_beside_another_teacher() -> None:
    edges = (
        "  far: {taps: neck.*, criterion: cwd}\n"
        "  own: {taps: {student: backbone.p4, teacher: neck.p4}, criterion: mimic, teacher: student, "
        "mask: teacher_score}"
    )
    model = compile(spec(edges, "teacher: t.yaml"), student=toy(), teacher=big())
    out = model(batch())
    assert all(value > 0 for value in out.raw.values())
