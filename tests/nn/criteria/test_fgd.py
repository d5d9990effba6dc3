"""Focal and global distillation: its parts, its boxes, its contexts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch._dynamo
from torch import Tensor
from torch.autograd import gradcheck

from kdgraph.nn.criteria import FocalGlobal
from kdgraph.nn.criteria.fgd import Context, focus
from kdgraph.nn.registry import criterion
from tests.nn import naive_learnt

SIZE = (5, 7)
PARTS = {"foreground": 0.3, "background": 0.2, "attention": 0.1, "relation": 0.05}


def module(seed: int = 0, channels: int = 4, **options: Any) -> FocalGlobal:
    """With parameters that are anything but those of a new one."""
    torch.manual_seed(seed)
    loss = FocalGlobal(**options, channels=(channels, channels)).double()
    for parameter in loss.parameters():
        torch.nn.init.normal_(parameter, 0, 0.7)
    return loss


def features(images: int = 3, channels: int = 4, seed: int = 1) -> tuple[Tensor, Tensor]:
    noise = torch.Generator().manual_seed(seed)
    student, teacher = torch.randn(2, images, channels, *SIZE, generator=noise).double()
    return student.clone().requires_grad_(), teacher


def objects(*boxes: tuple[int, float, float, float, float]) -> list[Tensor]:
    """Of (image, centre x, y, width, height)."""
    rows = torch.tensor(boxes, dtype=torch.float64).reshape(-1, 5)
    return [rows[:, 0], torch.zeros(len(rows), 1), rows[:, 1:]]


MANY = objects(
    (0, 0.31, 0.4, 0.33, 0.51),
    (2, 0.5, 0.5, 1.0, 1.0),  # all of it
    (0, 0.4, 0.45, 0.1, 0.12),  # within the first
    (2, 0.93, 0.9, 0.14, 0.2),
    (0, 0.98, 0.02, 0.2, 0.2),  # sticks out
)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("labels", [MANY, objects()], ids=["many", "none"])
def test_value_by_loops(labels: list[Tensor], seed: int) -> None:
    student, teacher = features(seed=seed)
    loss = module(seed, temperature=0.7, **PARTS)
    state = {name: x.tolist() for name, x in loss.state_dict().items()}
    maps = (x.detach().flatten(2).tolist() for x in (student, teacher))
    lists = [x.tolist() for x in labels]
    wanted = naive_learnt.fgd(*maps, [], SIZE, state, lists, temperature=0.7, **PARTS)
    assert loss(student, teacher, objects=labels).item() == pytest.approx(wanted, rel=1e-9)


def test_gradients_are_the_derivatives_with_every_part() -> None:
    student, teacher = features(images=1)
    loss = module(**PARTS)
    one = objects((0, 0.3, 0.4, 0.3, 0.5))
    assert gradcheck(lambda s: loss(s, teacher, objects=one), (student,))


@pytest.mark.parametrize("labels", [MANY, objects()], ids=["many", "none"])
def test_the_parts_add_up(labels: list[Tensor]) -> None:
    student, teacher = features()
    none = dict.fromkeys(PARTS, 0.0)
    parts = [module(**{**none, part: weight}) for part, weight in PARTS.items()]
    together = sum(loss(student, teacher, objects=labels) for loss in parts)
    torch.testing.assert_close(module(**PARTS)(student, teacher, objects=labels), together)


@pytest.mark.parametrize("seed", range(20))
def test_boxes_by_loops(seed: int) -> None:
    noise = torch.Generator().manual_seed(seed)
    count = int(torch.randint(0, 7, (1,), generator=noise))
    image = torch.randint(0, 3, (count,), generator=noise)
    boxes = torch.rand(count, 4, generator=noise).double()
    found = focus(image, boxes, torch.zeros(3, 1, *SIZE, dtype=torch.float64))
    assert found.shape == (3, 1, *SIZE)
    wanted = [naive_learnt.shares(boxes[image == i].tolist(), SIZE) for i in range(3)]
    torch.testing.assert_close(found.flatten(1), torch.tensor(wanted, dtype=torch.float64))


def test_a_box_covers_the_cell_at_its_high_side() -> None:
    """From 2 to 4 cells of 8: floor 2, ceil 4, both in: three columns; from 0.8 to 1.6 rows of 4: 0, 1, 2."""
    found = focus(torch.tensor([0]), torch.tensor([[0.375, 0.3, 0.25, 0.2]]), torch.zeros(1, 1, 4, 8))
    wanted = torch.zeros(4, 8)
    wanted[0:3, 2:5] = 1 / 9
    torch.testing.assert_close(found[0, 0], wanted)


def test_cells_beyond_the_map_are_counted_as_published() -> None:
    found = focus(torch.tensor([0]), torch.tensor([[0.75, 0.75, 0.5, 0.5]]), torch.zeros(1, 1, 4, 4))
    wanted = torch.zeros(4, 4)
    wanted[2:, 2:] = 1 / 9  # columns and rows 2, 3 and 4, of which the last is not there
    torch.testing.assert_close(found[0, 0], wanted)


def test_an_image_that_is_covered_has_no_background() -> None:
    student, teacher = features(images=1)
    only = {**dict.fromkeys(PARTS, 0.0), "background": 1.0}
    loss = module(**only)(student, teacher, objects=objects((0, 0.5, 0.5, 1.0, 1.0)))
    loss.backward()
    assert loss.item() == 0
    assert student.grad is not None
    assert not student.grad.any()


def test_background_does_not_grow_with_the_map() -> None:
    one, other = torch.ones(1, 4, 3, 3), torch.zeros(1, 4, 3, 3)
    loss = module(**{**dict.fromkeys(PARTS, 0.0), "background": 1.0})
    small = loss(one, other, objects=objects())
    large = loss(*(x.repeat(1, 1, 4, 4) for x in (one, other)), objects=objects())
    torch.testing.assert_close(small, large)
    assert small.item() == pytest.approx(4)  # sum over channels, attention of 1 everywhere


def test_the_order_of_objects_does_not_matter() -> None:
    student, teacher = features()
    loss = module(**PARTS)
    turned = [x.flip(0) for x in MANY]
    assert torch.equal(loss(student, teacher, objects=MANY), loss(student, teacher, objects=turned))


def test_classes_are_not_looked_at_and_images_may_be_whole_or_real_numbers() -> None:
    student, teacher = features()
    image, cls, boxes = MANY
    loss = module(**PARTS)
    other = loss(student, teacher, objects=[image.long(), cls + 3, boxes])
    assert torch.equal(other, loss(student, teacher, objects=MANY))


def test_a_new_context_adds_nothing_and_a_trained_one_the_same_to_every_cell() -> None:
    student, _ = features()
    student = student.detach()
    assert torch.equal(Context(4).double()(student), student)
    added = module().student_context(student) - student
    assert added.abs().max() > 0.01
    torch.testing.assert_close(added, added[:, :, :1, :1].expand_as(added))


def test_both_contexts_are_trained_and_the_teacher_s_features_are_not() -> None:
    student, teacher = features()
    teacher.requires_grad_()
    loss = module(**PARTS)
    loss(student, teacher, objects=MANY).backward()
    assert teacher.grad is None
    names = {name.split(".")[0] for name, x in loss.named_parameters() if x.grad is not None}
    assert names == {"student_context", "teacher_context"}
    constant = ("where.bias",)  # a softmax does not see what all positions share
    for name, x in loss.named_parameters():
        assert name.endswith(constant) or (x.grad is not None and x.grad.any()), name


def test_a_new_one_can_leave_its_start() -> None:
    """The last layer of a new context is 0, and has a gradient all the same."""
    student, teacher = features()
    loss = criterion("fgd", channels=(4, 4)).double()
    loss(student, teacher, objects=MANY).backward()
    for side in ("student", "teacher"):
        weight = loss.get_parameter(f"{side}_context.expand.weight")
        assert weight.grad is not None
        assert weight.grad.any()


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_few_and_odd_channels(channels: int) -> None:
    student, teacher = features(channels=channels)
    assert module(channels=channels)(student, teacher, objects=MANY).isfinite()


@pytest.mark.parametrize("labels", [MANY, objects(), objects((1, 0.3, 0.4, 0.3, 0.5))], ids=["5", "0", "1"])
def test_it_is_one_graph_with_any_number_of_objects(labels: list[Tensor]) -> None:
    """Dynamo holds sizes 0 and 1 for constants, so each has a graph of its own."""
    torch._dynamo.reset()
    student, teacher = features()
    loss = module(**PARTS)
    compiled = torch.compile(loss, fullgraph=True, backend="eager", dynamic=True)
    traced, eager = (f(student, teacher, objects=labels) for f in (compiled, loss))
    torch.testing.assert_close(traced, eager, rtol=1e-12, atol=0)
    torch._dynamo.reset()


def test_it_must_be_told_the_channels() -> None:
    with pytest.raises(ValueError, match=r"fgd must be told the channels of student and teacher"):
        FocalGlobal()
    with pytest.raises(ValueError, match="fgd: the student has 4 channels, the teacher 8"):
        criterion("fgd", channels=(4, 8))


def test_it_needs_maps() -> None:
    with pytest.raises(ValueError, match=r"fgd: expected \[B, C, H, W\], got \[3, 4, 35\]"):
        module()(*(x.flatten(2) for x in features()), objects=MANY)
