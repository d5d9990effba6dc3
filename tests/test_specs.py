"""The shipped specs fit their models, and say what they are and how to run them."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

import kdgraph
from kdgraph.compiler.api import plan
from kdgraph.spec.json_schema import json_schema

FOLDER = Path(__file__).parent.parent / "specs"
SPECS = sorted(FOLDER.glob("*.yaml"))


def test_all_are_there() -> None:
    assert {"quickstart", "minimal", "yolo11m-to-n", "sl2"} <= {file.stem for file in SPECS}


@pytest.mark.parametrize("file", SPECS, ids=lambda file: file.stem)
def test_it_fits_and_says_how_to_run_it(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=kdgraph.schema.json\n")
    assert f"kdgraph run specs/{file.name}" in text
    planned = plan(kdgraph.load(file), weights=False)
    assert planned.accounts[-1].name == "fold_teacher"


@pytest.mark.parametrize("file", SPECS, ids=lambda file: file.stem)
def test_an_editor_accepts_it(file: Path) -> None:
    jsonschema.validate(yaml.safe_load(file.read_text(encoding="utf-8")), json_schema())


def test_the_schema_beside_them_is_the_printed_one() -> None:
    """Except for the train arguments, which follow the Ultralytics that is installed."""
    written = json.loads((FOLDER / "kdgraph.schema.json").read_text(encoding="utf-8"))
    assert written["$defs"]["edge"] == json_schema()["$defs"]["edge"]
