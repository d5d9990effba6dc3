"""The Distiller keeps every promise of its docstring."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kdgraph.compiler.distiller import Distiller
from kdgraph.errors import RunError
from kdgraph.nn.place import channels_last
from kdgraph.spec.schedule import weights_at
from tests.compiler.pairs import NECK, distiller, raw, student, task_loss, teacher
from tests.toys import SIZE, batch, equal, tensors


@pytest.fixture(scope="module")
def trained() -> Distiller:
    """All edges, all outputs. Tests only call it: its weights stay, its statistics do not."""
    return distiller(outputs="[taps, teacher]")


# -- losses --


def test_losses_are_raw_losses_weighted_and_summed(trained: Distiller) -> None:
    trained.set_epoch(0)
    out = trained(batch())
    assert list(out.losses) == list(out.raw) == list(trained.spec.edges)
    assert all(loss.shape == () and loss.isfinite() and loss > 0 for loss in out.raw.values())
    torch.testing.assert_close(out.loss, sum(out.losses.values()))
    for name, weight in {"mimic": 1, "sl2": 6, "qfl": 0.5, "pkd": 1}.items():
        torch.testing.assert_close(out.losses[name], weight * out.raw[name])
    assert 0.4 * out.raw["cwd"] < out.losses["cwd"] < 0.6 * out.raw["cwd"]


def test_each_loss_is_its_criterion_on_its_taps() -> None:
    import kdgraph

    model = distiller(
        "  a: {taps: head.cls, criterion: qfl}\n  b: {taps: head.dfl.*, criterion: kl}\n"
        "  c: {taps: head.box, criterion: box_l2}",
        outputs="[taps]",
    )
    out = model(batch())
    kl = kdgraph.criterion("kl", bins=16)
    expected = {
        "a": kdgraph.criterion("qfl")(*out.taps["head.cls"]),
        "b": kl(*out.taps["head.dfl.p3"]) + kl(*out.taps["head.dfl.p4"]),
        "c": kdgraph.criterion("box_l2")(*out.taps["head.box"]),
    }
    assert equal(out.raw, expected)


def test_schedules_move_the_weights(trained: Distiller) -> None:
    for epoch in (0, 5, 10, 19):
        trained.set_epoch(epoch)
        for name, edge in trained.spec.edges.items():
            module = trained.edges[f"edge_{name}".replace("-", "_")]
            expected = weights_at(edge, module.levels, epoch, 20)  # type: ignore[arg-type]
            torch.testing.assert_close(module.weights, torch.tensor(expected))
    assert trained(batch()).losses["kl"] == 0, "until: -10 of 20"
    trained.set_epoch(5, 10)
    assert trained.edges["edge_pkd"].weights.tolist() == [0.5, 0.5]
    trained.set_epoch(0)


def test_losses_are_means_over_the_batch() -> None:
    model = distiller(
        "  a: {taps: head.dfl, criterion: kl}\n  b: {taps: neck.p3, criterion: mimic, mask: teacher_score}"
    )
    for module in model.student.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()  # else the student itself depends on its batch
    once = batch()["img"][:1]
    torch.testing.assert_close(model(once).raw, model(once.repeat(3, 1, 1, 1)).raw, rtol=1e-4, atol=1e-6)


# -- predictions, taps, teacher --


def test_predictions_and_statistics_are_the_student_s_own() -> None:
    model, alone = distiller(), student().train()
    found = model(batch()).predictions
    expected = alone(channels_last(batch()["img"]))
    assert found.keys() == expected.keys()
    assert equal(found, expected)
    assert equal(list(model.student.state_dict().values()), list(alone.state_dict().values()))


def test_predictions_differ_from_the_student_s_own_by_rounding_only() -> None:
    torch.testing.assert_close(distiller()(batch()).predictions, student().train()(batch()["img"]))


def test_the_detection_loss_takes_the_predictions() -> None:
    model = distiller()
    assert task_loss(model, batch(), model(batch()).predictions) > 0


def test_taps_are_what_both_models_compute(trained: Distiller) -> None:
    out = trained(batch())
    ours = copy.deepcopy(trained.student)
    theirs = teacher().eval()
    for model, role in ((ours, "student"), (theirs, "teacher")):
        seen: dict[str, Any] = {}
        places = {
            "neck.p3": "model.7",
            "neck.p4": "model.10",
            "backbone.p4": "model.4",
            "head.cls.p3": "model.11.cv3.0",
        }
        for name, path in places.items():
            model.get_submodule(path).register_forward_hook(
                lambda _m, _i, o, name=name, seen=seen: seen.update({name: o})
            )
        with torch.no_grad():
            model(batch()["img"])
        for name, value in seen.items():
            torch.testing.assert_close(getattr(out.taps[name], role), value, rtol=1e-5, atol=1e-5)
    assert list(out.taps) == [
        "neck.p3", "neck.p4", "backbone.p4", "head.cls.p3", "head.cls.p4", "head.cls", "head.dfl",
        "head.box.p3", "head.box.p4", "head.cls.p3.0>head.cls.p3",
    ]  # fmt: skip
    assert not any(pair.teacher.requires_grad for pair in out.taps.values())
    assert all(pair.student.requires_grad for pair in out.taps.values())


def test_the_teacher_s_predictions_are_its_own(trained: Distiller) -> None:
    found, expected = trained(batch()).teacher, raw(teacher(), batch()["img"])
    assert found.keys() == expected.keys()
    for ours, theirs in zip(tensors(found), tensors(expected), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_outputs_that_were_not_asked_for_are_empty() -> None:
    out = distiller(NECK)(batch())
    assert (out.taps, out.teacher) == ({}, None)


def test_one_student_tap_beside_two_of_the_teacher_is_two_pairs() -> None:
    edges = (
        "  a: {taps: neck.p3, criterion: cwd}\n"
        "  b: {taps: {student: neck.p3, teacher: backbone.p3}, criterion: cwd}\n"
        "  c: {taps: neck.p3, criterion: pkd}"
    )
    taps = distiller(edges, outputs="[taps]")(batch()).taps
    assert list(taps) == ["neck.p3", "neck.p3/backbone.p3"]
    one, other = taps.values()
    assert one.student is other.student
    assert not torch.equal(one.teacher, other.teacher)


def test_two_edges_on_one_tap_are_two_losses() -> None:
    model = distiller(
        "  a: {taps: neck.*, criterion: mimic}\n  b: {taps: neck.*, criterion: mimic, weight: 2}"
    )
    out = model(batch())
    torch.testing.assert_close(2 * out.losses["a"], out.losses["b"])
    assert len(model.adapters) == 2, "one adapter a level, shared"


def test_names_that_differ_in_punctuation_only_stay_apart() -> None:
    model = distiller(
        "  a-b: {taps: neck.p3, criterion: sl2}\n"
        "  a_b: {taps: neck.p3, criterion: mimic, adapter: {conv1x1: {norm: true}}, mask: teacher_score}\n"
        "  a-b-: {taps: neck.p3, criterion: cwd}\n"
        "  a_b_: {taps: neck.p3, criterion: cwd, adapter: mlp, weight: 3}"
    )
    out = model(batch())
    assert list(out.losses) == ["a-b", "a_b", "a-b-", "a_b_"]
    assert len({loss.item() for loss in out.raw.values()}) == 4
    torch.testing.assert_close(out.losses["a_b_"], 3 * out.raw["a_b_"])
    assert len(model.adapters) == 3, "a-b and a_b_ share their mlp"


# -- eval --


def test_in_eval_mode_it_is_the_student() -> None:
    model = distiller().eval()
    with torch.no_grad():
        expected = student()(batch()["img"])
        assert equal(model(batch()["img"]), expected)
        assert equal(model(batch()), expected)
    assert isinstance(model.train()(batch()).loss, Tensor)


# -- the teacher --


def test_the_teacher_is_frozen_in_eval_mode_and_in_nobody_s_reach() -> None:
    model = distiller()
    assert not list(model.teacher.parameters())
    assert not model.teacher.state_dict()
    own = {id(p) for part in (model.student, model.adapters, model.edges) for p in part.parameters()}
    assert {id(p) for p in model.parameters()} == own
    assert {name.split(".")[0] for name in model.state_dict()} == {"student", "adapters", "edges"}
    assert model.student.state_dict().keys() == student().state_dict().keys()
    for mode in (True, False, True):
        model.train(mode)
        assert not any(m.training for m in model.teacher.modules())
    nn.Sequential(model).train()
    assert not any(m.training for m in model.teacher.modules())
    model.requires_grad_(True)
    assert not any(t.requires_grad for t in model.teacher.buffers())


def test_steps_move_the_student_and_its_adapters_but_never_the_teacher() -> None:
    model = distiller(outputs="[teacher]")
    before = {name: t.clone() for name, t in model.teacher.named_buffers()}
    ours = {name: t.clone() for name, t in model.named_parameters()}
    said = model(batch()).teacher
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    for step in range(2):
        out = model(batch(seed=step))
        (out.loss + task_loss(model, batch(seed=step), out.predictions)).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert all(torch.equal(t, before[name]) for name, t in model.teacher.named_buffers())
    assert equal(model(batch()).teacher, said)
    still = [name for name, p in model.named_parameters() if torch.equal(p, ours[name]) and p.requires_grad]
    # A bias in front of a batch norm over the batch, or of a mean that is taken off, changes no loss; and
    # fgd's contexts end in weights that are 0 at first.
    assert [name for name in still if not name.endswith("bias") and "_context" not in name] == []


def test_gradients_reach_the_student_and_the_adapters_only() -> None:
    model = distiller()
    images = batch()
    images["img"].requires_grad_(True)
    model(images).loss.backward()
    assert all(p.grad is not None for p in model.adapters.parameters())
    with_gradient = [n for n, p in model.student.named_parameters() if p.grad is not None]
    assert {n.split(".")[1] for n in with_gradient} == {str(i) for i in range(12)} - {"5", "6", "9"}
    assert all(t.grad is None for t in model.teacher.buffers())


def test_a_step_changes_the_very_student_that_was_given() -> None:
    from kdgraph.compiler.api import compile
    from tests.toys import spec

    given = student()
    model = compile(spec(NECK), student=given, teacher=teacher())
    assert model.student is given
    with torch.no_grad():
        next(given.parameters()).zero_()
    images = channels_last(batch()["img"])
    assert torch.equal(model(batch()).predictions["boxes"], given.train()(images)["boxes"])


def test_there_are_no_hooks() -> None:
    given = [student(), teacher()]
    model = distiller()
    model(batch())
    for module in [*model.modules(), *model._graph[0].modules(), *given[0].modules(), *given[1].modules()]:
        hooks = [value for name, value in vars(module).items() if name.endswith("hooks")]
        assert not any(hooks), type(module)


# -- what it takes --


def test_any_batch_and_any_image_size(trained: Distiller) -> None:
    for images, size in ((1, (64, 64)), (3, (96, 32)), (2, (128, 96))):
        out = trained(batch(images, size))
        assert out.predictions["scores"].shape == (images, 3, size[0] * size[1] * 5 // 256)
        assert out.loss.isfinite()


def test_images_alone_where_no_mask_needs_labels() -> None:
    model = distiller("  sl2: {taps: neck.*, criterion: sl2}")
    assert model.labels == ()
    assert torch.equal(model(batch()["img"]).loss, model(batch()).loss)
    assert torch.equal(model({"img": batch()["img"]}).loss, model(batch()).loss)


@pytest.mark.parametrize("missing", [None, "cls", "bboxes", "batch_idx"])
def test_a_mask_that_needs_labels_says_so(trained: Distiller, missing: str | None) -> None:
    given: Any = {name: t for name, t in batch().items() if name != missing} if missing else batch()["img"]
    with pytest.raises(RunError) as caught:
        trained(given)
    assert str(caught.value) == (
        "error[KD504] edges 'cosine', 'bce', 'qfl', 'dkd', 'ddf', 'fgd', 'cross' need labels, "
        "and this batch has none\n"
        "  hint: call it with a dict of img, batch_idx, cls, bboxes, or use others"
    )


def test_a_batch_without_objects(trained: Distiller) -> None:
    empty = batch()
    empty |= {"batch_idx": torch.zeros(0), "cls": torch.zeros(0, 1), "bboxes": torch.zeros(0, 4)}
    out = trained(empty)
    assert all(loss.isfinite() for loss in out.losses.values())
    assert out.raw["bce"] == out.raw["qfl"] == out.raw["cosine"] == 0
    out.loss.backward()
    assert all(p.grad.isfinite().all() for p in trained.parameters() if p.grad is not None)
    trained.zero_grad()


# -- precision and devices --


def test_under_autocast_losses_are_finite_and_close(trained: Distiller) -> None:
    full = trained(batch())
    with torch.autocast("cpu", torch.bfloat16):
        half = trained(batch())
    assert half.predictions["boxes"].dtype == torch.bfloat16
    assert all(loss.isfinite() and loss.dtype == torch.float32 for loss in half.losses.values())
    half.loss.backward()
    trained.zero_grad()
    for name, loss in half.raw.items():
        torch.testing.assert_close(loss, full.raw[name], rtol=0.2, atol=0.05, msg=name)


def test_in_double_precision_everything_is_double() -> None:
    model, images = distiller(outputs="[taps, teacher]"), batch()
    single = model(images)
    model.double()
    images["img"] = images["img"].double()
    out = model(images)
    found = tensors([out.predictions, out.losses, out.loss, out.teacher, [*out.taps.values()]])
    assert {t.dtype for t in found} == {torch.float64}
    assert {t.dtype for t in model.teacher.buffers() if t.is_floating_point()} == {torch.float64}
    torch.testing.assert_close({k: v.float() for k, v in out.raw.items()}, single.raw, rtol=1e-3, atol=1e-5)
    model.float()
    assert model(batch()).loss.dtype == torch.float32


def test_everything_moves_to_a_device() -> None:
    model = distiller().to("meta")
    tensors_ = [
        *model.parameters(),
        *model.buffers(),
        *model._graph[0].parameters(),
        *model._graph[0].buffers(),
    ]
    assert {t.device.type for t in tensors_} == {"meta"}


# -- saving --


def test_a_state_dict_round_trips() -> None:
    model = distiller()
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    model(batch()).loss.backward()
    optimizer.step()
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    again = distiller()
    assert not torch.equal(again(batch()).loss, model(batch()).loss)
    again.load_state_dict(torch.load(file, weights_only=True), strict=True)
    ours, theirs = again(batch(seed=1)), model(batch(seed=1))
    assert equal(ours.losses, theirs.losses)
    assert equal(ours.predictions, theirs.predictions)


def test_sizes_of_the_tests_are_not_square() -> None:
    assert SIZE[0] != SIZE[1]


def test_one_node_tapped_under_two_names_is_returned_under_both() -> None:
    edges = "  a: {taps: neck.p3, criterion: mimic}\n  b: {taps: model.7, criterion: cosine}"
    out = distiller(edges, outputs="[taps]")(batch())
    assert list(out.taps) == ["neck.p3", "model.7"]
    assert out.taps["neck.p3"].student is out.taps["model.7"].student
    assert out.taps["neck.p3"].teacher is out.taps["model.7"].teacher
