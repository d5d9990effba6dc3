"""Who teaches: one teacher, several, a function of one's own, the student's average or the student itself."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from kdgraph.errors import SpecError
from kdgraph.spec import Spec, parse, plugins
from kdgraph.spec.json_schema import json_schema
from kdgraph.spec.reading.values import plain
from kdgraph.spec.schema import (
    STUDENT_EMA,
    Component,
    EdgeSpec,
    ModelSpec,
    TapSpec,
    TeacherSpec,
    follows_student,
)
from kdgraph.spec.source import read_source
from tests.spec.corpus import DEEP, TEACHERS, with_teacher

CHECKER = jsonschema.Draft202012Validator(json_schema())
EDGE = "{taps: neck.*, criterion: cwd}"


def one(text: str) -> TeacherSpec:
    return parse(with_teacher(text)).teacher


def said(text: str) -> str:
    with pytest.raises(SpecError) as caught:
        parse(text)
    return str(caught.value)


def accepted(text: str) -> bool:
    """What the JSON Schema says of it."""
    return CHECKER.is_valid(plain(read_source(text, "spec.yaml").root))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a module of models, and no trace of it afterwards."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_models.py").write_text("def small():\n    return 'small'\n", encoding="utf-8")
    yield tmp_path
    sys.modules.pop("own_models", None)
    plugins._forget({"own_models"})


def test_a_teacher_that_sees_the_images_in_its_own_way() -> None:
    teacher = one("{model: x.pt, imgsz: 960, channels: [0, 1, 2], classes: {automobile: car}}")
    assert (teacher.imgsz, teacher.channels, teacher.classes) == (960, (0, 1, 2), {"automobile": "car"})
    assert (teacher.python, teacher.train, teacher.trust) == (None, None, False)
    assert one("x.pt") == one("{model: x.pt}") == TeacherSpec(model="x.pt")


@pytest.mark.parametrize(
    ("text", "classes"),
    [
        ("{1: 2, yes: no, 3e-4: .nan}", {"1": "2", "yes": "no", "3e-4": ".nan"}),
        ("{'null': 'null', '': x}", None),
        ("{traffic light: 'stop sign', 0x1: 01}", {"traffic light": "stop sign", "0x1": "01"}),
        ("{null: a}", {"null": "a"}),
        ("{a: null}", None),
        ("{a: [b]}", None),
        ("{a: {b: c}}", None),
        ("{a: '  '}", None),
    ],
)
def test_classes_are_texts_as_they_were_written(text: str, classes: dict[str, str] | None) -> None:
    spec = with_teacher(f"{{model: x.pt, classes: {text}}}")
    assert accepted(spec) == (classes is not None)
    if classes is None:
        assert "the name of a class" in said(spec)
    else:
        assert parse(spec).teacher.classes == classes


@pytest.mark.parametrize(
    ("view", "good"),
    [
        ("imgsz: 32", True),
        ("imgsz: 640.0", True),
        ("imgsz: 31", False),
        ("imgsz: -640", False),
        ("imgsz: .inf", False),
        ("imgsz: yes", False),
        ("imgsz: '640'", False),
        ("imgsz:", False),
        ("channels: [0]", True),
        ("channels: [0, 0, 0]", True),
        ("channels: 0", False),
        ("channels: ['0']", False),
        ("channels: [[0]]", False),
        ("channels: [yes]", False),
        ("precision: bfloat16", True),
        ("precision: float16", True),
        ("precision: float32", False),
        ("precision: 16", False),
        ("precision: [bfloat16]", False),
        ("classes: []", False),
        ("classes: {}", False),
    ],
)
def test_bounds_are_those_of_the_json_schema(view: str, good: bool) -> None:
    spec = with_teacher(f"{{model: x.pt, {view}}}")
    if good:
        parse(spec)
    else:
        assert said(spec).count("error[KD10") == 1
    assert view == "imgsz: .inf" or accepted(spec) == good  # JSON has no infinity


def test_several_teachers() -> None:
    spec = parse(TEACHERS)
    assert list(spec.teachers) == ["large", "fresh", "average", "follower", "own", "old"]
    assert spec.teacher is spec.teachers["large"]
    assert {name: edge.teacher for name, edge in spec.edges.items()} == {
        "neck": ("large",),
        "cls": ("large", "old", "follower"),
        "box": ("fresh",),
        "mean": ("average",),
        "raw": ("own",),
        "deep": ("student",),
    }
    assert [role for role in (*spec.teachers, "student") if follows_student(spec, role)] == [
        "average",
        "follower",
    ]
    assert (spec.teachers["own"].python, spec.teachers["own"].model) == ("tests.spec.plugin:teacher",) * 2
    assert spec.recipe is None


def test_a_teacher_and_a_role_know_where_they_were_written() -> None:
    spec = parse(TEACHERS)
    spans = {
        "student.ema": spec.teachers["follower"].span("model"),
        "{'0': zero}": spec.teachers["own"].span("classes"),
        "[large, old, follower]": spec.edges["cls"].span("teacher"),
    }
    shown = {name: span and span.text[span.column - 1 : span.end_column - 1] for name, span in spans.items()}
    assert shown == {name: name for name in spans}


def test_one_teacher_with_a_name_of_its_own_takes_a_recipe() -> None:
    spec = parse("student: a.pt\nteachers: {only: b.pt}\nedges: default\n")
    assert {edge.teacher for edge in spec.edges.values()} == {("only",)}
    assert spec.recipe == "default"


@pytest.mark.parametrize("text", ["student", "{model: student}"])
def test_the_student_itself(text: str) -> None:
    spec = parse(with_teacher(text, DEEP))
    assert spec.teachers == {}
    assert spec.edges["deep"].teacher == ("student",)
    with pytest.raises(LookupError, match="teaches itself"):
        _ = spec.teacher


def test_the_average_of_the_student() -> None:
    assert one("student.ema").model == STUDENT_EMA
    assert one("{model: student.ema, imgsz: 1280}").imgsz == 1280
    assert {edge.teacher for edge in parse(with_teacher("student.ema")).edges.values()} == {("teacher",)}


def test_models_may_be_called_like_the_student() -> None:
    for name in ("student.pt", "student.yaml", "students", "runs/student/weights/best.pt"):
        assert one(name).model == name


def test_the_student_may_teach_beside_the_only_teacher() -> None:
    edges = f"edges: {{a: {EDGE}, b: {{taps: neck.*, criterion: cwd, teacher: student}}}}\n"
    spec = parse(with_teacher("b.pt", edges))
    assert [edge.teacher for edge in spec.edges.values()] == [("teacher",), ("student",)]


def test_a_splice_goes_through_one_of_several_teachers() -> None:
    edge = "{taps: head.cls, criterion: qfl, splice: head.cls.*.0, teacher: TEACHER}"
    text = f"student: a.pt\nteachers: {{x: x.pt, y: y.pt}}\nedges:\n  a: {edge}\n  b: {edge}\n"
    good = text.replace("TEACHER", "x", 1).replace("TEACHER", "[y]")
    assert [edge.teacher for edge in parse(good).edges.values()] == [("x",), ("y",)]
    assert said(text.replace("TEACHER", "[x, y]")).count("one frozen teacher") == 2


@pytest.mark.parametrize(
    ("teachers", "edges"),
    [
        ("{student: a.pt}", "{a: {taps: neck.*, criterion: cwd, teacher: student}}"),
        ("{teacher: a.pt}", f"{{a: {EDGE}}}"),
        ("{x: student}", f"{{a: {EDGE}}}"),
        ("{x: x.pt, y: y.pt}", f"{{a: {EDGE}}}"),
        ("{x: x.pt, y: y.pt}", "default"),
        ("{x: x.pt}", "{a: {taps: neck.*, criterion: cwd, teacher: [student, x]}}"),
        ("{x: x.pt}", "{a: {taps: neck.*, criterion: cwd, teacher: [x, x]}}"),
        ("{x: x.pt}\nteacher: y.pt", f"{{a: {EDGE}}}"),
        ("{x: {python: 'a:b', train: {epochs: 3}}}\nplugins: a\ndata: d.yaml", f"{{a: {EDGE}}}"),
        ("{x: {python: 'a:b', trust: no}}\nplugins: a", f"{{a: {EDGE}}}"),
        ("{x: {python: 'a:b', model: x.pt}}\nplugins: a", f"{{a: {EDGE}}}"),
        ("{x: {model: student.ema, classes: {a: b}}}", f"{{a: {EDGE}}}"),
        ("{x: {model: student.ema, channels: [0]}}", f"{{a: {EDGE}}}"),
        ("{x: {model: student.ema, trust: yes}}", f"{{a: {EDGE}}}"),
        ("{x: {model: student.ema, train: {}}}\ndata: d.yaml", f"{{a: {EDGE}}}"),
        ("{x: {python: 'a.b'}}\nplugins: a", f"{{a: {EDGE}}}"),
        ("{x: {}}", f"{{a: {EDGE}}}"),
        ("{}", f"{{a: {EDGE}}}"),
        ("", f"{{a: {EDGE}}}"),
    ],
)
def test_an_editor_sees_it_too(teachers: str, edges: str) -> None:
    """What only parse can know, as whether a teacher is used, is in `cases/`."""
    text = f"student: s.pt\nteachers: {teachers}\nedges: {edges}\n"
    assert "error[KD1" in said(text)
    assert not accepted(text)


def test_reading_a_spec_runs_the_module_but_not_the_function(here: Path) -> None:
    teacher = parse(
        "plugins: own_models\n" + with_teacher("{python: 'own_models:small', imgsz: 224}")
    ).teacher
    assert (teacher.python, teacher.model, teacher.imgsz) == ("own_models:small", "own_models:small", 224)
    found = plugins.function("own_models:small")
    assert found is not None
    assert found() == "small"
    for name in ("own_models:large", "own_models:__name__", "no_models:small", "no_models:__class__"):
        assert plugins.function(name) is None


def test_a_module_is_listed_before_it_is_run(here: Path) -> None:
    (here / "own_models.py").write_text("raise SystemExit('it was run')\n", encoding="utf-8")
    assert "not in `plugins`" in said(with_teacher("{python: 'own_models:small'}"))
    assert "own_models" not in sys.modules


def test_a_module_without_components_is_a_plugin_only_of_a_teacher(here: Path) -> None:
    several = "plugins: [own_models]\nstudent: a.pt\nteachers: {x: {python: 'own_models:small'}}\n"
    assert parse(f"{several}edges: {{a: {EDGE}}}\n").plugins == ("own_models",)
    assert "own_models registers nothing" in said("plugins: own_models\n" + with_teacher("b.pt"))


def spec_of(edge: dict[str, object], **teachers: object) -> Spec:
    """A spec that is made in Python."""
    taps = TapSpec(student=("neck.*",), teacher=("neck.*",))
    parts = {name: Component(name=name) for name in ("cwd", "all", "auto")}
    made = EdgeSpec(
        name="a", taps=taps, criterion=parts["cwd"], mask=(parts["all"],), adapter=parts["auto"], **edge
    )
    return Spec(student=ModelSpec(model="a.pt"), edges={"a": made}, **teachers)


def test_specs_made_in_python() -> None:
    x, y = TeacherSpec(model="x.pt"), TeacherSpec(model="y.pt")
    assert spec_of({}, teacher=x).teachers == {"teacher": x}
    assert spec_of({}, teacher={"model": "x.pt"}).teachers == {"teacher": x}
    assert list(spec_of({"teacher": ("y",)}, teachers={"x": x, "y": y}).teachers) == ["x", "y"]
    for student in (TeacherSpec(model="student"), {"model": "student"}):
        assert spec_of({"teacher": ("student",)}, teacher=student).teachers == {}


@pytest.mark.parametrize("teachers", [{"teachers": {}}, {"teachers": {"x": {"model": "x.pt"}}}])
def test_a_spec_made_in_python_has_the_teachers_of_its_edges(teachers: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=r"edge 'a': no teacher is named teacher; there is .*student"):
        spec_of({}, **teachers)


ROLES = st.lists(st.sampled_from(["a", "b", "c-1", "D_2"]), min_size=1, unique=True)


@settings(max_examples=60, deadline=None)
@given(
    roles=ROLES,
    edges=st.lists(ROLES | st.just(["student"]), min_size=1, max_size=4),
    short=st.booleans(),
)
def test_roles_survive_whatever_teaches(roles: list[str], edges: list[list[str]], short: bool) -> None:
    """Either every name is known and every teacher used, and the spec says just what was written, or not."""
    written = [each[0] if (short and len(each) == 1) or each == ["student"] else each for each in edges]
    lines = [
        f"  e{number}: {{taps: neck.*, criterion: cwd, teacher: {str(each).replace(chr(39), '')}}}\n"
        for number, each in enumerate(written)
    ]
    teachers = ", ".join(f"{role}: {role}.pt" for role in roles)
    text = f"student: s.pt\nteachers: {{{teachers}}}\nedges:\n{''.join(lines)}"
    named = {name for each in edges for name in each} - {"student"}
    if named != set(roles):
        output = said(text)
        assert ("no teacher is named" in output) == bool(named - set(roles))
        return
    spec = parse(text)
    assert [edge.teacher for edge in spec.edges.values()] == [tuple(each) for each in edges]
    assert Spec.model_validate(spec.model_dump(mode="json")) == spec
    assert accepted(text)
