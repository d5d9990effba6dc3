"""box_l2 and iou: distances and distributions."""

from __future__ import annotations

import pytest
import torch

from kdgraph.nn.dfl import distances
from kdgraph.nn.registry import criterion


def test_logits_are_compared_by_the_distances_they_expect() -> None:
    student, teacher = torch.randn(2, 3, 64, 9, dtype=torch.float64)
    by_bins = criterion("box_l2", bins=16)(student, teacher)
    by_distance = criterion("box_l2")(distances(student, 16), distances(teacher, 16))
    assert by_bins.item() == by_distance.item()


def test_boxes_one_scale_apart_cost_one() -> None:
    near = torch.zeros(2, 4, 5, 5)
    assert criterion("box_l2", scale=8.0)(near, near + 8).item() == 1


def test_one_bin_means_distances() -> None:
    student, teacher = torch.randn(2, 2, 4, 6)
    assert torch.equal(criterion("box_l2", bins=1)(student, teacher), criterion("box_l2")(student, teacher))


@pytest.mark.parametrize(("channels", "bins"), [(64, None), (64, 1), (4, 16), (60, 16)])
def test_channels_that_are_not_four_sides_are_refused(channels: int, bins: int | None) -> None:
    boxes = torch.zeros(1, channels, 5)
    with pytest.raises(ValueError, match=f"{channels} channels are not 4 sides"):
        criterion("box_l2", bins=bins)(boxes, boxes)


def scores(cells: int, *, ours: float, theirs: float) -> dict[str, torch.Tensor]:
    """Class logits of two classes, the first of the given probabilities."""
    logits = {}
    for name, p in (("student_cls", ours), ("teacher_cls", theirs)):
        logits[name] = torch.full((1, 2, cells), -30.0, dtype=torch.float64)
        logits[name][:, 0] = torch.tensor(p, dtype=torch.float64).logit()
    return logits


def test_iou_of_boxes_by_hand() -> None:
    """A square of side 2 within one of side 4: IoU 1/4, and no room around both that is empty."""
    ones = torch.ones(1, 4, 1, dtype=torch.float64)
    loss = criterion("iou")
    assert loss(ones, 2 * ones, **scores(1, ours=0.9, theirs=0.5)).item() == pytest.approx(0.4 * 0.75)
    # four such cells have scores of 2 together
    alike = loss(ones.expand(1, 4, 4), 2 * ones.expand(1, 4, 4), **scores(4, ours=0.9, theirs=0.5))
    assert alike.item() == pytest.approx(4 * 0.4 * 0.75 / 2)


def test_iou_of_equal_boxes_is_nothing() -> None:
    boxes = 0.5 + 4 * torch.rand(1, 4, 7, dtype=torch.float64)
    student = boxes.clone().requires_grad_()
    loss = criterion("iou")(student, boxes, **scores(7, ours=0.9, theirs=0.5))
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-12)
    assert student.grad is not None
    assert student.grad.abs().max() < 1e-12


def test_iou_counts_nothing_where_the_scores_agree() -> None:
    student, teacher = torch.rand(2, 1, 4, 7, dtype=torch.float64)
    assert criterion("iou")(student, teacher, **scores(7, ours=0.4, theirs=0.4)).item() == 0


@pytest.mark.parametrize("bins", [None, 5])
def test_iou_gives_the_scores_no_gradient(bins: int | None) -> None:
    student, teacher = torch.rand(2, 1, 4 * (bins or 1), 7)
    student.requires_grad_()
    signals = {name: x.requires_grad_() for name, x in scores(7, ours=0.9, theirs=0.5).items()}
    criterion("iou", bins=bins)(student, teacher, **signals).backward()
    assert all(x.grad is None for x in signals.values())
    assert student.grad is not None
    assert student.grad.any()


def test_iou_of_logits_is_that_of_the_distances_they_expect() -> None:
    student, teacher = torch.randn(2, 1, 64, 9, dtype=torch.float64)
    signals = scores(9, ours=0.9, theirs=0.5)
    by_bins = criterion("iou", bins=16)(student, teacher, **signals)
    by_distance = criterion("iou")(distances(student, 16), distances(teacher, 16), **signals)
    assert by_bins.item() == by_distance.item()
