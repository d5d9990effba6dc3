"""A criterion, mask, adapter or balancer: `cwd`, `{cwd: {tau: 1}}` or `{cwd: }`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from kdgraph.errors import SpecError, quoted
from kdgraph.spec import plugins
from kdgraph.spec.components import ComponentInfo, Kind
from kdgraph.spec.nodes import Items, Map, Node, Text
from kdgraph.spec.reading.faults import Faults, spans_of, suggestion
from kdgraph.spec.reading.options import read_option
from kdgraph.spec.reading.scope import Scope
from kdgraph.spec.reading.values import as_map, expected, fail, is_null, text
from kdgraph.spec.schema import Component, located

_PLURALS: Mapping[Kind, str] = {
    "criterion": "criteria",
    "mask": "masks",
    "adapter": "adapters",
    "balance": "balancers",
}
_SEVERAL: Mapping[Kind, str] = {
    "criterion": "an edge has one criterion: write a second edge for a second one",
    "mask": "write masks that count together as one list: [foreground, teacher_score]",
    "adapter": "an edge has one adapter: write a second edge for a second one",
    "balance": "a spec has one balancer: keep one of them",
}


def read_component(kind: Kind, node: Node, scope: Scope) -> Component:
    noun = "balancer" if kind == "balance" else kind
    what = f"the name of {'an' if kind == 'adapter' else 'a'} {noun}"
    names = suggestion("", scope.components(kind), f"the {_PLURALS[kind]} are")
    if isinstance(node, Text):
        info = _known(kind, node, text(node, what, names), scope)
        return located(Component(name=info.name, options=_complete(info, {}, node)), {"": node.span})
    if isinstance(node, Items):
        raise expected(node, what, _SEVERAL[kind])
    mapping = as_map(node, what, names)
    if len(mapping.entries) != 1:
        got = " and ".join(mapping.entries) or "an empty map"
        hint = f"write {{name: {{option: value}}}}; {_SEVERAL[kind]}"
        raise fail("KD103", mapping, f"must name one {noun} with its options; got {got}", hint)
    [(name, entry)] = mapping.entries.items()
    info = _known(kind, entry.key, name, scope)
    options = {} if is_null(entry.value) else _options(info, entry.value)
    spans = spans_of(entry.value) if isinstance(entry.value, Map) else {}
    component = Component(name=name, options=_complete(info, options, entry.value))
    return located(component, {**spans, "": entry.key.span})


def default_component(info: ComponentInfo, options: Mapping[str, Any] | None = None) -> Component:
    """A component that the spec does not name."""
    return Component(name=info.name, options=info.validate(options or {}))


def _known(kind: Kind, node: Text, name: str, scope: Scope) -> ComponentInfo:
    infos = scope.components(kind)
    if name in infos:
        return infos[name]
    if scope.lost:
        raise SpecError(*scope.lost)  # it may have been among what could not be loaded
    noun = "balancer" if kind == "balance" else kind
    raise fail("KD105", node, f"no {noun} is named {quoted(name)}", _meant(kind, name, infos))


def _meant(kind: Kind, name: str, infos: Mapping[str, ComponentInfo]) -> str:
    bare = name.split("(")[0].strip()
    if bare != name and bare in infos:
        return f"options are written as a map: {{{bare}: {{option: value}}}}"
    home = plugins.home(kind, name)
    if home == "__main__":
        return "a script registers it: move it to a file beside the spec, and name that in `plugins:`"
    if home is not None:
        return f"the module {home} registers it: add `plugins: {home}` at the top of the spec"
    return suggestion(name, infos, f"the {_PLURALS[kind]} are", "kdgraph methods")


def _options(info: ComponentInfo, node: Node) -> dict[str, Any]:
    """The options as written, after all of them were found good."""
    known = info.options.model_fields
    listed = ", ".join(known) or "none"
    mapping = as_map(node, f"the options of {info.name}, a map", f"the options are {listed}")
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
            values[key] = read_option(info, key, entry.value)
    faults.check()
    return values


def _complete(info: ComponentInfo, options: Mapping[str, Any], node: Node) -> dict[str, Any]:
    """The options with defaults filled in; of a plugin's some may have none, or not go together."""
    try:
        return info.validate(options)
    except ValidationError as error:
        missing = [str(fault["loc"][0]) for fault in error.errors() if fault["type"] == "missing"]
        if not missing:
            said = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise fail("KD104", node, f"{info.name}: {said}", "change its options") from None
        written = ", ".join(f"{key}: …" for key in missing)
        message = f"{info.name} needs the option{'s' if len(missing) > 1 else ''} {', '.join(missing)}"
        raise fail("KD101", node, message, f"write {{{info.name}: {{{written}}}}}") from None
