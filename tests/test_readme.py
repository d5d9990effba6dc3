"""What the README shows is run as it stands there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from kdgraph.cli.markdown import markdown_tables
from kdgraph.compiler.api import plan
from kdgraph.errors import KdgraphError
from kdgraph.spec.parse import load, parse
from tests.conftest import command

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")

MODELS = "student: yolo11n.yaml\nteacher: yolo11s.yaml\n"
"""What a spec needs besides the part of it that a passage shows."""


def blocks(language: str) -> list[str]:
    return [text for kind, text in re.findall(r"```(\w*)\n(.*?)```", README, re.DOTALL) if kind == language]


def whole(text: str) -> str:
    """A spec that can be planned, made of what is shown."""
    text = text.replace("data: my.yaml", "data: coco8.yaml")
    return text if "student:" in text else MODELS + text


def one_with(language: str, part: str) -> str:
    [found] = [text for text in blocks(language) if part in text]
    return found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a user who has written the plugins that are shown."""
    monkeypatch.chdir(tmp_path)
    assert "`my_losses.py`:" in README
    (tmp_path / "my_losses.py").write_text(one_with("python", "kdgraph.register"))
    assert "`my_models.py`," in README
    (tmp_path / "my_models.py").write_text(one_with("python", "torchvision"))
    return tmp_path


def test_the_loop_runs(folder: Path) -> None:
    loop = one_with("python", "DataLoader")
    assert len([line for line in loop.splitlines() if line.strip()]) <= 25
    (folder / "my-spec.yaml").write_text(
        f"{MODELS}"
        "edges:\n  neck: {taps: neck.*, criterion: cwd}\n"
        "  cls: {taps: head.cls, criterion: bce, mask: foreground}\n"
    )
    names: dict[str, object] = {}
    exec(compile(loop, "README.md", "exec"), names)

    from ultralytics import YOLO

    student = YOLO(folder / "student.pt")
    assert type(student.model).__name__ == "DetectionModel"
    assert len(student.predict(names["samples"][0][0][None], imgsz=128, verbose=False)) == 1  # type: ignore[index]


def test_what_the_loop_may_add_runs(folder: Path) -> None:
    loop = one_with("python", "DataLoader")
    measured, ended = (
        one for one in re.findall(r"`(distiller\.[^`]+)`", README) if "rebalance" in one or "retire" in one
    )
    if "retire" in measured:
        measured, ended = ended, measured
    lines = loop.splitlines()
    backward = next(i for i, line in enumerate(lines) if ".backward()" in line)
    lines.insert(backward, f"        {measured}")
    epoch = next(i for i, line in enumerate(lines) if "set_epoch" in line)
    lines.insert(epoch, f"    gone = {ended.replace('epochs)', '2)')}")
    (folder / "my-spec.yaml").write_text(
        f"{MODELS}train: {{epochs: 2}}\nbalance: {{gradient_norm: {{every: 1}}}}\n"
        "edges:\n  neck: {taps: neck.*, criterion: cwd}\n"
        "  cls: {taps: head.cls, criterion: bce, mask: foreground, until: 1}\n"
    )
    names: dict[str, object] = {}
    exec(compile("\n".join(lines), "README.md", "exec"), names)
    assert names["gone"] == ("cls",)
    assert list(names["out"].losses) == ["neck"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("text", blocks("yaml"))
def test_the_specs_fit(text: str, folder: Path) -> None:
    (folder / "my-spec.yaml").write_text(whole(text))
    assert plan(load("my-spec.yaml"), weights=False).accounts


def test_a_users_criterion_is_checked_by_the_command(folder: Path, user_environment: dict[str, str]) -> None:
    text = whole(one_with("yaml", "plugins: my_losses")).replace("yolo11s.yaml", "yolo11s.pt")
    (folder / "my-spec.yaml").write_text(text)
    check = [command("kdgraph"), "check", "my-spec.yaml"]
    done = subprocess.run(check, env=user_environment, capture_output=True, text=True)
    assert (done.stderr, done.stdout) == (
        "",
        "my-spec.yaml: 1 edges, 3 terms, all fit\nlabels are read by neck\n",
    )


def test_the_error_is_what_a_user_sees() -> None:
    full = one_with("yaml", "student: yolo11n.yaml")
    broken = "\n".join(
        "    taps: neck.p33" if "neck.*" in line else line for line in whole(full).splitlines()
    )
    with pytest.raises(KdgraphError) as caught:
        plan(parse(broken, "my-spec.yaml"), weights=False)
    shown = next(block for block in blocks("") if "KD201" in block)
    assert shown.strip() in str(caught.value)


def test_the_tables_are_those_of_the_components() -> None:
    _, _, behind = README.partition("<!-- kdgraph methods --markdown -->")
    tables, end, _ = behind.partition("<!-- end -->")
    assert end
    assert tables.strip() == markdown_tables().strip()


PICTURES = re.findall(r"<!-- kdgraph (graph .* --out (\S+)) -->\n!\[.*?\]\((\S+)\)", README)


def test_every_picture_has_the_command_that_makes_it() -> None:
    assert [file for _, file, _ in PICTURES] == re.findall(r"!\[.*?\]\((\S+)\)", README)
    assert all(made == shown for _, made, shown in PICTURES)


@pytest.mark.parametrize(("arguments", "file", "shown"), PICTURES, ids=[file for _, file, _ in PICTURES])
def test_pictures_are_what_their_command_makes(
    arguments: str, file: str, shown: str, tmp_path: Path, user_environment: dict[str, str]
) -> None:
    anew = tmp_path / Path(file).name
    words = arguments.replace(file, str(anew)).split()
    subprocess.run([command("kdgraph"), *words], check=True, cwd=ROOT, env=user_environment)
    assert _drawn(anew) == _drawn(ROOT / shown), f"run `kdgraph {arguments}`"


def _drawn(file: Path) -> list[tuple[str, ...]]:
    """The texts and boxes of a picture; how Graphviz writes them may change with its version."""
    found = []
    for element in ElementTree.parse(file).iter():
        kind = element.tag.split("}")[1]
        if kind == "text":
            found.append((kind, element.text or "", element.get("fill", "")))
        elif kind == "g":
            found.append((kind, element.get("id", "")))
    return sorted(found)
