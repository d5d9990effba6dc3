"""Whatever is done to a valid spec, the answer is a Spec or diagnostics, never another exception."""

from __future__ import annotations

from typing import Any

import jsonschema
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kdgraph.errors import CODES, Diagnostic, SpecError
from kdgraph.spec import Spec, parse
from kdgraph.spec.json_schema import json_schema
from kdgraph.spec.reading.values import plain
from kdgraph.spec.source import read_source
from tests.spec.corpus import VALID

WORDS = [
    *"&*!|>%@`'\"#:-?,[]{}~<\\",
    *(" ", "\n", "\t", "\r\n", "\x00", "\x85", "\u2028", "\ufeff", "\ud800", "\U0001f600", "é", "数"),
    *(
        "null",
        "true",
        "on",
        ".nan",
        ".inf",
        "-.inf",
        "-1",
        "0",
        "1e999",
        "9" * 5000,
        "3e-4",
        "0x10",
        "2024-01-01",
    ),
    *(
        "- ",
        "? ",
        ": ",
        "<<: ",
        "--- ",
        "\n...\n",
        "!!python/object:os.system ",
        "&a ",
        "*a",
        '"\\U00110000"',
    ),
    *("student", "teacher", "edges: default", "taps", "default", "cosine", "p3", "epochs", "{", "  "),
    *("teachers", "student.ema", "large", "python", "classes", "channels", "imgsz"),
]
SCHEMA = jsonschema.Draft202012Validator(json_schema())
texts = st.sampled_from(VALID)


def answer(text: str) -> Spec | SpecError:
    try:
        return parse(text, "spec.yaml")
    except SpecError as error:
        return error


def check(text: str) -> Spec | SpecError:
    """Parse, and hold the answer to its contract."""
    said = answer(text)
    if isinstance(said, SpecError):
        assert said.diagnostics
        for diagnostic in said.diagnostics:
            check_diagnostic(diagnostic)
        assert str(said).encode("utf-8").count(b"error[KD") == len(said.diagnostics)
    return said


def check_diagnostic(diagnostic: Diagnostic) -> None:
    assert diagnostic.code in CODES
    assert diagnostic.hint
    assert diagnostic.span
    assert 1 <= diagnostic.span.column < diagnostic.span.end_column
    assert diagnostic.span.column <= len(diagnostic.span.text) + 1


@st.composite
def edited(draw: st.DrawFn) -> str:
    """A valid spec with pieces cut out, put in, doubled or swapped."""
    text = draw(texts)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 12)))
        piece = draw(
            st.one_of(st.just(""), st.sampled_from(WORDS), st.text(max_size=4), st.just(text[start:end] * 2))
        )
        text = text[:start] + piece + text[end:]
    return text


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


def places(node: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a tree."""
    keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    return [place for key in keys for place in [(node, key), *places(node[key])]]


@st.composite
def restructured(draw: st.DrawFn) -> str:
    """A valid spec with values replaced, moved or deleted and keys renamed, written as YAML again."""
    tree = plain(read_source(draw(texts), "spec.yaml").root)
    for _ in range(draw(st.integers(1, 4))):
        found = places(tree)
        if not found:
            break
        container, key = draw(st.sampled_from(found))
        other, other_key = draw(st.sampled_from(found))
        action = draw(st.sampled_from(["replace", "delete", "rename", "move"]))
        if action == "replace":
            container[key] = draw(values)
        elif action == "move":
            container[key] = plain_copy(other[other_key])
        elif action == "rename" and isinstance(container, dict):
            container[draw(st.text(max_size=6) | st.sampled_from(WORDS))] = container.pop(key)
        else:
            del container[key]
    return yaml.safe_dump(
        tree, allow_unicode=True, default_flow_style=draw(st.sampled_from([None, True, False]))
    )


def plain_copy(node: Any) -> Any:
    """A copy without shared parts, so that YAML needs no aliases for it."""
    if isinstance(node, dict):
        return {key: plain_copy(value) for key, value in node.items()}
    return [plain_copy(value) for value in node] if isinstance(node, list) else node


@settings(max_examples=400, deadline=None)
@given(edited())
@example("a: *a")
@example('student: "\\U00110000"')
@example("%YAML 9" + "9" * 5000 + ".1\n---\na: 1")
@example("? ")
@example("- ? : ")
@example("!<tag:yaml.org,2002:null> ")
def test_edited_texts(text: str) -> None:
    check(text)


@settings(max_examples=400, deadline=None)
@given(restructured())
def test_restructured_specs(text: str) -> None:
    """And what parse accepts, the JSON Schema accepts."""
    if isinstance(check(text), Spec):
        SCHEMA.validate(plain(read_source(text, "spec.yaml").root))


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60) | st.lists(st.sampled_from(WORDS), max_size=20).map("".join))
def test_any_text(text: str) -> None:
    check(text)


def test_valid_specs_stay_valid_when_yaml_writes_them_anew() -> None:
    for text in VALID:
        tree = plain(read_source(text, "spec.yaml").root)
        assert parse(yaml.safe_dump(tree, sort_keys=False)) == parse(text)
