"""`kdgraph nodes`: a tree on a terminal, a line for each name when piped.

`pytest tests/cli/test_nodes.py --update-golden` writes the tree anew: read the diff before committing it.
"""

from __future__ import annotations

import fcntl
import functools
import os
import pty
import re
import struct
import subprocess
import termios
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdgraph.cli.node_tree import print_trees
from kdgraph.cli.nodes import near_patterns
from kdgraph.cli.trees import Branch, Line
from kdgraph.graph.models import build_model
from kdgraph.graph.show import NodeRow, node_rows
from kdgraph.graph.yolo import TracedModel, trace_model
from kdgraph.spec.schema import TeacherSpec
from tests.cli.screens import Screen, check_golden
from tests.cli.test_app import call
from tests.conftest import command

MODELS = ("yolo11n.yaml", "yolo26n.yaml", "yolov8n-seg.yaml", "yolo11n-cls.yaml", "rtdetr-l.yaml")
BOXES = re.compile("[│├└─]")


@functools.cache
def traced(name: str) -> TracedModel:
    return trace_model(
        build_model(TeacherSpec(model=name), nc=None, weights=False, meta=True), name, frozen=True
    )


@functools.cache
def rows_of(name: str, match: str | None = None) -> list[NodeRow]:
    return node_rows(traced(name), (640, 640), match)


def shown(rows: list[NodeRow], width: int = 80, whole: bool = True) -> Screen:
    screen = Screen(width)
    print_trees(screen, rows, whole)
    return screen


def test_the_tree_reads_as_it_did(update_golden: bool) -> None:
    golden = Path(__file__).with_name("nodes_yolo11n.txt")
    check_golden(shown(rows_of("yolo11n.yaml")).lines, golden, update_golden)


@pytest.mark.parametrize("model", MODELS)
def test_the_tree_fits_80_columns_and_has_every_name_once(model: str) -> None:
    screen = shown(rows_of(model))
    assert screen.widest <= 80
    first = [BOXES.sub("", line).split()[:1] for line in screen.lines[1:-1]]
    parts = {"backbone", "neck", "head"}
    names = [word for words in first for word in words if word not in parts]
    assert sorted(names) == sorted(row.name for row in rows_of(model))


@pytest.mark.parametrize("model", MODELS)
def test_the_numbers_of_a_tree_stand_below_each_other(model: str) -> None:
    header, *lines = shown(rows_of(model)).lines
    end = header.index("stride") + len("stride")
    strides = {row.name: row.stride for row in rows_of(model)}
    for line in lines[:-1]:
        stride = strides.get(BOXES.sub("", line).split()[0])
        assert line[end - len("stride") : end].strip() == str(stride or "")


def test_a_name_stands_below_what_holds_it() -> None:
    """Read back from the indentation."""
    above: list[str] = []
    for line in shown(rows_of("yolo26n.yaml")).lines[1:-1]:
        indent = len(line) - len(line.lstrip("│├└ "))
        name = line[indent:].split()[0]
        del above[indent // 2 :]
        holder = above[-1] if above else ""
        assert name.startswith(f"{holder}.") or holder in ("", "backbone", "neck", "head")
        names = {row.name for row in rows_of("yolo26n.yaml")}
        closest = max((n for n in names if name.startswith(f"{n}.")), key=len, default=None)
        assert closest in (None, holder)
        above.append(name)


def test_a_part_tells_what_its_layers_sum_up_to() -> None:
    layers = traced("yolo11n.yaml").source.model
    backbone = sum(p.numel() for layer in layers[:11] for p in layer.parameters())  # type: ignore[union-attr,index]
    neck = sum(p.numel() for layer in layers[11:23] for p in layer.parameters())  # type: ignore[union-attr,index]
    lines = {line.split()[0]: line.split()[1:] for line in shown(rows_of("yolo11n.yaml")).lines if line}
    assert lines["backbone"][:2] == [f"{backbone / 1e6:.3g}", "M"]
    assert lines["neck"][:2] == [f"{neck / 1e3:.3g}", "k"]


def test_rows_of_a_pattern_have_no_sums() -> None:
    lines = shown(rows_of("yolo11n.yaml", "neck.*"), whole=False).lines
    assert [line.split() for line in lines] == [
        ["shape", "stride", "params", "GFLOPs"],
        ["neck"],
        ["├", "neck.p3", "=", "model.16", "64×80×80", "8", "32.1", "k", "0.41"],
        ["├", "neck.p4", "=", "model.19", "128×40×40", "16", "86.7", "k", "0.28"],
        ["└", "neck.p5", "=", "model.22", "256×20×20", "32", "379", "k", "0.30"],
    ]


def test_names_stay_whole_on_a_narrow_terminal() -> None:
    rows = rows_of("yolo11n.yaml", "model.10.m.0.attn.*")
    screen = shown(rows, width=48, whole=False)
    assert screen.widest <= 48
    words = " ".join(screen.lines).split()
    assert {row.name for row in rows} < set(words)
    assert "2×400×400" in words


@settings(deadline=None)
@given(st.from_regex(r"[a-z0-9.]{1,60}", fullmatch=True), st.integers(20, 90), st.booleans())
def test_a_line_is_never_wider_than_its_room(name: str, width: int, deep: bool) -> None:
    line = Line(name, note="Conv2d", cells="  64×80×80      8")
    screen = Screen(width)
    screen.print(Branch(Line("top"), Branch(line)) if deep else line, soft_wrap=False)
    assert screen.widest <= width
    text = "".join(re.sub("[│├└ ]", "", each) for each in screen.lines)
    assert name in text
    assert text.endswith("64×80×808")


def test_each_part_has_a_colour() -> None:
    screen = Screen(colours="standard")
    print_trees(screen, rows_of("yolo11n.yaml"), whole=True)
    colours = {part: re.findall(rf"\x1b\[([0-9;]*)m{part}\b", "\n".join(screen.lines)) for part in COLOURS}
    assert {part: set(codes) for part, codes in colours.items()} == {p: {c} for p, c in COLOURS.items()}


COLOURS = {"backbone": "1;36", "neck": "1;32", "head": "1;35"}


@pytest.mark.parametrize("model", MODELS[:3])
def test_piped_it_is_one_line_for_each_name(
    model: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert call(monkeypatch, "nodes", model) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ["name", "module", "shape", "stride", "parameters", "GFLOPs", "type"]
    assert [line.split()[0] for line in lines] == [row.name for row in rows_of(model)]
    for line, row in zip(lines, rows_of(model), strict=True):
        name, module, shape, stride, params, flops, kind = line.split()
        assert (name if module == "-" else module) == row.path
        assert shape == ("×".join(map(str, row.shape)) if row.shape else "-")
        assert stride == str(row.stride or "-")
        assert (int(params), float(flops)) == (row.params, round(row.flops / 1e9, 4))
        assert kind == (row.kind or "-")
        assert line.index(module, len(name)) == header.index("module"), "cut -c works"
        assert not BOXES.search(line)


def test_forced_colours_make_no_tree_of_a_pipe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """GitHub's runners set it, and a script behind the pipe wants its lines."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert call(monkeypatch, "nodes", "yolo11n", "--match", "neck.p3") == 0
    assert capsys.readouterr().out.splitlines()[1].split()[:2] == ["neck.p3", "model.16"]


def test_on_a_terminal_it_is_a_tree_without_colours_where_they_are_not_wanted(
    user_environment: dict[str, str],
) -> None:
    told = in_terminal(["kdgraph", "nodes", "yolo11n.yaml", "--match", "neck.*"], user_environment)
    assert [line.split()[1] for line in told.splitlines()[2:]] == ["neck.p3", "neck.p4", "neck.p5"]
    assert "└ " in re.sub(r"\x1b\[[0-9;]*m", "", told)
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", told)


def in_terminal(words: list[str], environment: dict[str, str]) -> str:
    """What a command prints on a terminal of 80 columns that is to show no colours, without other styles."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {**environment, "NO_COLOR": "1", "TERM": "xterm"}
    environment.pop("FORCE_COLOR", None)
    done = subprocess.Popen([command(words[0]), *words[1:]], env=environment, stdout=its)
    os.close(its)
    told = b""
    try:
        while piece := os.read(ours, 4096):
            told += piece
    except OSError:  # how Linux says that the other end was closed
        pass
    os.close(ours)
    assert done.wait() == 0
    return re.sub(r"\x1b\[[12]?m|\x1b\[0m", "", told.decode())


@pytest.mark.parametrize(
    ("match", "hint"),
    [
        ("nek.*", "did you mean neck.*?"),
        ("zzz", "`kdgraph nodes yolo11n` lists every name;"),
    ],
)
def test_a_pattern_that_finds_nothing_is_told_with_what_looks_like_it(
    match: str, hint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "nodes", "yolo11n", "--match", match) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == (
        f"error[KD201] '{match}' names nothing in yolo11n\n  hint: {hint} `*` stays within one dotted part\n"
    )


@pytest.mark.parametrize(
    ("pattern", "near"),
    [
        ("neck.p33", ["neck.p3"]),
        ("head.dlf.*", ["head.dfl.*"]),
        ("Neck.p?", ["neck.*"]),
        ("model.10.m.0.atn.*", ["model.10.m.0.attn.*", "model.10.m.0.ffn.*"]),
        ("model.16.cv3", ["model.16.cv2", "model.16.cv1", "model.6.cv2"]),
        ("zzz", []),
    ],
)
def test_patterns_that_look_like_one(pattern: str, near: list[str]) -> None:
    assert near_patterns(pattern, [row.name for row in rows_of("yolo11n.yaml")]) == near


@settings(deadline=None, max_examples=25)
@given(st.data())
def test_a_pattern_that_is_offered_finds_something(data: st.DataObject) -> None:
    names = [row.name for row in rows_of("yolo11n-cls.yaml")]
    parts = data.draw(st.sampled_from(names)).split(".")
    place = data.draw(st.integers(0, len(parts) - 1))
    parts[place] = data.draw(st.sampled_from(["*", "p?", f"{parts[place]}x", "m"]))
    for pattern in near_patterns(".".join(parts), names):
        assert any(fnmatchcase(name, pattern) and name.count(".") == pattern.count(".") for name in names)
