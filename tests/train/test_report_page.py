"""The page of a run: what it says is what the folder holds, whatever state the run is in."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image
from ultralytics import YOLO

import kdgraph
from kdgraph.errors import RunError
from kdgraph.train.folder import RunFolder
from kdgraph.train.page import report_page
from kdgraph.train.report import Score, note_scores
from tests.train.pages import SPEC, Element, read, rows, run_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return run_folder(tmp_path)


@pytest.fixture
def no_graph(folder: Path) -> Path:
    """A run whose student is gone: there is no graph to plan, and the page is quick."""
    for file in folder.parent.glob("detect-8-*.yaml"):
        file.unlink()
    return folder


def head(page: Element) -> dict[str, str]:
    return pairs(page.one("dl", "figures"))


def pairs(element: Element) -> dict[str, str]:
    return {a.text: b.text for a, b in zip(element.all("dt"), element.all("dd"), strict=True)}


def test_the_head_and_the_graph(folder: Path) -> None:
    page = read(report_page(folder))
    assert page.one("h1").text == "my-spec"
    assert page.one("p", "models").text == "detect-8-8.yaml ← detect-16-8.yaml on data.yaml"
    facts = head(page)
    assert facts["best mAP50-95"] == "0.3438in epoch 2"
    assert facts["epochs"] == "3of 3, ended"
    began = RunFolder(folder).facts()["began"]
    assert facts["began"] == f"{began[:10]}{began[11:16]}, 33 s of training"
    models = page.section("summary").table("model")
    assert [row[0] for row in models] == ["model", "teacher", "student"]
    student = sum(p.numel() for p in YOLO(next(folder.parent.glob("detect-8-*.yaml"))).model.parameters())
    assert models[2][1] == f"{student / 1e3:.1f} k"
    assert facts["parameters"].startswith(models[2][1])
    assert models[1][3:] == ["\N{EN DASH}"] * 2
    assert models[2][3:] == ["0.52", "0.3438"]
    frame = page.section("graph").one("iframe")
    assert frame.attrs["srcdoc"].lower().startswith("<!doctype html>")
    assert len(page.all("nav")[0].all("a")) == len(page.all("section")) == 6


def test_tables_say_what_the_files_say(no_graph: Path) -> None:
    page = read(report_page(no_graph))
    validated = page.section("summary").table("epoch")
    results = rows(no_graph / "results.csv")
    assert validated[0] == ["epoch", "precision", "recall", "mAP50", "mAP50-95", "box loss"]
    kept = (("best (2)", results[1]), ("last (3)", results[2]))
    for told, (label, row) in zip(validated[1:], kept, strict=True):
        names = [name for name in row if name.startswith(("metrics/", "val/"))]
        assert told == [label, *(f"{float(row[name]):.4g}" for name in names)]
    edges = page.section("summary").table("edge")
    assert edges[1] == ["neck", "cwd", "neck.*", "2.25", "0.75", "0.75", "12.5%"]
    assert edges[2] == ["logits", "qfl", "head.cls", "0.25", "0.0625", "0.03125", "12.5%"]
    assert edges[3] == ["the student's own loss", "", "", "3.5", "1.5", "1.5", "75.0%"]


def hovered(figure: Element) -> dict[int, dict[str, float]]:
    """Epoch -> curve -> the value that shows when the mouse is there."""
    found = {}
    for title in figure.all("title"):
        first, *told = title.text.split("\n")
        pairs = (line.rsplit(": ", 1) for line in told)
        found[int(first.removeprefix("epoch "))] = {name: float(value) for name, value in pairs}
    return found


def charts(page: Element) -> dict[str, Element]:
    figures = page.section("curves").all("figure")
    return {each.one("figcaption").text.removesuffix(" (log scale)"): each for each in figures}


def test_curves_tell_every_number_of_the_files(no_graph: Path) -> None:
    found = charts(read(report_page(no_graph)))
    for title, column in {"Share of the gradient's norm": "share", "Weighted loss": "weighted"}.items():
        wanted: dict[int, dict[str, float]] = {}
        for row in rows(no_graph / "edges.csv"):
            name = "the student's own loss" if row["edge"] == "(task)" else row["edge"]
            wanted.setdefault(int(row["epoch"]), {})[name] = float(row[column])
        assert hovered(found[title]) == wanted
    for edge in ("neck", "logits"):
        lines = [row for row in rows(no_graph / "edges.csv") if row["edge"] == edge]
        assert hovered(found[edge]) == {int(row["epoch"]): {edge: float(row["loss"])} for row in lines}
    results = {int(row["epoch"]): row for row in rows(no_graph / "results.csv")}
    assert hovered(found["Precision, recall, mAP"]) == {
        epoch: {name[8:-3]: float(value) for name, value in row.items() if name.startswith("metrics/")}
        for epoch, row in results.items()
    }
    own = hovered(found["The student's own losses"])
    assert own == {epoch: {"box": float(row["train/box_loss"])} for epoch, row in results.items()}


def test_a_run_before_edges_csv_shows_the_weighted_losses_of_results_csv(no_graph: Path) -> None:
    (no_graph / "edges.csv").unlink()
    page = read(report_page(no_graph))
    assert hovered(charts(page)["Weighted loss"])[2] == {"neck": 1.25, "logits": 0.0625}
    assert "edges.csv is not there" in page.section("curves").text


def test_scores_are_shown_with_what_was_not_measured(no_graph: Path) -> None:
    found = [
        Score("big", 2_000_000, 10**9, (None, None), "its classes are not those of the data"),
        Score("student", 1_500_000, 2 * 10**8, (0.41, 0.22)),
    ]
    note_scores(no_graph, found)
    summary = read(report_page(no_graph)).section("summary")
    assert summary.table("model")[1:] == [
        ["big", "2.00 M", "1.00", "\N{EN DASH}", "\N{EN DASH}"],
        ["student", "1.50 M", "0.20", "0.41", "0.22"],
    ]
    assert "big is not measured: its classes are not those of the data" in summary.text


def test_models_that_are_gone_are_said_and_the_rest_is_there(no_graph: Path) -> None:
    page = read(report_page(no_graph))
    told = page.section("graph").one("pre").text
    assert "error[KD301]" in told
    assert "detect-8-8.yaml" in told
    assert not page.all("iframe")
    assert page.section("summary").table("edge")
    assert page.section("curves").all("svg")


def test_a_spec_that_cannot_be_read_any_more(no_graph: Path) -> None:
    text = (no_graph / "spec.yaml").read_text()
    (no_graph / "spec.yaml").write_text(text.replace("criterion: cwd", "criterion: gone"))
    page = read(report_page(no_graph))
    assert "error[KD105]" in page.section("graph").one("pre").text
    assert page.section("summary").table("edge")[1][:4] == ["neck", "", "", "2.25"]
    assert "criterion: gone" in page.section("spec").text


def test_before_the_first_epoch_has_ended(no_graph: Path) -> None:
    for name in ("results.csv", "edges.csv", "args.yaml", "weights/last.pt"):
        (no_graph / name).unlink()
    page = read(report_page(no_graph))
    assert head(page)["epochs"] == "0not ended"
    assert "No epoch has been validated yet." in page.section("summary").text
    assert "No epoch has ended yet" in page.section("curves").text
    assert "plots: true" in page.section("pictures").text
    assert "the trainer had not started" in page.section("environment").text


def test_while_a_line_is_being_written(no_graph: Path) -> None:
    """What stands there so far is told; the weights of the run beside the student mean that it goes on."""
    (no_graph / "weights" / "learnt.pt").write_bytes(b"")
    text = (no_graph / "results.csv").read_text()
    (no_graph / "results.csv").write_text(text[: text.rindex("3,33,1.5") + 8])
    page = read(report_page(no_graph))
    assert head(page)["epochs"] == "2of 3, not ended"
    assert page.section("summary").table("epoch")[1][0] == "best and last (2)"
    assert "Teachers are measured when the run ends" in page.section("summary").text


def test_epochs_that_were_not_validated_are_not_zeros(no_graph: Path) -> None:
    lines = (no_graph / "results.csv").read_text().splitlines()
    blank = ["1,10,3.5,2.25,0.125,0,0,0,0,0,0.01", "2,21,2.5,1.25,0.0625,0,0,0,0,0,0.02"]
    (no_graph / "results.csv").write_text("\n".join([lines[0], *blank, lines[3]]) + "\n")
    page = read(report_page(no_graph))
    assert list(hovered(charts(page)["Precision, recall, mAP"])) == [3]
    assert list(hovered(charts(page)["The student's own losses"])) == [1, 2, 3]
    assert head(page)["best mAP50-95"] == "0.2812in epoch 3"


def test_a_resumed_run_counts_its_time_on(no_graph: Path) -> None:
    text = (no_graph / "results.csv").read_text()
    (no_graph / "results.csv").write_text(text.replace("3,33,", "3,7205,").replace("2,21,", "2,5,"))
    assert head(read(report_page(no_graph)))["began"].endswith("2 h 0 min of training")


def test_values_that_are_not_finite_break_a_curve(no_graph: Path) -> None:
    text = (no_graph / "edges.csv").read_text()
    (no_graph / "edges.csv").write_text(text.replace("2,neck,1.25,1.25,2,0.25", "2,neck,nan,inf,nan,0"))
    found = charts(read(report_page(no_graph)))
    (path,) = found["neck"].one("g", "line").all("path")
    assert re.sub(r"[-\d. ]", "", path.attrs["d"]) == "MM"
    assert "nan" not in path.attrs["d"]


def test_the_spec_is_shown_as_text(no_graph: Path) -> None:
    page = report_page(no_graph)
    shown = read(page).section("spec").one("pre")
    assert shown.text == (no_graph / "spec.yaml").read_text().rstrip()
    assert len(shown.all("span")) == len(SPEC.rstrip().splitlines())
    assert [each.text for each in shown.all("b", "comment")] == ["# <b>two</b> & no more"]
    assert "<b>two</b>" not in page


def test_a_spec_made_in_python(no_graph: Path) -> None:
    spec = kdgraph.load(no_graph / "spec.yaml")
    made = no_graph.parent / "made"
    RunFolder(made).write(spec.model_copy(update={"path": None}), {}, "data.yaml")
    page = read(report_page(made))
    assert page.one("h1").text == "made"
    assert "criterion:" in page.section("spec").one("pre").text


def test_the_environment_and_all_arguments(no_graph: Path) -> None:
    import torch

    section = read(report_page(no_graph)).section("environment")
    noted, chosen, everything = map(pairs, section.all("dl"))
    assert noted["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
    assert noted["kdgraph"] == kdgraph.__version__
    assert noted["device asked for"] == "the best one there is"
    assert chosen == {"epochs": "3", "imgsz": "64"}
    none = "\N{EN DASH}"
    assert everything == {"epochs": "3", "imgsz": "64", "device": none, "val": "true", "cos_lr": none}
    assert section.one("summary").text == "All 5 train arguments"


def test_compile_is_shown_as_the_spec_has_it(no_graph: Path) -> None:
    """Ultralytics' argument of that name is off in every run."""
    text = (no_graph / "spec.yaml").read_text()
    (no_graph / "spec.yaml").write_text(text.replace("imgsz: 64}", "imgsz: 64, compile: auto}"))
    with (no_graph / "args.yaml").open("a") as file:
        file.write("compile: false\n")
    _, chosen, everything = map(pairs, read(report_page(no_graph)).section("environment").all("dl"))
    assert chosen["compile"] == "auto"
    assert everything["compile"] == "false"


def test_a_run_of_an_older_version(no_graph: Path) -> None:
    facts = RunFolder(no_graph).facts()
    del facts["environment"], facts["began"]
    (no_graph / "kdgraph.json").write_text(json.dumps(facts))
    page = read(report_page(no_graph))
    assert "noted no environment" in page.section("environment").text
    assert "began" not in head(page)


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_that_is_no_run(there: bool, tmp_path: Path) -> None:
    path = tmp_path if there else tmp_path / "none"
    with pytest.raises(RunError, match=r"error\[KD502\] .* is not the folder of a kdgraph run"):
        report_page(path)


def noted(folder: Path, **changes: object) -> None:
    """Change what kdgraph.json says."""
    file = folder / "kdgraph.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


@pytest.mark.parametrize(
    "changes",
    [
        {"task": "foo"},
        {"task": []},
        {"environment": {"a": "b"}},
        {"environment": [1, ["a"], ["a", "b", "c"]]},
        {"environment": "ab"},
        {"source": None},
        {"source": None, "spec": {"student": 1}},
        {"teachers": 1},
        {"data": 1},
        {"began": 1},
        {"began": "yesterday"},
    ],
)
def test_notes_that_say_what_cannot_be(changes: dict[str, object], no_graph: Path) -> None:
    noted(no_graph, **changes)
    page = read(report_page(no_graph))
    assert page.section("summary").table("epoch")[1][0] == "best (2)"
    if "environment" in changes:
        assert "noted no environment" in page.section("environment").text


@pytest.mark.parametrize("measures", [(0.1, 0.2, 0.3), (0.1,), ()])
def test_scores_of_another_task_are_none(measures: tuple[float, ...], no_graph: Path) -> None:
    note_scores(no_graph, [Score("student", 1, 1, measures)])
    assert "The folder has no scores.json" in read(report_page(no_graph)).section("summary").text


def test_a_teacher_and_a_dataset_are_found_from_another_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A spec made in Python says where they are only from where its run was started."""
    place = folder.parent
    monkeypatch.chdir(place)
    loaded = kdgraph.load(place / "my-spec.yaml")
    YOLO(loaded.teachers["teacher"].model).save("t.pt")
    teacher = loaded.teachers["teacher"].model_copy(update={"model": "t.pt"})
    update = {"path": None, "data": "here.yaml", "teachers": {"teacher": teacher}}
    shutil.copy(str(loaded.data), "here.yaml")
    made = RunFolder(place / "made")
    made.write(loaded.model_copy(update=update), {"teacher": str(place / "t.pt")}, str(place / "here.yaml"))
    (place / "elsewhere").mkdir()
    monkeypatch.chdir(place / "elsewhere")
    page = read(report_page(made.path))
    assert page.section("graph").all("iframe"), page.section("graph").text
    (place / "here.yaml").unlink()
    page = read(report_page(made.path))
    assert page.section("graph").one("p", "note").text == "The spec cannot be planned here:"
    assert "error[KD401]" in page.section("graph").one("pre").text


def test_a_spec_of_python_is_not_that_of_the_run_before(no_graph: Path) -> None:
    spec = kdgraph.load(no_graph / "spec.yaml")
    RunFolder(no_graph).write(spec.model_copy(update={"path": None}), {}, "data.yaml")
    assert "# <b>two</b>" not in read(report_page(no_graph)).section("spec").text


def test_a_run_over_one_that_had_ended_has_not_ended(no_graph: Path) -> None:
    """Until it saves a student of its own."""
    last = no_graph / "weights" / "last.pt"
    os.utime(last, (10**9, 10**9))
    for file in (no_graph / "val_batch0_pred.jpg", no_graph / "BoxPR_curve.png"):
        Image.new("RGB", (9, 9)).save(file)
    os.utime(no_graph / "BoxPR_curve.png", (10**9, 10**9))
    note_scores(no_graph, [Score("student", 1, 1, (0.1, 0.2))])
    RunFolder(no_graph).write(kdgraph.load(no_graph / "spec.yaml"), {}, "data.yaml")
    page = read(report_page(no_graph))
    assert head(page)["epochs"] == "3of 3, not ended"
    assert "Teachers are measured when the run ends" in page.section("summary").text
    captions = [each.text for each in page.section("pictures").all("figcaption")]
    assert captions == ["Validation images: the student's predictions"]
    last.touch()
    assert head(read(report_page(no_graph)))["epochs"] == "3of 3, ended"


def test_what_is_not_a_number_is_a_dash(no_graph: Path) -> None:
    text = (no_graph / "edges.csv").read_text()
    text = text.replace("3,neck,0.75,0.75,1,0.125", "3,neck,nan,inf,nan,nan")
    (no_graph / "edges.csv").write_text(text)
    none = "\N{EN DASH}"
    edges = read(report_page(no_graph)).section("summary").table("edge")
    assert edges[1][3:] == ["2.25", none, "inf", none]


def test_rows_that_were_broken_by_hand_are_left_out(no_graph: Path) -> None:
    with (no_graph / "edges.csv").open("a") as file:
        file.write("7,neck\n8,neck,1,1,1,a\n")
    with (no_graph / "results.csv").open("a") as file:
        file.write("inf,10,3.5,2.25,0.125,0.1,0.2,0.31,0.15625,3.25,0.01\n")
    found = charts(read(report_page(no_graph)))
    assert list(hovered(found["neck"])) == list(hovered(found["Precision, recall, mAP"])) == [1, 2, 3]


def test_a_folder_whose_notes_are_broken(no_graph: Path) -> None:
    (no_graph / "kdgraph.json").write_text('{"source": ')
    with pytest.raises(RunError, match=r"error\[KD502\] .*kdgraph.json is broken"):
        report_page(no_graph)
