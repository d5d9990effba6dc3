"""What `kdgraph methods` tells, and what it does not cost."""

from __future__ import annotations

import subprocess
import sys

import pytest

from kdgraph.cli.catalogue import ENTRIES, Method, documentation
from kdgraph.cli.markdown import markdown_tables
from kdgraph.spec.components import COMPONENTS, ComponentInfo
from kdgraph.spec.parse import parse
from kdgraph.spec.reading.weights import SCHEDULES
from tests.cli.test_app import call


def printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> list[str]:
    monkeypatch.setenv("COLUMNS", "80")
    assert call(monkeypatch, "methods", *arguments) == 0
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


def test_every_component_and_schedule_is_an_entry() -> None:
    listed = [(method.group, method.name) for method in ENTRIES]
    assert len(set(listed)) == len(listed)
    components = [(kind, name) for kind, infos in COMPONENTS.items() for name in infos]
    assert listed == [*components, ("splice", "splice"), *(("weight", name) for name in SCHEDULES)]


def test_the_list_fits_80_columns_and_names_all(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = printed(monkeypatch, capsys)
    assert max(map(len, lines)) <= 80
    names = [line.split()[0] for line in lines if line[:2] == "  " and line[2:3] not in ("", " ")]
    assert sorted(names) == sorted(method.name for method in ENTRIES)
    text = " ".join(" ".join(lines).split())
    for method in ENTRIES:
        assert method.summary in text
        assert method.source in text


def test_criteria_are_grouped_by_what_they_compare(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = printed(monkeypatch, capsys)
    start, end = lines.index("of class logits:"), lines.index("of class logits or DFL logits:")
    names = [line.split()[0] for line in lines[start + 1 : end] if line[2:3] not in ("", " ")]
    assert names == [n for n, info in COMPONENTS["criterion"].items() if info.takes == {"cls"}]


def test_options_reads_and_papers_stand_with_a_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [line.strip() for line in printed(monkeypatch, capsys)]
    place = next(i for i, line in enumerate(lines) if line.startswith("dkd "))
    assert lines[place + 1 : place + 4] == [
        "mask foreground; reads labels; temperature: 1.0, alpha: 1.0,",
        "beta: 8.0",
        "Zhao et al., Decoupled Knowledge Distillation, CVPR 2022",
    ]


def test_one_in_full(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(monkeypatch, capsys, "cwd")
    assert lines[:2] == [
        "cwd: KL divergence between each channel's softmax over positions",
        "Shu et al., Channel-wise Knowledge Distillation, ICCV 2021",
    ]
    assert "    criterion: {cwd: {tau: 1.0, norm: none}}" in lines
    assert "compares  features or class logits" in lines
    assert "mask      takes none" in lines
    text = " ".join(" ".join(lines).split())
    for name, field in COMPONENTS["criterion"]["cwd"].options.model_fields.items():
        assert f"{name} {field.default} {field.description}" in text
    assert "tau^2 * mean over images and channels of KL(softmax(t / tau) || softmax(s / tau))" in text


def test_a_name_of_two_kinds_is_told_twice(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = printed(monkeypatch, capsys, "gi")
    assert sum(line.startswith("gi: ") for line in lines) == 2
    assert "    criterion: {gi: {count: 10, overlap: 0.3, cells: 10, relation: 1.0}}" in lines
    assert "    mask: {gi: {count: 10, overlap: 0.3}}" in lines


EVERY = pytest.mark.parametrize("method", ENTRIES, ids=lambda method: f"{method.group}-{method.name}")


@EVERY
def test_every_name_has_a_documentation(method: Method) -> None:
    assert documentation(method)


@EVERY
def test_the_line_that_is_shown_can_be_read(
    method: Method, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = [line[4:] for line in printed(monkeypatch, capsys, method.name) if line.startswith("    ")]
    [line] = [line for line in shown if line.startswith((f"{method.group}: ", "cls: {taps"))][:1]
    takes = COMPONENTS["criterion"].get(method.name, ComponentInfo("", "")).takes
    tap = "neck.*" if "features" in takes else "head.cls.*" if "cls" in takes else "head.dfl.*"
    edge = {"taps": tap, "criterion": "mimic"}
    text = "student: yolo11n.yaml\nteacher: yolo11s.yaml\nedges:\n"
    if method.group == "splice":
        text += f"  {line}\n"
    elif method.group == "balance":
        text += (
            f"  one: {{taps: neck.*, criterion: mimic}}\n  two: {{taps: head.cls, criterion: qfl}}\n{line}\n"
        )
    else:
        edge.pop(method.group, None)
        given = ", ".join(f"{key}: {value}" for key, value in edge.items())
        text += f"  one: {{{given}, {line}}}\n"
    spec = parse(text)
    if method.group == "criterion":
        assert spec.edges["one"].criterion.name == method.name


def test_markdown_is_the_tables_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "methods", "--markdown") == 0
    text = capsys.readouterr().out
    assert text == markdown_tables()
    for block in text.split("\n\n"):
        columns = {len(line.replace("\\|", "").split("|")) for line in block.strip().splitlines()}
        assert len(columns) == 1  # every row has the cells of its table's head


@pytest.mark.parametrize(
    ("name", "hint"), [("cwdd", "did you mean cwd?"), ("zzz", "`kdgraph methods` lists them")]
)
def test_an_unknown_name_ends_with_2(
    name: str, hint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "methods", name) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert f"nothing is named '{name}': {hint}" in " ".join(told.err.split())


def test_the_list_needs_no_torch() -> None:
    code = (
        "import sys\nfrom kdgraph.cli.app import main\nsys.argv = ['kdgraph', 'methods']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "assert not {'torch', 'ultralytics', 'numpy', 'networkx'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
