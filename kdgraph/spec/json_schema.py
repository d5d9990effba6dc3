"""The spec language as a JSON Schema, for editors: completion, documentation and checks while typing.

Keys, descriptions and bounds come from the schema's models and from the list of components, so that there is
one place for each. It accepts every spec that `parse` accepts, and some more: unknown names of taps, epochs
that contradict each other and the like are found by `parse` alone. What plugins register it cannot know: in a
spec that has some, a component may have any name.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from kdgraph.spec.components import COMPONENTS, ComponentInfo, Kind
from kdgraph.spec.components.base import TAP_PATTERN
from kdgraph.spec.json_parts import (
    NULL,
    SCALAR,
    TEXT,
    Schema,
    any_of,
    choice,
    name,
    named,
    object_of,
    one_or_many,
    ref,
)
from kdgraph.spec.json_teachers import MODEL, of_edge, of_several_teachers, only_teacher, teacher
from kdgraph.spec.modules import MODULE_PATTERN
from kdgraph.spec.parse import NULLABLE, OUTPUTS
from kdgraph.spec.plugins import NAME_PATTERN as COMPONENT_PATTERN
from kdgraph.spec.reading.edges import NULLABLE as EDGE_NULLABLE
from kdgraph.spec.reading.phases import ALL
from kdgraph.spec.reading.phases import NULLABLE as PHASE_NULLABLE
from kdgraph.spec.reading.teachers import RESERVED
from kdgraph.spec.reading.weights import LEVEL_PATTERN, SCHEDULES
from kdgraph.spec.recipes import RECIPES
from kdgraph.spec.schema import (
    VERSION,
    EdgeSpec,
    ModelSpec,
    PhaseSpec,
    ScheduleWeight,
    Spec,
    SpliceSpec,
    TapSpec,
)
from kdgraph.spec.train_args import OWN, STUDENT, TEACHER, Argument, arguments

_OPEN = "-with-plugins"
_NUMBER: Schema = {"type": "number"}
_NOT_NEGATIVE: Schema = {"type": "number", "minimum": 0}


def json_schema() -> Schema:
    """The schema of a spec, with the train arguments of the installed Ultralytics."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "kdgraph spec",
        "$defs": _definitions(),
        **object_of(
            Spec,
            {
                "kdgraph": {"const": VERSION},
                "student": ref("student"),
                "teacher": only_teacher(),
                "teachers": named(ref("teacher"), RESERVED, minProperties=1),
                "data": TEXT,
                "plugins": one_or_many(
                    {"type": "string", "pattern": f"^{MODULE_PATTERN}$"}, uniqueItems=True
                ),
                "taps": named(ref("taps")),
                "edges": {},
                "balance": {},
                "phases": {"type": "array", "items": ref("phase"), "minItems": 1},
                "train": ref("train"),
                "outputs": one_or_many({"enum": list(OUTPUTS)}),
            },
            required=["student", "edges"],
            nullable=NULLABLE,
        ),
        "oneOf": [{"required": ["teacher"]}, {"required": ["teachers"]}],
        "allOf": [of_several_teachers()],
        "if": {"required": ["plugins"], "properties": {"plugins": {"not": NULL}}},
        "then": {"properties": _with_components(_OPEN)},
        "else": {"properties": _with_components("")},
    }


def _with_components(suffix: str) -> Schema:
    """The parts of a spec that name components: closed lists, or with `_OPEN` those of plugins too."""
    edges = named(ref(f"edge{suffix}"), minProperties=1)
    return {
        "edges": any_of({"enum": list(RECIPES)}, edges),
        "balance": any_of(ref(f"balance{suffix}"), NULL),
    }


def _definitions() -> Schema:
    return {
        "student": any_of(TEXT, object_of(ModelSpec, MODEL, required=["model"])),
        "teacher": teacher(_train(TEACHER, {})),
        "tap": {"type": "string", "pattern": f"^{TAP_PATTERN}$"},
        "taps": any_of(one_or_many(ref("tap"), minItems=1, uniqueItems=True), _two_sides()),
        "splice": _splice(),
        "edge": _edge(""),
        f"edge{_OPEN}": _edge(_OPEN),
        "phase": _phase(),
        **{kind: _component(kind) for kind in COMPONENTS},
        **{f"{kind}{_OPEN}": any_of(ref(kind), _foreign(kind)) for kind in COMPONENTS},
        "weight": _weight(),
        "level": {"type": "string", "pattern": f"^{LEVEL_PATTERN}$"},
        "train": _train(STUDENT, OWN),
    }


def _two_sides() -> Schema:
    side = one_or_many(ref("tap"), minItems=1, uniqueItems=True)
    return object_of(TapSpec, {"student": side, "teacher": side}, required=["student", "teacher"])


def _splice() -> Schema:
    at = {"at": ref("taps"), "standardise": {"type": "boolean"}}
    return any_of(ref("taps"), object_of(SpliceSpec, at, required=["at"]))


def _phase() -> Schema:
    edges = any_of({"const": ALL}, one_or_many(name(), minItems=1, uniqueItems=True))
    schemas = {"name": name(), "until": _NUMBER, "edges": edges}
    return object_of(PhaseSpec, schemas, required=["name", "edges"], nullable=PHASE_NULLABLE)


def _edge(suffix: str) -> Schema:
    schemas = {
        "taps": ref("taps"),
        "criterion": ref(f"criterion{suffix}"),
        "mask": one_or_many(ref(f"mask{suffix}"), minItems=1, uniqueItems=True),
        "adapter": ref(f"adapter{suffix}"),
        "weight": ref("weight"),
        "from": _NUMBER,
        "until": _NUMBER,
        "warmup": _NOT_NEGATIVE,
        "level": one_or_many(ref("level"), minItems=1, uniqueItems=True),
        "splice": ref("splice"),
        "teacher": of_edge(),
    }
    return object_of(EdgeSpec, schemas, required=["taps", "criterion"], nullable=EDGE_NULLABLE)


def _weight() -> Schema:
    epochs = {"type": "array", "items": _NUMBER, "minItems": 2, "maxItems": 2}
    ends = {"from": _NOT_NEGATIVE, "to": _NOT_NEGATIVE, "epochs": epochs}
    schedule = object_of(ScheduleWeight, ends, required=["from", "to"], nullable=["epochs"])
    return any_of(
        {"type": "number", "exclusiveMinimum": 0},
        {"type": "array", "items": _NOT_NEGATIVE, "minItems": 1},
        {
            "type": "object",
            "propertyNames": ref("level"),
            "additionalProperties": _NOT_NEGATIVE,
            "minProperties": 1,
        },
        choice(dict.fromkeys(SCHEDULES, schedule)),
    )


def _component(kind: Kind) -> Schema:
    """A name alone, or a map from one name to its options."""
    infos = COMPONENTS[kind].values()
    names = [{"const": info.name, "description": _described(info)} for info in infos]
    return any_of(*names, choice({info.name: _options(info) for info in infos}))


def _foreign(kind: Kind) -> Schema:
    """A component that a plugin may have registered."""
    name = {"type": "string", "pattern": f"^{COMPONENT_PATTERN}$", "not": {"enum": list(COMPONENTS[kind])}}
    options = any_of({"type": "object"}, NULL)
    return any_of(
        name,
        {
            "type": "object",
            "propertyNames": name,
            "additionalProperties": options,
            "minProperties": 1,
            "maxProperties": 1,
        },
    )


def _options(info: ComponentInfo) -> Schema:
    schema = info.options.model_json_schema()
    body: Schema = {
        key: schema[key] for key in ("type", "properties", "additionalProperties") if key in schema
    }
    return {"description": _described(info), **any_of(body, NULL)}


def _described(info: ComponentInfo) -> str:
    return f"{info.summary} ({info.source})" if info.source else info.summary


def _train(reserved: Collection[str], own: Mapping[str, Argument]) -> Schema:
    known = {**arguments(), **own}
    properties = {name: _argument(known[name]) for name in known if name not in reserved}
    return {"type": "object", "properties": properties, "additionalProperties": not arguments()}


def _argument(argument: Argument) -> Schema:
    if not argument.types:
        return {"description": argument.help}
    if argument.choices:
        return {"description": argument.help, "enum": [True, False, *argument.choices]}
    alternatives: list[Schema] = [{"type": name} for name in sorted(argument.types - {"string"})]
    alternatives += [SCALAR] if "string" in argument.types else []
    alternatives += [NULL] if argument.optional else []
    bound = {"minimum": 1} if argument.name == "epochs" else {}
    return {"description": argument.help, **any_of(*alternatives), **bound}
