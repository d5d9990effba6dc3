"""The shapes that the spec's JSON Schema is made of."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import BaseModel

from kdgraph.spec.reading.names import NAME_PATTERN

Schema = dict[str, Any]

NULL: Schema = {"type": "null"}
TEXT: Schema = {"type": "string", "pattern": r"\S"}
SCALAR: Schema = {"type": ["string", "number", "boolean"]}
"""What is read as the text it was written as: `name: 2024`."""


def object_of(
    model: type[BaseModel],
    schemas: Mapping[str, Schema],
    required: Collection[str] = (),
    nullable: Collection[str] = (),
) -> Schema:
    """A closed map whose keys have the descriptions of the fields of `model`."""
    described = {(field.alias or name): field.description for name, field in model.model_fields.items()}
    properties = {
        key: {"description": described.get(key), **(any_of(schema, NULL) if key in nullable else schema)}
        for key, schema in schemas.items()
    }
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def name(taken: Collection[str] = ()) -> Schema:
    """A name that the user chose, none of those `taken`."""
    schema: Schema = {"type": "string", "pattern": f"^{NAME_PATTERN}$"}
    return {**schema, "not": {"enum": list(taken)}} if taken else schema


def named(schema: Schema, taken: Collection[str] = (), **bounds: int) -> Schema:
    """A map whose keys are names that the user chose."""
    return {"type": "object", "propertyNames": name(taken), "additionalProperties": schema, **bounds}


def choice(schemas: Mapping[str, Schema]) -> Schema:
    """A map with exactly one of the keys."""
    return {
        "type": "object",
        "properties": dict(schemas),
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }


def one_or_many(schema: Schema, **bounds: int) -> Schema:
    return any_of(schema, {"type": "array", "items": schema, **bounds})


def any_of(*schemas: Schema) -> Schema:
    return dict(schemas[0]) if len(schemas) == 1 else {"anyOf": list(schemas)}


def ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}
