"""What the README shows is run as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kdgraph.compiler.api import plan
from kdgraph.errors import KdgraphError
from kdgraph.spec.components import CRITERIA
from kdgraph.spec.parse import parse

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return [text for kind, text in re.findall(r"```(\w*)\n(.*?)```", README, re.DOTALL) if kind == language]


def test_the_loop_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [loop] = blocks("python")
    assert len([line for line in loop.splitlines() if line.strip()]) <= 25
    (tmp_path / "my-spec.yaml").write_text(
        "student: yolo11n.yaml\nteacher: yolo11s.yaml\n"
        "edges:\n  neck: {taps: neck.*, criterion: cwd}\n"
        "  cls: {taps: head.cls, criterion: bce, mask: foreground}\n"
    )
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(loop, "README.md", "exec"), names)

    from ultralytics import YOLO

    student = YOLO(tmp_path / "student.pt")
    assert type(student.model).__name__ == "DetectionModel"
    assert len(student.predict(names["samples"][0][0][None], imgsz=128, verbose=False)) == 1  # type: ignore[index]


@pytest.mark.parametrize("text", blocks("yaml"))
def test_the_specs_fit(text: str) -> None:
    text = text.replace("data: my.yaml", "data: coco8.yaml")
    assert plan(parse(text), weights=False).accounts


def test_the_error_is_what_a_user_sees() -> None:
    [full] = [text for text in blocks("yaml") if "edges:\n" in text]
    lines = full.replace("data: my.yaml", "data: coco8.yaml").splitlines()
    broken = "\n".join("    taps: neck.p33" if "neck.*" in line else line for line in lines)
    with pytest.raises(KdgraphError) as caught:
        plan(parse(broken, "my-spec.yaml"), weights=False)
    shown = next(block for block in blocks("") if "KD201" in block)
    assert shown.strip() in str(caught.value)


def test_every_criterion_is_in_the_table() -> None:
    rows = re.findall(r"^\| (`.*?) \|", README, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert set(CRITERIA) <= named
