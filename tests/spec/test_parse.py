from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pydantic import ValidationError

from kdgraph.errors import SpecError
from kdgraph.spec import Spec, load, parse
from kdgraph.spec.recipes import RECIPES
from kdgraph.spec.schema import (
    Component,
    ConstantWeight,
    LevelWeight,
    PhaseSpec,
    ScheduleWeight,
    SpliceSpec,
    TapSpec,
)
from kdgraph.spec.source import MAX_CHARACTERS
from tests.spec.corpus import EMPTY, VALID

HEAD = "student: yolo11n.pt\nteacher: yolo11m.pt\ndata: coco8.yaml\n"


def one_edge(text: str) -> Spec:
    return parse(f"{HEAD}edges:\n  e: {{taps: neck.*, criterion: cwd, {text}}}\n")


def said(text: str) -> str:
    with pytest.raises(SpecError) as caught:
        parse(text)
    return str(caught.value)


def test_the_smallest_spec() -> None:
    spec = parse(HEAD + "edges: default\n")
    assert (spec.kdgraph, spec.student.model, spec.teacher.model) == (1, "yolo11n.pt", "yolo11m.pt")
    assert (spec.data, spec.train, spec.outputs, spec.path) == ("coco8.yaml", {}, (), None)
    assert list(spec.edges) == ["neck", "cls", "box"]
    assert spec.recipe == "default"
    assert {edge.teacher for edge in spec.edges.values()} == {("teacher",)}


def test_the_default_recipe() -> None:
    neck, cls, dfl = parse(HEAD + "edges: default\n").edges.values()
    assert (neck.criterion.name, neck.criterion.options) == ("cwd", {"tau": 1.0, "norm": "batch"})
    assert (cls.criterion.name, cls.mask[0].name, cls.taps.student) == ("qfl", "all", ("head.cls",))
    assert (dfl.criterion.options, dfl.mask[0].name) == ({"temperature": 1.0}, "teacher_score")
    assert all(edge.until == -10 for edge in (neck, cls, dfl))
    assert isinstance(dfl.weight, ScheduleWeight)
    assert (dfl.weight.kind, dfl.weight.from_, dfl.weight.to) == ("cosine", 1.5, 0.15)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_what_a_user_could_write(name: str) -> None:
    indented = "".join(f"  {line}\n" for line in RECIPES[name].splitlines())
    assert parse(f"{HEAD}edges:\n{indented}").edges == parse(f"{HEAD}edges: {name}\n").edges


@pytest.mark.parametrize("epochs", [1, 3, 10, 11])
def test_the_default_recipe_fits_short_runs(epochs: int) -> None:
    parse(f"{HEAD}edges: default\ntrain: {{epochs: {epochs}}}\n")


@pytest.mark.parametrize(
    ("criterion", "mask", "options", "adapter"),
    [
        ("cwd", "all", {}, "auto"),
        ("sl2", "teacher_score", {"power": 1.0}, "mlp"),
        ("ld", "foreground", {"of": "student", "topk": 10}, "auto"),
        ("m2d2", "foreground", {"of": "teacher", "topk": 10}, "auto"),
    ],
)
def test_masks_and_adapters_that_are_not_written(
    criterion: str, mask: str, options: dict[str, object], adapter: str
) -> None:
    edge = parse(f"{HEAD}edges: {{e: {{taps: neck.*, criterion: {criterion}}}}}").edges["e"]
    assert edge.mask == (Component(name=mask, options=options),)
    assert edge.adapter.name == adapter
    assert edge.span("mask") is None


@pytest.mark.parametrize(
    ("text", "masks"),
    [
        ("foreground", [("foreground", {"of": "student", "topk": 10})]),
        ("[all]", [("all", {})]),
        ("[top_k, {top_k: {k: 5}}]", [("top_k", {"k": 100}), ("top_k", {"k": 5})]),
        ("[{boxes: {context: 2}}, score_gap]", [("boxes", {"context": 2.0}), ("score_gap", {"power": 1.0})]),
    ],
)
def test_ways_to_write_a_mask(text: str, masks: list[tuple[str, dict[str, object]]]) -> None:
    edge = parse(f"{HEAD}edges: {{e: {{taps: neck.*, criterion: mimic, mask: {text}}}}}").edges["e"]
    assert [(mask.name, mask.options) for mask in edge.mask] == masks
    assert all(mask.span() for mask in edge.mask)


@pytest.mark.parametrize(
    ("text", "student", "teacher", "standardise"),
    [
        ("head.cls.*.0", ("head.cls.*.0",), ("head.cls.*.0",), True),
        ("[model.9, model.10]", ("model.9", "model.10"), ("model.9", "model.10"), True),
        ("{student: model.9, teacher: [model.10]}", ("model.9",), ("model.10",), True),
        ("deep", ("model.10",), ("model.12",), True),
        ("{at: deep, standardise: no}", ("model.10",), ("model.12",), False),
        ("{at: {student: model.9, teacher: model.10}}", ("model.9",), ("model.10",), True),
    ],
)
def test_ways_to_write_a_splice(
    text: str, student: tuple[str, ...], teacher: tuple[str, ...], standardise: bool
) -> None:
    named = "taps: {deep: {student: model.10, teacher: model.12}}\n"
    edge = parse(f"{HEAD}{named}edges: {{e: {{taps: head.cls, criterion: qfl, splice: {text}}}}}").edges["e"]
    assert edge.splice == SpliceSpec(at=TapSpec(student=student, teacher=teacher), standardise=standardise)
    assert None not in (edge.splice.span(), edge.splice.span("at"), edge.splice.at.span())


def test_an_edge_has_no_splice_unless_it_is_written() -> None:
    assert one_edge("splice: ").edges["e"].splice is None
    assert one_edge("weight: 1").edges["e"].splice is None


def test_phases() -> None:
    first, second, third = "until: 30, edges: [neck]", "until: -9, edges: all", "edges: box"
    text = f"phases: [{{name: a, {first}}}, {{name: b, {second}}}, {{name: c, {third}}}]"
    assert parse(f"{HEAD}edges: default\n{text}").phases == (
        PhaseSpec(name="a", until=30, edges=("neck",)),
        PhaseSpec(name="b", until=-9, edges=("neck", "cls", "box", "mask", "kpt", "angle")),
        PhaseSpec(name="c", until=None, edges=("box",)),
    )


def test_an_edge_may_be_called_all() -> None:
    edges = "edges: {all: {taps: neck.*, criterion: cwd}, b: {taps: neck.*, criterion: pkd}}"
    phases = "phases: [{name: a, until: 5, edges: [all]}, {name: b, edges: all}]"
    assert [phase.edges for phase in parse(f"{HEAD}{edges}\n{phases}").phases] == [("all",), ("all", "b")]


def test_phases_may_end_before_the_run() -> None:
    [phase] = parse(f"{HEAD}edges: default\nphases: [{{name: a, until: 5, edges: all}}]").phases
    assert phase.until == 5


@pytest.mark.parametrize("text", ["gradient_norm", "{gradient_norm: {at: neck.*, every: 16}}"])
def test_balance(text: str) -> None:
    options = {"at": "neck.*", "every": 16, "momentum": 0.9}
    balance = parse(f"{HEAD}edges: default\nbalance: {text}").balance
    assert balance == Component(name="gradient_norm", options=options)


@pytest.mark.parametrize("text", ["cwd", "{cwd: }", "{cwd: {}}", "{cwd: {tau: 1}}", "{'cwd': {norm: none}}"])
def test_ways_to_write_a_component(text: str) -> None:
    edge = parse(f"{HEAD}edges: {{e: {{taps: neck.*, criterion: {text}}}}}").edges["e"]
    assert (edge.criterion.name, edge.criterion.options) == ("cwd", {"tau": 1.0, "norm": "none"})


@pytest.mark.parametrize(
    ("text", "student", "teacher"),
    [
        ("neck.*", ("neck.*",), ("neck.*",)),
        ("'*.p3'", ("*.p3",), ("*.p3",)),
        ("[neck.p3, 'neck.p[45]']", ("neck.p3", "neck.p[45]"), ("neck.p3", "neck.p[45]")),
        ("{student: model.10, teacher: [model.9, model.10]}", ("model.10",), ("model.9", "model.10")),
        ("deep", ("model.10",), ("model.12",)),
    ],
)
def test_ways_to_write_a_tap(text: str, student: tuple[str, ...], teacher: tuple[str, ...]) -> None:
    named = "taps: {deep: {student: model.10, teacher: model.12}}\n"
    spec = parse(f"{HEAD}{named}edges: {{e: {{taps: {text}, criterion: cwd}}}}")
    assert spec.edges["e"].taps == TapSpec(student=student, teacher=teacher)


def test_ways_to_write_a_weight() -> None:
    assert one_edge("weight: 3e-1").edges["e"].weight == ConstantWeight(value=0.3)
    assert one_edge("weight: [1, 0]").edges["e"].weight == LevelWeight(values=(1.0, 0.0))
    assert one_edge("weight: {p3: 1, p4: .5}").edges["e"].weight == LevelWeight(by_level={"p3": 1, "p4": 0.5})
    schedule = one_edge("weight: {linear: {from: 1, to: 0, epochs: [5, -5]}}").edges["e"].weight
    assert schedule == ScheduleWeight(kind="linear", from_=1, to=0, epochs=(5, -5))


def test_train_arguments_have_the_types_ultralytics_wants() -> None:
    text = "{lr0: 1e-3, epochs: 3, name: 2024, device: 0, cos_lr: on, time: , amp: bf16, scale: [0.5, 2.0]}"
    train = parse(f"{HEAD}edges: default\ntrain: {text}").train
    assert train == {
        "lr0": 0.001,
        "epochs": 3,
        "name": "2024",
        "device": 0,
        "cos_lr": True,
        "time": None,
        "amp": "bf16",
        "scale": [0.5, 2.0],
    }


@pytest.mark.parametrize("text", [*EMPTY.splitlines()[1:], "outputs: []\n", "train: {}\n", "plugins: []"])
def test_sections_may_be_empty(text: str) -> None:
    assert parse(f"{HEAD}edges: default\n{text}") == parse(f"{HEAD}edges: default\n")


def test_outputs() -> None:
    assert parse(f"{HEAD}edges: default\noutputs: taps\n").outputs == ("taps",)
    assert parse(f"{HEAD}edges: default\noutputs: [teacher, taps]\n").outputs == ("teacher", "taps")


def test_a_teacher_to_be_trained() -> None:
    teacher = parse(
        HEAD.replace("yolo11m.pt", "{model: m.yaml, train: {epochs: 50}}") + "edges: default\n"
    ).teacher
    assert (teacher.model, teacher.trust, teacher.train) == ("m.yaml", False, {"epochs": 50})


def test_parts_know_where_they_were_written() -> None:
    spec = parse(
        f"{HEAD}edges:\n  neck:\n    taps: [neck.p3, neck.p4]\n    criterion: {{cwd: {{tau: 2}}}}\n", "s.yaml"
    )
    edge = spec.edges["neck"]
    places = {
        "student": spec.student.span("model"),
        "neck": edge.span(),
        "[neck.p3, neck.p4]": edge.span("taps"),
        "neck.p4": edge.taps.span("teacher[1]"),
        "cwd": edge.criterion.span(),
        "2": edge.criterion.span("tau"),
    }
    shown = {name: span and span.text[span.column - 1 : span.end_column - 1] for name, span in places.items()}
    assert shown == {name: name for name in places} | {"student": "yolo11n.pt"}
    assert all(span and span.file == "s.yaml" for span in places.values())


def test_specs_are_equal_when_they_say_the_same() -> None:
    flow = one_edge("weight: 1")
    block = parse(HEAD + "edges:\n  e:\n    criterion: {cwd: {tau: 1.0}}\n    taps: [neck.*]  # all\n")
    assert flow == block
    assert flow != one_edge("weight: 2")


@pytest.mark.parametrize("text", VALID)
def test_specs_survive_json_pickling_and_copying(text: str) -> None:
    spec = parse(text)
    assert Spec.model_validate_json(spec.model_dump_json()) == spec
    for mode in ("json", "python"):
        assert Spec.model_validate(spec.model_dump(mode=mode)) == spec
    for copied in (pickle.loads(pickle.dumps(spec)), copy.deepcopy(spec)):
        assert copied == spec
        assert copied.student.span("model") == spec.student.span("model")


def test_specs_are_frozen() -> None:
    spec = parse(HEAD + "edges: default\n")
    with pytest.raises(ValidationError, match="frozen"):
        spec.edges["neck"].weight = ConstantWeight(value=2.0)  # type: ignore[misc]


def test_a_file_knows_its_path(tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text(HEAD + "edges: default\n", encoding="utf-8")
    assert load(file).path == file
    assert load(str(file)).student.span("model") is not None


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "quickstart.yaml").touch()
    for path, message in {
        tmp_path / "quikstart.yaml": "quickstart.yaml?",
        tmp_path / "none" / "spec.yaml": "there is no folder",
        tmp_path: "name a file in it",
        tmp_path / "a\0b.yaml": "error[KD001]",
        tmp_path / ("x" * 5000): "error[KD001]",
    }.items():
        with pytest.raises(SpecError) as caught:
            load(path)
        assert message in str(caught.value)
        assert "error[KD001]" in str(caught.value)


def test_absurd_sizes_are_refused_quickly() -> None:
    start = time.perf_counter()
    assert "error[KD007]" in said("a: 1\n" * MAX_CHARACTERS)
    assert "error[KD007]" in said("[" * (MAX_CHARACTERS - 1))
    assert "error[KD007]" in said("{a: " * (MAX_CHARACTERS // 5))
    assert "error[KD103]" in said("x" * (MAX_CHARACTERS - 1))
    assert time.perf_counter() - start < 10


def test_all_faults_of_all_parts_are_told_at_once() -> None:
    codes = [
        "KD005",
        "KD006",
        "KD101",
        "KD102",
        "KD103",
        "KD104",
        "KD105",
        "KD106",
        "KD107",
        "KD108",
        "KD112",
    ]
    output = said(
        "student: 3\nstudent: n\nteacher: {train: {data: x}}\nedges:\n  1st: {taps: a b, criterion: cwdd}\n"
        "  b: {taps: x.y, criterion: {cwd: {tua: 1, tau: 0}}, mask: *m}\noops: 1\n"
    )
    assert [code for code in codes if code not in output] == []


def test_nothing_of_torch_is_imported() -> None:
    code = (
        "import sys, kdgraph.spec, kdgraph.spec.json_schema as j; "
        f"kdgraph.spec.parse({HEAD + 'edges: default'!r}); j.json_schema(); "
        "print(sorted({'torch', 'ultralytics', 'numpy', 'networkx'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
