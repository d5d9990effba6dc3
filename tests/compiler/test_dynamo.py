"""The Distiller under torch.compile: one graph, no breaks, no recompilation."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend

from kdgraph.compiler.api import compile
from kdgraph.compiler.distiller import DistillOutput
from kdgraph.spec.parse import parse
from tests.compiler.pairs import ALL, distiller
from tests.toys import batch

SOME = "\n".join(line for line in ALL.splitlines() if line.split(":")[0].strip() in ("pkd", "bce", "kl"))
"""Both kinds of masks, an adapter and a schedule, in a third of the time."""


@pytest.fixture(autouse=True)
def _fresh_dynamo() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def crowd(images: int, objects: int, size: tuple[int, int]) -> dict[str, Tensor]:
    """A batch with this many objects, all in the first image."""
    given = batch(images, size)
    for name in ("batch_idx", "cls", "bboxes"):
        given[name] = given[name][:1].repeat(objects, *[1] * (given[name].ndim - 1))
    return given


def close(one: DistillOutput, other: DistillOutput) -> None:
    assert one.losses.keys() == other.losses.keys()
    for name in one.losses:
        torch.testing.assert_close(one.losses[name], other.losses[name], rtol=1e-5, atol=1e-7, msg=name)
    torch.testing.assert_close(one.loss, other.loss, rtol=1e-5, atol=1e-7)


def test_one_compiled_graph_serves_every_size_and_every_epoch() -> None:
    model = distiller(SOME)
    counter = CompileCounterWithBackend("eager")
    compiled = torch.compile(model, fullgraph=True, backend=counter, dynamic=True)
    # Not three objects at first: Dynamo takes equal sizes for one size, and there are three channels.
    for given in (crowd(2, 5, (64, 96)), crowd(3, 7, (96, 64)), crowd(4, 2, (32, 128))):
        close(compiled(given), model(given))
    assert counter.frame_count == 1
    before = compiled(batch()).losses["pkd"]
    model.set_epoch(10)
    after = compiled(batch())
    assert after.losses["pkd"] < before
    assert after.losses["kl"] == 0
    assert counter.frame_count == 1, "weights are buffers: moving them recompiles nothing"


def test_the_compiled_module_trains() -> None:
    model, alone = distiller(SOME), distiller(SOME)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    compiled(batch()).loss.backward()
    alone(batch()).loss.backward()
    for (name, ours), (_, theirs) in zip(model.named_parameters(), alone.named_parameters(), strict=True):
        assert (ours.grad is None) == (theirs.grad is None), name
        if ours.grad is not None:
            torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-5, msg=name)


@pytest.mark.slow
def test_yolo11m_teaches_yolo11n_with_every_criterion_in_one_graph() -> None:
    edges = ALL.replace("weight: {p3: 0.4, p4: 0.6}", "weight: {p3: 0.4, p4: 0.4, p5: 0.2}")
    text = (
        f"student: yolo11n.yaml\nteacher: yolo11m.yaml\nedges:\n{edges}\ntrain: {{epochs: 20, imgsz: 64}}\n"
    )
    model = compile(parse(text))
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    found = compiled(batch())
    close(found, model(batch()))
    assert list(found.losses) == list(model.spec.edges)
