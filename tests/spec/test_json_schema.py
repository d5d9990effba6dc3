from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from kdgraph.errors import SpecError
from kdgraph.spec import parse
from kdgraph.spec.components import COMPONENTS
from kdgraph.spec.json_schema import json_schema
from kdgraph.spec.reading.values import plain
from kdgraph.spec.schema import EdgeSpec, ModelSpec, PhaseSpec, Spec, SpliceSpec, TeacherSpec
from kdgraph.spec.source import read_source
from tests.spec.corpus import SMALLEST, VALID
from tests.spec.test_cases import CASES, LINE

SCHEMA = json_schema()
CHECKER = jsonschema.Draft202012Validator(SCHEMA)
SPECS = sorted(Path(__file__).parents[2].joinpath("specs").glob("*.yaml"))


def instance(text: str) -> Any:
    """The text as an editor sees it."""
    source = read_source(text, "spec.yaml")
    assert not source.faults
    return plain(source.root)


def test_it_is_a_json_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


@pytest.mark.parametrize("text", VALID)
def test_it_accepts_what_parse_accepts(text: str) -> None:
    parse(text)
    CHECKER.validate(instance(text))


@pytest.mark.parametrize("file", SPECS, ids=lambda file: file.name)
def test_it_accepts_the_shipped_specs(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    parse(text, file.name)
    CHECKER.validate(instance(text))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_it_refuses_the_broken_cases(case: Path) -> None:
    """The cases are broken for parse, and for an editor too, but for what a JSON Schema cannot say."""
    spec, _, output = case.read_bytes().partition(LINE)
    codes = ("KD00", "KD108", "KD109", "KD110", "KD111", "KD114")
    words = (
        "is to be trained",
        "finite",
        "no edge is named",
        "no teacher is named",
        "is no teacher",
        "only the last phase",
        "the mask 'foreground' is",
    )
    if any(word in output.decode() for word in (*codes, *words)):
        return
    assert not CHECKER.is_valid(instance(spec.decode()))


def test_every_key_of_the_language_is_in_it() -> None:
    definitions = SCHEMA["$defs"]
    written = {
        Spec: SCHEMA,
        EdgeSpec: definitions["edge"],
        PhaseSpec: definitions["phase"],
        SpliceSpec: definitions["splice"]["anyOf"][1],
        ModelSpec: definitions["student"]["anyOf"][1],
        TeacherSpec: definitions["teacher"]["anyOf"][2],
    }
    for model, schema in written.items():
        keys = {field.alias or name for name, field in model.model_fields.items()}
        own = {EdgeSpec: {"name"}, Spec: {"path", "recipe"}}  # of Python, not of the language
        more = {"teacher"} if model is Spec else set()  # the short way to write one of `teachers`
        assert set(schema["properties"]) == (keys - own.get(model, set())) | more
        assert all(part["description"] for part in schema["properties"].values())


def test_every_component_and_option_is_in_it_and_described() -> None:
    for kind, infos in COMPONENTS.items():
        *names, choice = SCHEMA["$defs"][kind]["anyOf"]
        assert [name["const"] for name in names] == list(infos)
        assert all(name["description"] for name in names)
        for name, info in infos.items():
            options = choice["properties"][name]["anyOf"][0].get("properties", {})
            assert list(options) == list(info.options.model_fields)
            assert all("description" in option and "default" in option for option in options.values())


@pytest.mark.parametrize(
    "change",
    [
        ("edges: default", "edges: defualt"),
        ("student: yolo11n.pt", "studnet: yolo11n.pt"),
        ("edges: default", "edges: {}"),
        ("edges: default", "edges: {e: {taps: neck.*}}"),
        ("edges: default", "edges: default\ntrain: {epochs: 1.5}"),
        ("edges: default", "edges: default\ntrain: {data: x}"),
    ],
)
def test_it_refuses(change: tuple[str, str]) -> None:
    text = SMALLEST.replace(*change)
    assert not CHECKER.is_valid(instance(text))
    with pytest.raises(SpecError):
        parse(text)


def test_train_arguments_are_described() -> None:
    train = SCHEMA["$defs"]["train"]["properties"]
    assert "number of epochs" in train["epochs"]["description"]
    assert not {"model", "data", "task", "mode", "resume", "distill_model", "dis"} & set(train)
