"""Features of general instances and their relations, against loops over boxes and points."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck

from kdgraph.nn.registry import criterion
from tests.nn.naive_gi import gi


def pair(size: tuple[int, ...] = (2, 3, 5, 7), seed: int = 0) -> tuple[Tensor, Tensor]:
    noise = torch.Generator().manual_seed(seed)
    student, teacher = torch.randn((2, *size), generator=noise, dtype=torch.float64)
    return student.clone().requires_grad_(), teacher.clone()


def boxes(images: int, count: int, seed: int = 0) -> Tensor:
    """Within the image; each image has one less than the one before, and ends with none."""
    noise = torch.Generator().manual_seed(seed)
    low, size = torch.rand(2, images, count, 2, generator=noise, dtype=torch.float64)
    found = torch.cat((0.7 * low, 0.7 * low + 0.05 + 0.25 * size), 2)
    for image in range(images):
        found[image, max(0, count - 1 - image) :] = 0
    return found


@pytest.mark.parametrize("cells", [1, 3, 10])
@pytest.mark.parametrize("relation", [0.0, 1.0, 20.0])
@pytest.mark.parametrize("size", [(5, 7), (8, 3), (1, 1), (1, 4)], ids=str)
def test_value(size: tuple[int, int], relation: float, cells: int) -> None:
    student, teacher = pair((3, 4, *size))
    instances = boxes(3, 5)
    loss = criterion("gi", cells=cells, relation=relation)
    got = loss(student, teacher, instances=instances)
    lists = (x.detach().flatten(2).tolist() for x in (student, teacher))
    wanted = gi(*lists, None, size=size, instances=instances.tolist(), cells=cells, relation=relation)
    assert got.item() == pytest.approx(wanted, rel=1e-8)


def test_a_box_of_the_whole_map_with_a_point_per_cell_is_the_map() -> None:
    student, teacher = pair((2, 3, 6, 6))
    whole = torch.tensor([[[0.0, 0, 1, 1]]]).repeat(2, 1, 1)
    got = criterion("gi", cells=6)(student, teacher, instances=whole)
    torch.testing.assert_close(got, (student - teacher).square().mean(), rtol=1e-8, atol=0)


def test_relations_are_blind_to_scale_and_count_of_images() -> None:
    student, teacher = pair()
    instances = boxes(2, 5)
    features, both = (criterion("gi", relation=r) for r in (0.0, 1.0))

    def relations(s: Tensor) -> Tensor:
        return both(s, teacher, instances=instances) - features(s, teacher, instances=instances)

    assert relations(student).item() > 1e-3
    torch.testing.assert_close(relations(7 * student), relations(student), rtol=1e-7, atol=0)
    torch.testing.assert_close(relations(3 * teacher), torch.zeros_like(relations(teacher)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("relation", [0.0, 1.0])
def test_no_instance_no_loss(relation: float, dtype: torch.dtype) -> None:
    student, teacher = (x.detach().to(dtype) for x in pair())
    student.requires_grad_()
    loss = criterion("gi", relation=relation)(student, teacher, instances=torch.zeros(2, 10, 4))
    assert loss.item() == 0
    loss.backward()
    assert student.grad is not None
    assert not student.grad.any()  # NaN would be true


def test_images_without_instances_do_not_count() -> None:
    student, teacher = pair()
    instances = boxes(2, 4)
    instances[1] = 0
    loss = criterion("gi")
    both, one = (
        loss(student, teacher, instances=instances),
        loss(student[:1], teacher[:1], instances=instances[:1]),
    )
    torch.testing.assert_close(both, one, rtol=1e-9, atol=0)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_gradients_are_the_derivatives(count: int) -> None:
    student, teacher = pair((2, 2, 3, 4))
    loss = criterion("gi", cells=2, relation=3.0)
    assert gradcheck(lambda s: loss(s, teacher, instances=boxes(2, count)), (student,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
@pytest.mark.parametrize("values", ["alike", "signs", "steps"])
def test_gradients_stay_finite(values: str, dtype: torch.dtype) -> None:
    """Instances that look the same are at distance 0, where the root has no derivative."""
    student = {
        "alike": torch.ones(2, 3, 5, 7),
        "signs": pair()[0].detach().sign(),
        "steps": torch.arange(7.0).div(7).floor().expand(2, 3, 5, 7).clone(),
    }[values]
    student = (1e4 * student).to(dtype).requires_grad_()
    instances = boxes(2, 5)
    instances[0, 1] = instances[0, 0]
    for teacher in (torch.zeros(2, 3, 5, 7), 1e4 * pair()[1].sign().float(), student.detach()):
        loss = criterion("gi")(student, teacher, instances=instances)
        (gradient,) = torch.autograd.grad(loss, student)
        assert loss.isfinite()
        assert gradient.isfinite().all()


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None, derandomize=True)
def test_the_order_of_instances_does_not_matter(seed: int) -> None:
    student, teacher = pair(seed=seed)
    instances, loss = boxes(2, 5, seed), criterion("gi")
    order = torch.randperm(5, generator=torch.Generator().manual_seed(seed))
    as_given, shuffled = (loss(student, teacher, instances=x) for x in (instances, instances[:, order]))
    torch.testing.assert_close(shuffled, as_given, rtol=1e-9, atol=0)
