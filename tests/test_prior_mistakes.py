"""Each mistake of the prior system, moded_YOLO, and that it has not returned."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from kdgraph.compiler.api import compile
from kdgraph.graph.models import build_model
from kdgraph.nn.place import channels_last
from kdgraph.nn.registry import criterion
from kdgraph.spec.moded_yolo import convert
from kdgraph.spec.parse import parse
from kdgraph.spec.schema import ConstantWeight, ModelSpec, Spec
from tests.compiler.pairs import distiller, task_loss
from tests.toys import batch, equal, spec, tensors, toy

PRIOR = """\
  cls: {taps: head.cls.*, criterion: bce, mask: {pyramid: {of: teacher}}}
  dfl: {taps: head.dfl.*, criterion: kl, mask: {foreground: {of: teacher}}}
  m2d2: {taps: head.dfl.*, criterion: {m2d2: {variant: mean_logits}}}
  box: {taps: head.box.*, criterion: box_l2, mask: foreground}
  features: {taps: neck.*, criterion: mimic, mask: foreground, weight: {p3: 0.4, p4: 0.6}}
  attention: {taps: neck.*, criterion: attention}
  gram: {taps: neck.*, criterion: gram_mse}"""
"""What it distilled."""


def converted(flags: str) -> Spec:
    return parse(convert(flags.split()))


def test_m2d2_compares_dfl_bins_and_not_class_logits() -> None:
    noise = torch.Generator().manual_seed(0)
    ours, theirs = torch.randn(2, 2, 20, 3, 4, generator=noise)
    target = torch.zeros(2, 1, 3, 4, dtype=torch.long)
    loss = criterion("m2d2", bins=5)
    scores, others = torch.randn(2, 2, 3, 3, 4, generator=noise)
    value = loss(ours, theirs, teacher_cls=scores, target=target)
    assert value == loss(ours, theirs, teacher_cls=others, target=target)
    assert value != loss(ours, theirs.roll(5, 1), teacher_cls=scores, target=target), "another side's bins"


def test_a_masked_divergence_meets_each_image_with_its_own_mask() -> None:
    ours, theirs = torch.randn(2, 3, 4, 5, 6, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(3, 1, 5, 6)
    mask[0, 0, :2], mask[2, 0, 1:3] = 1, 1
    each = [criterion("kl")(ours[i : i + 1], theirs[i : i + 1], mask[i : i + 1]) for i in (0, 2)]
    torch.testing.assert_close(criterion("kl")(ours, theirs, mask), sum(each) / 2)


def test_l2_alpha_is_read_from_l2_alpha() -> None:
    weight = converted("l2_dist=True l2_alpha=0.3 cls_dist=True cls_alpha=0.7").edges["box"].weight
    assert isinstance(weight, ConstantWeight)
    assert weight.value == pytest.approx(0.3 / 3, rel=1e-4)


def test_a_trailing_comma_switches_nothing_on() -> None:
    assert list(converted("cls_dist=False, dfl_dist=True,").edges) == ["dfl"]


def test_the_teacher_is_in_eval_mode_and_its_batch_norm_does_not_drift() -> None:
    model = distiller(PRIOR, outputs="[teacher]")
    norms = {name: t.clone() for name, t in model.teacher.named_buffers()}
    said = model.train()(batch()).teacher
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    for seed in range(3):
        model(batch(seed=seed)).loss.backward()
        optimizer.step()
    assert equal(model(batch()).teacher, said)
    assert all(torch.equal(t, norms[name]) for name, t in model.teacher.named_buffers())


@pytest.mark.parametrize(("ours", "theirs"), [(8, 16), (16, 8), (8, 24)])
def test_adapters_are_on_the_student_s_side_for_any_widths(ours: int, theirs: int) -> None:
    model = compile(spec(PRIOR), student=toy(ours), teacher=toy(theirs, seed=1))
    convolution = model.adapters["adapter_features_p3_conv1x1"].conv  # type: ignore[union-attr]
    assert convolution.weight.shape[:2] == (2 * theirs, 2 * ours)  # type: ignore[union-attr]
    assert any(p is convolution.weight for p in model.parameters()), "optimised, clipped and reduced"  # type: ignore[union-attr]
    assert "adapters.adapter_features_p3_conv1x1.conv.weight" in model.learnt()
    assert model(batch()).raw["features"].isfinite()


@pytest.mark.parametrize("size", [(64, 64), (96, 160), (160, 32)])
def test_any_image_size(size: tuple[int, int]) -> None:
    out = distiller(PRIOR)(batch(2, size))
    assert all(loss.isfinite() for loss in out.raw.values())


def test_losses_do_not_depend_on_the_batch_size() -> None:
    model = distiller(PRIOR)
    for module in model.student.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()  # else the student itself depends on its batch
    one = batch()
    two = {
        "img": one["img"].repeat(2, 1, 1, 1),
        "batch_idx": torch.cat((one["batch_idx"], one["batch_idx"] + 2)),
        "cls": one["cls"].repeat(2, 1),
        "bboxes": one["bboxes"].repeat(2, 1),
    }
    torch.testing.assert_close(model(two).raw, model(one).raw, rtol=1e-4, atol=1e-6)


def test_losses_are_not_vanishing() -> None:
    raw = distiller(PRIOR)(batch()).raw
    assert {name for name, loss in raw.items() if loss < 1e-3} <= {"box"}, (
        "untrained heads agree on distances"
    )


class HostReads(TorchDispatchMode):
    """Counts the reads of single numbers from a tensor, for which a device must be waited for."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


def test_no_item_in_a_step() -> None:
    model = distiller(PRIOR)
    with HostReads() as reads:
        model(batch()).loss.backward()
    assert reads.count == 0


def test_images_without_objects() -> None:
    model = distiller(PRIOR)
    empty = {name: t if name == "img" else t[:0] for name, t in batch().items()}
    out = model(empty)
    (out.loss + task_loss(model, empty, out.predictions)).backward()
    assert out.raw["m2d2"] == out.raw["box"] == out.raw["features"] == 0
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("task", ["seg", "pose", "obb"])
def test_models_of_other_tasks_keep_their_outputs(task: str) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        one, other = (build_model(ModelSpec(model=f"yolo11{scale}-{task}.yaml"), nc=3) for scale in "ns")
        model = compile(spec(PRIOR.replace("{p3: 0.4, p4: 0.6}", "1")), student=one, teacher=other)
    out = model(batch())
    assert all(loss.isfinite() for loss in out.raw.values())
    expected = one.train()(channels_last(batch()["img"]))
    assert out.predictions.keys() == expected.keys() > {"boxes", "scores", "feats"}
    for ours, theirs in zip(tensors(out.predictions), tensors(expected), strict=True):
        assert isinstance(ours, Tensor)
        torch.testing.assert_close(ours, theirs)
