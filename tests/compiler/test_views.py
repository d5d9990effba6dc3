"""Images as each model sees them: of another size, with other channels."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from kdgraph.compiler.api import compile, plan
from kdgraph.errors import GraphError
from tests.compiler.pairs import raw
from tests.toys import batch, spec, toy

EDGE = "  e: {taps: head.box, criterion: mimic}"


def models(ours: int, theirs: int) -> dict[str, Any]:
    return {"student": toy(channels=ours), "teacher": toy(16, channels=theirs, seed=1)}


def described(channels: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, teacher: str) -> Any:
    """A spec whose data has so many channels."""
    (tmp_path / "d.yaml").write_text(f"train: a\nval: b\nnames: [a, b, c]\nchannels: {channels}\n")
    monkeypatch.chdir(tmp_path)
    return spec(EDGE, teacher=teacher, data="d.yaml")


def test_both_see_the_same_by_default() -> None:
    planned = plan(spec(EDGE), **models(3, 3))
    seen = {(view.size, view.channels, view.scale) for view in planned.graph.views.values()}
    assert seen == {((64, 64), 3, 1.0)}
    assert "seen" not in planned.lower().code


@pytest.mark.parametrize(("imgsz", "size"), [(128, (128, 128)), (32, (32, 32)), (100, (96, 96))])
def test_a_size_of_the_teacher(imgsz: int, size: tuple[int, int]) -> None:
    planned = plan(spec(EDGE, teacher=f"{{model: t.yaml, imgsz: {imgsz}}}"), **models(3, 3))
    assert planned.graph.views["teacher"].size == size
    assert "seen" in planned.lower().code


@pytest.mark.parametrize(
    ("ours", "theirs", "teacher"),
    [(1, 3, "t.yaml"), (3, 1, "t.yaml"), (4, 3, "{model: t.yaml, channels: [2, 1, 0]}")],
)
def test_channels_of_the_teacher(
    ours: int, theirs: int, teacher: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    given = batch(channels=ours)
    model = compile(described(ours, monkeypatch, tmp_path, teacher), **models(ours, theirs))
    out = model(given)
    images = given["img"]
    seen = images[:, [2, 1, 0]] if ours == 4 else images.repeat(1, 3, 1, 1)
    if theirs == 1:
        seen = (images * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    expected = raw(toy(16, channels=theirs, seed=1), seen)["scores"]
    found = compile(
        described(ours, monkeypatch, tmp_path, teacher).model_copy(update={"outputs": ("teacher",)}),
        **models(ours, theirs),
    )(given).teacher["scores"]
    torch.testing.assert_close(found, expected)
    assert out.raw["e"] > 0


@pytest.mark.parametrize(
    ("ours", "theirs", "teacher", "message", "hint"),
    [
        (
            4, 3, "t.yaml", "the teacher takes images of 3 channels, and the data has 4",
            "say which it sees: `channels: [0, 1, 2]` beside its model",
        ),
        (
            4, 3, "{model: t.yaml, channels: [0, 1]}",
            "the teacher takes images of 3 channels, and `channels` lists 2",
            "list 3",
        ),
        (
            3, 3, "{model: t.yaml, channels: [0, 1, 3]}", "channel 3 is not in the images",
            "the data has 3: they are 0 to 2",
        ),
    ],
)  # fmt: skip
def test_channels_that_do_not_fit(
    ours: int,
    theirs: int,
    teacher: str,
    message: str,
    hint: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Any,
) -> None:
    with pytest.raises(GraphError) as caught:
        plan(described(ours, monkeypatch, tmp_path, teacher), **models(ours, theirs))
    [fault] = caught.value.diagnostics
    assert (fault.code, fault.message, fault.hint) == ("KD204", message, hint)
    assert fault.span is not None
