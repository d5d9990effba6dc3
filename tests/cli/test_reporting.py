"""`kdgraph report` of a run that `kdgraph run` has made, and of what is no run or cannot be written."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from kdgraph.cli.app import main
from tests.train.pages import Element, read, rows, run_folder
from tests.train.tiny import data, network

SPEC = """\
student: {student}
teacher: {{model: {teacher}, train: {{epochs: 1, imgsz: 64, batch: 4, plots: false}}}}
data: {data}
edges: {{neck: {{taps: neck.*, criterion: cwd}}}}
train: {{epochs: 2, imgsz: 64, batch: 4, workers: 0, mosaic: 0}}
"""


def call(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["kdgraph", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.mark.filterwarnings("ignore")
def test_a_run_and_its_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    student, teacher = network(tmp_path, "detect"), network(tmp_path, "detect", 12)
    text = SPEC.format(student=student, teacher=teacher, data=data(tmp_path, "detect", 8, 4))
    Path("tiny.yaml").write_text(text)
    assert call(monkeypatch, "run", "tiny.yaml") == 0
    printed = capsys.readouterr().out
    assert call(monkeypatch, "report", "runs/tiny") == 0
    assert capsys.readouterr().out == "runs/tiny/report.html\n"
    page = read(Path("runs/tiny/report.html").read_text(encoding="utf-8"))
    _compare(page, printed, Path("runs/tiny"))


def _compare(page: Element, printed: str, folder: Path) -> None:
    """The page with what the run printed and left."""
    for name, params, flops, *measures in page.section("summary").table("model")[1:]:
        (line,) = re.findall(rf"^{name} .*$", printed, re.MULTILINE)
        said = line.split()  # name, parameters and their unit, GFLOPs, measures
        assert float(params.split()[0]) == pytest.approx(float(said[1]), rel=0.01)
        assert [flops, *(f"{float(value):.3f}" for value in measures)] == said[3:]
    last = rows(folder / "results.csv")[-1]
    (losses,) = [each for each in page.all("figure") if each.all("svg") and "own losses" in each.text]
    told = [f"{name}: {float(last[f'train/{name}_loss']):.6g}" for name in ("box", "cls", "dfl")]
    assert losses.all("title")[-1].text == "\n".join(["epoch 2", *told])
    noted = dict(json.loads((folder / "kdgraph.json").read_text())["environment"])
    assert noted["torch"] in page.section("environment").text
    captions = [each.text for each in page.section("pictures").all("figcaption")]
    assert "Validation images: the student's predictions" in captions
    assert page.section("graph").one("iframe")


def test_out_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = run_folder(tmp_path), tmp_path / "page.html"
    assert call(monkeypatch, "report", folder, "--out", out) == 0
    assert capsys.readouterr().out == f"{out}\n"
    assert read(out.read_text(encoding="utf-8")).one("h1").text == "my-spec"
    assert not (folder / "report.html").exists()


def test_the_folder_of_the_page_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "new" / "deep" / "page.HTM"
    assert call(monkeypatch, "report", run_folder(tmp_path), "--out", out) == 0
    assert read(out.read_text(encoding="utf-8")).one("h1").text == "my-spec"


@pytest.mark.parametrize("out", ["run/weights/last.pt", "run/spec.yaml", "new/page", "run/", "."])
def test_only_a_page_is_written(
    out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run_folder(tmp_path)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    monkeypatch.setattr("kdgraph.cli.reporting.report_page", lambda folder: pytest.fail("it was made"))
    assert call(monkeypatch, "report", folder, "--out", tmp_path / out) == 2
    told = capsys.readouterr().err
    assert told.startswith("error[KD601] a report is a page, and ")
    assert "hint: end the file's name in .html or .htm" in told
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize(
    ("out", "why"), [("my-spec.yaml/page.html", "File exists"), ("page.html", "Is a directory")]
)
def test_a_page_that_cannot_be_written(
    out: str,
    why: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = run_folder(tmp_path)
    (tmp_path / "page.html").mkdir()
    assert call(monkeypatch, "report", folder, "--out", tmp_path / out) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"error[KD602] {tmp_path / out} cannot be written ({why}")
    assert "hint: give another file with --out" in told.err


def test_a_folder_that_is_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "report", tmp_path) == 2
    assert capsys.readouterr().err.startswith(f"error[KD502] {tmp_path} is not the folder of a kdgraph run")
    assert list(tmp_path.iterdir()) == []
