"""Batches, turns and comparisons of tools/bench."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

CPU = torch.device("cpu")


def test_synthetic_batches_are_of_their_seed_and_fit_their_images() -> None:
    from bench_batch import synthetic_batch

    batch = synthetic_batch(200, 32, 3, seed=4)
    again, other = synthetic_batch(200, 32, 3, seed=4), synthetic_batch(200, 32, 3, seed=5)
    assert all(torch.equal(batch[name], again[name]) for name in batch)
    assert not torch.equal(batch["img"], other["img"])
    assert batch["img"].shape == (200, 3, 32, 32)
    assert 0 <= float(batch["img"].min()) < float(batch["img"].max()) <= 1
    centres, sides = batch["bboxes"].split(2, 1)
    assert bool((centres - sides / 2 >= -1e-6).all())
    assert bool((centres + sides / 2 <= 1 + 1e-6).all())
    assert set(batch["cls"].flatten().tolist()) == {0.0, 1.0, 2.0}
    counts = torch.bincount(batch["batch_idx"].long(), minlength=200)
    assert int(counts.min()) >= 1
    assert 5 < float(counts.float().mean()) < 9


def test_images_of_a_folder_are_letterboxed_with_their_boxes(tmp_path: Path) -> None:
    from bench_batch import folder_batch

    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[5:15, 10:30] = 255  # the box
    Image.fromarray(pixels).save(tmp_path / "images" / "a.png")
    Image.fromarray(pixels[:, :20]).save(tmp_path / "images" / "b.png")
    (tmp_path / "labels" / "a.txt").write_text("1 0.5 0.5 0.5 0.5\n")
    batch = folder_batch(tmp_path / "images", 3, 40, classes=2)
    assert batch["batch_idx"].tolist() == [0.0, 2.0]  # b has none, then a again
    assert batch["cls"].tolist() == [[1.0], [1.0]]
    x, y, w, h = (40 * batch["bboxes"][0]).round().int().tolist()
    inside = batch["img"][0, :, y - h // 2 : y + h // 2, x - w // 2 : x + w // 2]
    assert (w, h) == (20, 10)
    assert float(inside.min()) == 1.0
    assert float(batch["img"][0, 0, 0, 0]) == pytest.approx(114 / 255)
    with pytest.raises(ValueError, match="class 1, the student 1"):
        folder_batch(tmp_path / "images", 1, 40, classes=1)
    with pytest.raises(ValueError, match="no images"):
        folder_batch(tmp_path / "labels", 1, 40, classes=1)


def test_arms_take_turns_and_each_begins_a_round() -> None:
    from bench_timing import alternate

    ran: list[str] = []
    steps = {name: (lambda name=name: ran.append(name)) for name in "abc"}
    times = alternate(steps, CPU, rounds=3, warmup=1)
    assert "".join(ran) == "abc" + "abc" + "bca" + "cab"
    assert {name: len(found) for name, found in times.items()} == {"a": 3, "b": 3, "c": 3}


def test_time_ends_the_rounds_but_not_before_the_third() -> None:
    from time import sleep

    from bench_timing import alternate

    assert len(alternate({"a": lambda: sleep(0.01)}, CPU, seconds=1e-6)["a"]) == 3
    assert len(alternate({"a": lambda: sleep(0.01)}, CPU, seconds=1e-6, rounds=2)["a"]) == 2
    assert 4 <= len(alternate({"a": lambda: sleep(0.01)}, CPU, seconds=0.1)["a"]) <= 10


def found(task: float = 1.0, distillation: float | None = 2.0, scale: float = 1.0) -> object:
    from bench_check import Numbers

    return Numbers(task, distillation, {"a": scale * torch.ones(4), "b": torch.zeros(3)})


@pytest.mark.parametrize(
    ("changed", "rounding"),
    [
        ({}, True),
        ({"task": 1 + 1e-6, "scale": 1 + 1e-5}, True),
        ({"task": 1.001}, False),
        ({"distillation": 2.01}, False),
        ({"scale": 1.01}, False),
        ({"task": float("nan")}, False),
        ({"scale": float("nan")}, False),
    ],
)
def test_what_differs_by_more_than_rounding(changed: dict[str, float], rounding: bool) -> None:
    from bench_check import compare, refusals

    difference = compare("eager", found(**changed), "builtin", found())
    assert difference.rounding is rounding
    assert len(refusals([difference])) == (not rounding)


def test_a_gradient_that_only_one_has_is_a_difference() -> None:
    from bench_check import Numbers, compare

    less = Numbers(1.0, 2.0, {"b": torch.zeros(3)})
    assert not compare("eager", less, "builtin", found()).rounding
    assert not compare("eager", found(), "builtin", less).rounding
    assert compare("plain", Numbers(1.0, None, {}), "builtin", found()).gradient is None
