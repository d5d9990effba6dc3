"""A criterion, mask or adapter: `cwd`, `{cwd: {tau: 1}}` or `{cwd: }`."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from kdgraph.errors import closest, quoted
from kdgraph.spec.components import COMPONENTS, ComponentInfo, Kind
from kdgraph.spec.nodes import Items, Map, Node, Text
from kdgraph.spec.reading.faults import Faults, spans_of, suggestion
from kdgraph.spec.reading.values import as_map, expected, fail, is_null, plain, text
from kdgraph.spec.schema import Component, located

_PLURAL: dict[Kind, str] = {"criterion": "criteria", "mask": "masks", "adapter": "adapters"}
_BOUNDS = frozenset({"greater_than", "greater_than_equal", "literal_error", "finite_number"})


def read_component(kind: Kind, node: Node) -> Component:
    what = f"the name of {'an' if kind == 'adapter' else 'a'} {kind}"
    names = f"the {_PLURAL[kind]} are {', '.join(COMPONENTS[kind])}"
    if isinstance(node, Text):
        info = _known(kind, node, text(node, what, names))
        return located(Component(name=info.name, options=info.validate({})), {"": node.span})
    if isinstance(node, Items):
        raise expected(node, what, f"an edge has one {kind}: write a second edge for a second one")
    mapping = as_map(node, what, names)
    if len(mapping.entries) != 1:
        got = " and ".join(mapping.entries) or "an empty map"
        hint = f"write {{name: {{option: value}}}}, and a second edge for a second {kind}"
        raise fail("KD103", mapping, f"must name one {kind} with its options; got {got}", hint)
    [(name, entry)] = mapping.entries.items()
    info = _known(kind, entry.key, name)
    options = {} if is_null(entry.value) else _options(info, entry.value)
    spans = spans_of(entry.value) if isinstance(entry.value, Map) else {}
    return located(Component(name=name, options=info.validate(options)), {**spans, "": entry.key.span})


def _known(kind: Kind, node: Text, name: str) -> ComponentInfo:
    infos = COMPONENTS[kind]
    if name not in infos:
        bare = name.split("(")[0].strip()
        hint = suggestion(name, infos, f"the {_PLURAL[kind]} are")
        if bare != name and bare in infos:
            hint = f"options are written as a map: {{{bare}: {{option: value}}}}"
        raise fail("KD105", node, f"no {kind} is named {quoted(name)}", hint)
    return infos[name]


def _options(info: ComponentInfo, node: Node) -> dict[str, Any]:
    """The options as written, after all of them were found good."""
    known = info.options.model_fields
    mapping = as_map(node, f"the options of {info.name}, a map", f"the options are {_listed(info)}")
    faults = Faults()
    values: dict[str, Any] = {}
    for key, entry in mapping.entries.items():
        with faults.gathered():
            if key not in known:
                hint = (
                    suggestion(key, known, "the options are")
                    if known
                    else "delete it: there is nothing to set"
                )
                raise fail("KD106", entry.key, f"{info.name} has no option {quoted(key)}", hint)
            values[key] = _option(info, key, entry.value)
    faults.check()
    return values


def _option(info: ComponentInfo, key: str, node: Node) -> Any:
    value = plain(node)
    try:
        info.validate({key: value})
    except ValidationError as error:
        kind = error.errors()[0]["type"]
        must = _requirement(info, key)
        if kind == "finite_number":
            must = must.replace("a number", "a finite number")
        hint = f"{_near(info, key, value)}{key}: {info.options.model_fields[key].description}"
        raise expected(node, must, hint, "KD104" if kind in _BOUNDS else "KD103") from None
    return value


def _near(info: ComponentInfo, key: str, value: Any) -> str:
    """The choice that a text may have meant."""
    choices = _schema(info, key).get("enum", ())
    matches = closest(value, choices, n=1) if isinstance(value, str) else []
    return f"did you mean '{matches[0]}'? " if matches else ""


def _schema(info: ComponentInfo, key: str) -> dict[str, Any]:
    schema: dict[str, Any] = info.options.model_json_schema()["properties"][key]
    return schema


def _requirement(info: ComponentInfo, key: str) -> str:
    """What an option must be, in words made from its JSON Schema."""
    schema = _schema(info, key)
    if "enum" in schema:
        return " or ".join(str(choice) for choice in schema["enum"])
    if schema["type"] == "boolean":
        return "true or false"
    noun = "a whole number" if schema["type"] == "integer" else "a number"
    if "exclusiveMinimum" in schema:
        return f"{noun} above {schema['exclusiveMinimum']:g}"
    return f"{noun} of at least {schema['minimum']:g}" if "minimum" in schema else noun


def _listed(info: ComponentInfo) -> str:
    return ", ".join(info.options.model_fields) or "none"
