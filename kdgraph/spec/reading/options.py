"""One option of a component, and in words what it must be."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from kdgraph.errors import closest
from kdgraph.spec.components import ComponentInfo
from kdgraph.spec.nodes import Node
from kdgraph.spec.reading.taps import read_name
from kdgraph.spec.reading.values import expected, fail, plain

_BOUNDS = frozenset(
    {
        "greater_than",
        "greater_than_equal",
        "less_than",
        "less_than_equal",
        "multiple_of",
        "literal_error",
        "finite_number",
        "string_pattern_mismatch",
        "string_too_short",
        "string_too_long",
    }
)
"""pydantic's words for a value of the right type that will not do."""


def read_option(info: ComponentInfo, key: str, node: Node) -> Any:
    """The value as it was written, after it was found good."""
    schema: dict[str, Any] = info.options.model_json_schema()["properties"][key]
    hint = f"{key}: {schema.get('description', schema.get('title'))}"
    if schema.get("format") == "tap":
        return read_name(node, hint)
    value = plain(node)
    fault = _fault(info, key, value)
    if fault is None:
        return value
    if fault["type"] in ("value_error", "assertion_error"):
        raise fail("KD104", node, str(fault["ctx"]["error"]), hint)
    must = requirement(schema)
    if fault["type"] == "finite_number":
        must = must.replace("a number", "a finite number")
    code = "KD104" if fault["type"] in _BOUNDS else "KD103"
    raise expected(node, must, f"{_near(schema, value)}{hint}", code)


def requirement(schema: dict[str, Any]) -> str:
    """What a value must be, in words made from its JSON Schema."""
    if "enum" in schema or "const" in schema:
        return " or ".join(str(choice) for choice in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "boolean":
        return "true or false"
    if schema.get("type") == "string":
        return f"a text like {schema['pattern']}" if "pattern" in schema else "a text"
    return f"{'a whole number' if schema.get('type') == 'integer' else 'a number'}{_bounds(schema)}"


def _bounds(schema: dict[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f" from {low:g} to {high:g}"
    words = {
        "exclusiveMinimum": "above",
        "minimum": "of at least",
        "exclusiveMaximum": "below",
        "maximum": "of at most",
        "multipleOf": "in steps of",
    }
    found = [f"{word} {schema[key]:g}" for key, word in words.items() if key in schema]
    return f" {' and '.join(found)}" if found else ""


def _fault(info: ComponentInfo, key: str, value: Any) -> Any:
    """What pydantic says of this option alone; other options may be missing, or contradict it."""
    try:
        info.validate({key: value})
    except ValidationError as error:
        return next((fault for fault in error.errors() if fault["loc"][:1] == (key,)), None)
    return None


def _near(schema: dict[str, Any], value: Any) -> str:
    """The choice that a text may have meant."""
    choices = [choice for choice in schema.get("enum", ()) if isinstance(choice, str)]
    matches = closest(value, choices, n=1) if isinstance(value, str) else []
    return f"did you mean '{matches[0]}'? " if matches else ""
