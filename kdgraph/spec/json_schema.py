"""The spec language as a JSON Schema, for editors: completion, documentation and checks while typing.

Keys, descriptions and bounds come from the schema's models and from the list of components, so that there is
one place for each. It accepts every spec that `parse` accepts, and some more: unknown names of taps, epochs
that contradict each other and the like are found by `parse` alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import BaseModel

from kdgraph.spec.components import COMPONENTS, ComponentInfo, Kind
from kdgraph.spec.parse import NULLABLE, OUTPUTS
from kdgraph.spec.reading.edges import NAME_PATTERN
from kdgraph.spec.reading.edges import NULLABLE as EDGE_NULLABLE
from kdgraph.spec.reading.taps import TAP_PATTERN
from kdgraph.spec.reading.weights import LEVEL_PATTERN, SCHEDULES
from kdgraph.spec.recipes import RECIPES
from kdgraph.spec.schema import VERSION, EdgeSpec, ModelSpec, ScheduleWeight, Spec, TapSpec, TeacherSpec
from kdgraph.spec.train_args import STUDENT, TEACHER, Argument, arguments

Schema = dict[str, Any]

_NULL: Schema = {"type": "null"}
_NUMBER: Schema = {"type": "number"}
_NOT_NEGATIVE: Schema = {"type": "number", "minimum": 0}
_TEXT: Schema = {"type": "string", "pattern": r"\S"}
_SCALAR: Schema = {"type": ["string", "number", "boolean"]}  # parse takes `name: 2024` for the text it is


def json_schema() -> Schema:
    """The schema of a spec, with the train arguments of the installed Ultralytics."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "kdgraph spec",
        "$defs": _definitions(),
        **_object(
            Spec,
            {
                "kdgraph": {"const": VERSION},
                "student": _ref("student"),
                "teacher": _ref("teacher"),
                "data": _TEXT,
                "taps": _named(_ref("taps")),
                "edges": {"anyOf": [{"enum": list(RECIPES)}, _named(_ref("edge"), minProperties=1)]},
                "train": _ref("train"),
                "outputs": _one_or_many({"enum": list(OUTPUTS)}),
            },
            required=["student", "teacher", "edges"],
            nullable=NULLABLE,
        ),
    }


def _definitions() -> Schema:
    model = {"model": _TEXT, "trust": {"type": "boolean"}}
    teacher = {**model, "train": _train(TEACHER)}
    return {
        "student": _any_of(_TEXT, _object(ModelSpec, model, required=["model"])),
        "teacher": _any_of(_TEXT, _object(TeacherSpec, teacher, required=["model"])),
        "tap": {"type": "string", "pattern": f"^{TAP_PATTERN}$"},
        "taps": _any_of(_one_or_many(_ref("tap"), minItems=1, uniqueItems=True), _two_sides()),
        "edge": _edge(),
        **{kind: _component(kind) for kind in COMPONENTS},
        "weight": _weight(),
        "level": {"type": "string", "pattern": f"^{LEVEL_PATTERN}$"},
        "train": _train(STUDENT),
    }


def _two_sides() -> Schema:
    side = _one_or_many(_ref("tap"), minItems=1, uniqueItems=True)
    return _object(TapSpec, {"student": side, "teacher": side}, required=["student", "teacher"])


def _edge() -> Schema:
    schemas = {
        "taps": _ref("taps"),
        "criterion": _ref("criterion"),
        "mask": _ref("mask"),
        "adapter": _ref("adapter"),
        "weight": _ref("weight"),
        "from": _NUMBER,
        "until": _NUMBER,
        "warmup": _NOT_NEGATIVE,
        "level": _one_or_many(_ref("level"), minItems=1, uniqueItems=True),
    }
    return _object(EdgeSpec, schemas, required=["taps", "criterion"], nullable=EDGE_NULLABLE)


def _weight() -> Schema:
    epochs = {"type": "array", "items": _NUMBER, "minItems": 2, "maxItems": 2}
    ends = {"from": _NOT_NEGATIVE, "to": _NOT_NEGATIVE, "epochs": epochs}
    schedule = _object(ScheduleWeight, ends, required=["from", "to"], nullable=["epochs"])
    return _any_of(
        {"type": "number", "exclusiveMinimum": 0},
        {"type": "array", "items": _NOT_NEGATIVE, "minItems": 1},
        {
            "type": "object",
            "propertyNames": _ref("level"),
            "additionalProperties": _NOT_NEGATIVE,
            "minProperties": 1,
        },
        _choice(dict.fromkeys(SCHEDULES, schedule)),
    )


def _component(kind: Kind) -> Schema:
    """A name alone, or a map from one name to its options."""
    infos = COMPONENTS[kind].values()
    names = [{"const": info.name, "description": _described(info)} for info in infos]
    return _any_of(*names, _choice({info.name: _options(info) for info in infos}))


def _options(info: ComponentInfo) -> Schema:
    schema = info.options.model_json_schema()
    body: Schema = {
        key: schema[key] for key in ("type", "properties", "additionalProperties") if key in schema
    }
    return {"description": _described(info), **_any_of(body, _NULL)}


def _described(info: ComponentInfo) -> str:
    return f"{info.summary} ({info.source})" if info.source else info.summary


def _train(reserved: Collection[str]) -> Schema:
    known = arguments()
    properties = {name: _argument(known[name]) for name in known if name not in reserved}
    return {"type": "object", "properties": properties, "additionalProperties": not known}


def _argument(argument: Argument) -> Schema:
    if not argument.types:
        return {"description": argument.help}
    alternatives: list[Schema] = [{"type": name} for name in sorted(argument.types - {"string"})]
    alternatives += [_SCALAR] if "string" in argument.types else []
    alternatives += [_NULL] if argument.optional else []
    bound = {"minimum": 1} if argument.name == "epochs" else {}
    return {"description": argument.help, **_any_of(*alternatives), **bound}


def _object(
    model: type[BaseModel],
    schemas: Mapping[str, Schema],
    required: Collection[str] = (),
    nullable: Collection[str] = (),
) -> Schema:
    """A closed map whose keys have the descriptions of the fields of `model`."""
    described = {(field.alias or name): field.description for name, field in model.model_fields.items()}
    properties = {
        key: {"description": described[key], **(_any_of(schema, _NULL) if key in nullable else schema)}
        for key, schema in schemas.items()
    }
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _named(schema: Schema, **bounds: int) -> Schema:
    """A map whose keys are names that the user chose."""
    names = {"pattern": f"^{NAME_PATTERN}$"}
    return {"type": "object", "propertyNames": names, "additionalProperties": schema, **bounds}


def _choice(schemas: Mapping[str, Schema]) -> Schema:
    """A map with exactly one of the keys."""
    return {
        "type": "object",
        "properties": dict(schemas),
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }


def _one_or_many(schema: Schema, **bounds: int) -> Schema:
    return _any_of(schema, {"type": "array", "items": schema, **bounds})


def _any_of(*schemas: Schema) -> Schema:
    return dict(schemas[0]) if len(schemas) == 1 else {"anyOf": list(schemas)}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}
