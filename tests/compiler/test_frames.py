"""Heads that differ are compared where they agree: each against the same done by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from kdgraph.compiler.api import compile, plan
from kdgraph.compiler.distiller import Distiller
from kdgraph.errors import GraphError
from kdgraph.graph.ir import Align
from kdgraph.nn import registry
from kdgraph.nn.align import enclosing, rebinned
from kdgraph.nn.signals import target_boxes
from kdgraph.spec.parse import parse
from tests.compiler.pairs import raw
from tests.toys import SIZE, batch, spec, toy

ANIMALS = ("cat", "dog", "bird")


def with_names(model: Any, *names: str) -> Any:
    model.names = dict(enumerate(names))
    return model


def distiller(edges: str, student: Any, teacher: Any, line: str = "toy-teacher.yaml") -> Distiller:
    return compile(spec(edges, teacher=line, outputs="taps"), student=student, teacher=teacher)


def logits(model: Any, images: Tensor) -> Tensor:
    """The class logits [B,nc,A] of a frozen model."""
    found = raw(model, images)
    return found.get("one2many", found)["scores"]  # type: ignore[no-any-return]


def bce(student: Tensor, teacher: Tensor) -> Tensor:
    return registry.criterion("bce")(student, teacher)  # type: ignore[no-any-return]


# -- classes --


def test_classes_of_equal_names_are_compared_whatever_their_order() -> None:
    student, teacher = (
        with_names(toy(), *ANIMALS),
        with_names(toy(16, nc=5, seed=1), "cow", "Bird", "dog", "cat", "fly"),
    )
    model, given = distiller("  e: {taps: head.cls, criterion: bce}", student, teacher), batch()
    out = model(given)
    expected = bce(out.predictions["scores"], logits(teacher, given["img"])[:, [3, 2, 1]])
    torch.testing.assert_close(out.raw["e"], expected)


def test_classes_that_the_teacher_does_not_know_are_left_out_and_told() -> None:
    student, teacher = with_names(toy(), *ANIMALS), with_names(toy(16, nc=2, seed=1), "bird", "cat")
    edges = "  e: {taps: head.cls, criterion: bce}\n  d: {taps: head.cls, criterion: dkd, mask: all}"
    planned = plan(spec(edges), student=student, teacher=teacher)
    unknown = "classes are compared without dog, unknown to the teacher"
    assert planned.graph.left_out == (unknown,)
    given = batch()
    out = planned.lower()(given)
    ours, theirs = out.predictions["scores"][:, [0, 2]], logits(teacher, given["img"])[:, [1, 0]]
    torch.testing.assert_close(out.raw["e"], bce(ours, theirs))
    assert out.raw["d"] > 0


def test_labels_are_renumbered_with_the_classes() -> None:
    """Beside a teacher of the classes 1 and 2 alone, dkd sees the objects of these classes alone."""
    student, teacher = with_names(toy(), *ANIMALS), with_names(toy(16, nc=2, seed=1), "dog", "bird")
    edges, given = "  d: {taps: head.cls, criterion: dkd}", batch()
    out = distiller(edges, student, teacher)(given)
    given["cls"] = torch.zeros(3, 1)  # cats: the teacher has never seen one
    alone = distiller(edges, student, teacher)(given)
    assert out.raw["d"] > 0
    assert alone.raw["d"] == 0


def test_a_class_map_adds_to_equal_names_and_joins_classes() -> None:
    student = with_names(toy(), "vehicle", "dog", "rider")
    teacher = with_names(toy(16, nc=4, seed=1), "dog", "car", "truck", "person")
    line = "{model: t.yaml, classes: {car: vehicle, truck: vehicle, 3: rider}}"
    model, given = distiller("  e: {taps: head.cls, criterion: bce}", student, teacher, line), batch()
    out, theirs = model(given), logits(teacher, given["img"])
    joined = torch.stack((theirs[:, 1:3].amax(1), theirs[:, 0], theirs[:, 3]), 1)
    torch.testing.assert_close(out.raw["e"], bce(out.predictions["scores"], joined))


def test_unknown_classes_of_a_map_are_told_with_the_way_out() -> None:
    line = "{model: t.yaml, classes: {car: vehicle, trcuk: dog}}"
    given = spec("  e: {taps: neck.*, criterion: cwd}", teacher=line)
    student = with_names(toy(), *ANIMALS)
    with pytest.raises(GraphError) as caught:
        plan(given, student=student, teacher=with_names(toy(16), "car", "truck", "dog"))
    found = {(d.code, d.message, d.hint) for d in caught.value.diagnostics}
    assert found == {
        ("KD204", "classes: the student has no class 'vehicle'", "its classes are cat, dog, bird"),
        ("KD204", "classes: the teacher has no class 'trcuk'", "did you mean 'truck'?"),
    }


def test_as_many_nameless_classes_go_by_number() -> None:
    planned = plan(
        spec("  e: {taps: head.cls, criterion: bce}"), student=with_names(toy(), *ANIMALS), teacher=toy(16)
    )
    assert not planned.graph.of(Align)


def test_masks_by_the_teacher_s_score_need_no_common_class() -> None:
    edges = (
        "  e: {taps: neck.*, criterion: sl2}\n  b: {taps: head.box, criterion: box_l2, mask: teacher_score}"
    )
    out = distiller(edges, toy(), toy(16, nc=5, seed=1))(batch())
    assert all(value > 0 for value in out.raw.values())


def test_labels_behind_a_splice_have_the_teacher_s_numbers() -> None:
    """The student's order of its classes does not matter to what the teacher makes of its features."""
    teacher = with_names(toy(16, seed=1), "bird", "cat", "dog")
    edges = "  e: {taps: head.cls, splice: head.cls.*.0, criterion: nkd, mask: {foreground: {of: teacher}}}"
    given = batch()
    losses = []
    for names, labels in (
        (ANIMALS, given["cls"]),
        (("bird", "cat", "dog"), torch.tensor([[2.0], [0.0], [1.0]])),
    ):
        student = with_names(toy(), *names)
        torch.manual_seed(0)  # of the adapters
        losses.append(distiller(edges, student, teacher)({**given, "cls": labels}).raw["e"])
    assert losses[0] > 0
    torch.testing.assert_close(*losses)


def test_objects_of_classes_that_the_teacher_does_not_know_are_not_ranked() -> None:
    student, teacher = with_names(toy(), *ANIMALS), with_names(toy(16, nc=2, seed=1), "dog", "bird")
    given = {**batch(), "cls": torch.zeros(3, 1)}
    assert distiller("  e: {taps: head.cls, criterion: rank}", student, teacher)(given).raw["e"] == 0


def test_scores_of_several_teachers_without_a_common_class_have_no_average() -> None:
    edges = "  e: {taps: head.box, criterion: box_l2, mask: teacher_score, teacher: [a, b]}"
    given = parse(
        f"student: s.yaml\nteachers: {{a: a.yaml, b: b.yaml}}\ntrain: {{imgsz: 64}}\nedges:\n{edges}\n"
    )
    with pytest.raises(GraphError) as caught:
        compile(given, student=toy(), teachers={"a": toy(nc=5), "b": toy(nc=4)})
    assert "averages the scores of several teachers, which have no class in common" in str(caught.value)


# -- bins --


@pytest.mark.parametrize(("ours", "theirs"), [(8, 16), (16, 8)])
def test_distributions_are_compared_over_the_student_s_bins(ours: int, theirs: int) -> None:
    student, teacher = toy(reg_max=ours), toy(16, reg_max=theirs, seed=1)
    model, given = distiller("  e: {taps: head.dfl, criterion: kl}", student, teacher), batch()
    out = model(given)
    resampled = rebinned(raw(teacher, given["img"])["boxes"], theirs, ours)
    expected = registry.criterion("kl", bins=ours)(out.predictions["boxes"], resampled)
    torch.testing.assert_close(out.raw["e"], expected)


def test_an_assignment_by_a_teacher_of_other_bins() -> None:
    edges = "  e: {taps: head.box, criterion: box_l2, mask: {foreground: {of: teacher}}}"
    student, given = toy(), batch()
    found = [distiller(edges, student, toy(16, reg_max=bins, seed=1))(given).raw["e"] for bins in (16, 32, 1)]
    assert all(value > 0 for value in found)


# -- levels --


def test_levels_are_matched_by_stride_along_the_anchors() -> None:
    student, teacher = toy(), toy(16, p5=True, seed=1)
    edges = (
        "  e: {taps: head.cls, criterion: bce}\n"
        "  f: {taps: head.cls, criterion: bce, mask: {foreground: {of: teacher}}}"
    )
    given = batch()
    out = distiller(edges, student, teacher)(given)
    theirs = logits(teacher, given["img"])
    torch.testing.assert_close(out.raw["e"], bce(out.predictions["scores"], theirs[..., :120]))
    assert out.raw["f"] > 0
    other = distiller(edges.replace("teacher", "student"), teacher, student)(given)
    torch.testing.assert_close(
        other.raw["e"], bce(other.predictions["scores"][..., :120], logits(student, given["img"]))
    )
    assert other.raw["f"] > 0


def test_no_level_in_common() -> None:
    edges = "  e: {taps: head.cls, criterion: bce}"
    with pytest.raises(GraphError, match="'e': the heads have no level in common: p3 and p4"):
        plan(spec(edges), student=toy(levels=("p3",)), teacher=toy(16, levels=("p4",)))


# -- images --


def test_a_teacher_at_another_size_sees_the_images_resized() -> None:
    student, teacher, given = toy(), toy(16, seed=1), batch()
    edges = (
        "  cls: {taps: head.cls.*, criterion: bce}\n"
        "  all: {taps: head.cls, criterion: bce}\n"
        "  box: {taps: head.box.*, criterion: box_l2}\n"
        "  dfl: {taps: head.dfl, criterion: kl}\n"
        "  neck: {taps: neck.*, criterion: mimic, adapter: conv1x1}"
    )
    line = "{model: t.yaml, imgsz: 128}"
    model = distiller(edges, student, teacher, line)
    out = model(given)
    larger = interpolate(given["img"], scale_factor=2, mode="bilinear")
    theirs = raw(teacher, larger)
    level = theirs["scores"][..., : 16 * 24].reshape(2, 3, 16, 24)
    level = interpolate(level, (8, 12), mode="bilinear")
    torch.testing.assert_close(out.taps["head.cls.p3"].teacher.shape[2:], torch.Size((16, 24)))
    ours = out.predictions["scores"][..., :96].reshape(2, 3, 8, 12)
    below = interpolate(theirs["scores"][..., 16 * 24 :].reshape(2, 3, 8, 12), (4, 6), mode="bilinear")
    expected = bce(ours, level) + bce(out.predictions["scores"][..., 96:].reshape(2, 3, 4, 6), below)
    torch.testing.assert_close(out.raw["cls"], expected)
    joined = torch.cat((level.flatten(2), below.flatten(2)), 2)
    torch.testing.assert_close(out.raw["all"], bce(out.predictions["scores"], joined))
    assert all(bool(value.isfinite()) and value > 0 for value in out.raw.values())


def test_one_object_has_one_distance_at_either_size() -> None:
    """The same model on images twice as large: half a stride's distance there is a whole one's here."""
    student, given = toy(), batch()
    line = "{model: t.yaml, imgsz: 128}"
    model = compile(
        spec("  e: {taps: head.box, criterion: box_l2}", teacher=line), student=student, teacher=toy(seed=1)
    )
    align = [
        dict(a.options).get("scale")
        for a in plan(model.spec, student=student, teacher=toy()).graph.of(Align).values()
    ]
    assert 0.5 in align
    assert model(given).raw["e"] > 0


# -- all at once --


def test_all_of_it_compiles_to_one_graph() -> None:
    """Other levels, classes, bins, branches and images, under torch.compile as without it."""
    student = with_names(toy(end2end=True), *ANIMALS)
    teacher = with_names(toy(16, nc=2, reg_max=8, end2end=True, p5=True, seed=1), "bird", "cat")
    edges = (
        "  cls: {taps: [head.cls, head.o2o.cls], criterion: qfl, mask: score_gap}\n"
        "  dkd: {taps: head.cls.p3, criterion: dkd}\n"
        "  dfl: {taps: head.dfl, criterion: kl, mask: teacher_score}\n"
        "  neck: {taps: neck.p4, criterion: mimic}"
    )
    model = distiller(edges, student, teacher, "{model: t.yaml, imgsz: 96}")
    given = batch()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    found, expected = compiled(given), model(given)
    for name, value in expected.raw.items():
        torch.testing.assert_close(found.raw[name], value)
        assert value.isfinite()
        assert value > 0
    smaller = batch(size=(64, 64))
    torch.testing.assert_close(compiled(smaller).loss, model(smaller).loss)


def test_features_where_the_heads_have_no_level_keep_the_teacher_s_size() -> None:
    edges = "  e: {taps: backbone.p2, criterion: mimic}"
    model = distiller(edges, toy(), toy(16, seed=1), "{model: t.yaml, imgsz: 128}")
    assert "regridded" not in model.code
    assert model(batch()).raw["e"] > 0


def test_a_teacher_of_larger_stride_takes_batches_that_only_the_student_would() -> None:
    """Planned at 64 pixels, a multiple of both strides; a batch of 80 is one of the student's alone."""
    student, teacher = toy(), toy(16, p5=True, seed=1)
    edges = (
        "  cls: {taps: head.cls, criterion: bce}\n  box: {taps: head.box.*, criterion: box_l2}\n"
        "  neck: {taps: neck.*, criterion: cwd}"
    )
    model = distiller(edges, student, teacher)
    plain, odd = model(batch(size=(64, 64))), model(batch(size=(80, 112)))
    assert all(value.isfinite() and value > 0 for value in odd.raw.values())
    theirs = logits(teacher, batch(size=(64, 64))["img"])
    torch.testing.assert_close(plain.raw["cls"], bce(plain.predictions["scores"], theirs[..., :80]))


# -- what only looks alike --


@pytest.mark.parametrize("tap", ["head.dfl", "head.box.*"])
def test_upright_and_turned_sides(tap: str) -> None:
    edges = f"  e: {{taps: '{tap}', criterion: box_l2}}"
    with pytest.raises(GraphError) as caught:
        plan(spec(edges), student=toy(), teacher=toy(16, task="obb"))
    assert "is along turned sides in one model, along upright ones in the other" in str(caught.value)


def test_a_recipe_compares_no_upright_with_turned_boxes() -> None:
    given = parse("student: s.yaml\nteacher: t.yaml\ntrain: {imgsz: 64}\nedges: default\n")
    planned = plan(given, student=toy(), teacher=toy(16, task="obb"))
    assert list(planned.graph.spec.edges) == ["neck", "cls"]


def test_box_targets_of_turned_boxes_are_along_their_sides() -> None:
    """A box of 48x16 pixels turned by a right angle: its head's distances are those of the upright one."""
    maps = [torch.zeros(1, 1, 8, 8)]
    upright = torch.tensor([[0.5, 0.5, 0.75, 0.25]])
    target = torch.zeros(1, 64, dtype=torch.int64)
    quarter = torch.cat((upright, torch.tensor([[torch.pi / 2]])), 1)
    flat = target_boxes(target, upright, maps, [8])[0].reshape(4, 8, 8)
    turned = target_boxes(target, quarter, maps, [8])[0].reshape(4, 8, 8)
    torch.testing.assert_close(turned, flat.flip(1).transpose(1, 2))


# -- boxes around rotated ones --


def test_enclosing_is_what_objects_of_rotated_boxes_are() -> None:
    boxes = torch.tensor([[0.5, 0.5, 0.4, 0.1, 0.0], [0.5, 0.5, 0.4, 0.1, torch.pi / 2]])
    found = enclosing(boxes, torch.zeros(1, 3, *SIZE))
    torch.testing.assert_close(found[0], boxes[0, :4])
    height, width = SIZE
    torch.testing.assert_close(found[1, 2:], torch.tensor([0.1 * height / width, 0.4 * width / height]))
