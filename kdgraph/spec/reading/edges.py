"""`edges:`, the name of a recipe or a map of edges."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from kdgraph.errors import Diagnostic, Span, SpecError
from kdgraph.spec.nodes import Entry, Map, Node, Text
from kdgraph.spec.reading.components import default_component, read_component
from kdgraph.spec.reading.faults import Faults, Reader, spans_of
from kdgraph.spec.reading.masks import check_masked, default_masks, read_masks
from kdgraph.spec.reading.names import check_name
from kdgraph.spec.reading.recipes import EDGES, read_recipe
from kdgraph.spec.reading.roles import missing_teacher, read_roles
from kdgraph.spec.reading.scope import Scope
from kdgraph.spec.reading.splices import read_splice
from kdgraph.spec.reading.taps import read_taps
from kdgraph.spec.reading.values import as_map, fail, number
from kdgraph.spec.reading.weights import read_levels, read_weight
from kdgraph.spec.schedule import turning_points, window
from kdgraph.spec.schema import STUDENT, EdgeSpec, LevelWeight, ScheduleWeight, located

NULLABLE = ("until", "level", "splice")

_EXAMPLE = f"write `default`, or a map such as {EDGES}"
_EDGE = "write {taps: neck.*, criterion: cwd}"
EPOCH = "write an epoch such as 90, or -10 for ten epochs before the end of the run"
_WARMUP = "write how many epochs the weight takes to grow from zero, such as 3"


def read_edges(node: Node, scope: Scope) -> dict[str, EdgeSpec]:
    """The edges, by name. Raises SpecError, with the faults of all of them."""
    if isinstance(node, Text):
        node = read_recipe(node, scope)
    mapping = as_map(node, "a map of edges, or the name of a recipe", _EXAMPLE)
    if not mapping.entries:
        raise fail("KD103", node, "has no edge", _EXAMPLE)
    faults = Faults()
    edges: dict[str, EdgeSpec] = {}
    for name, entry in mapping.entries.items():
        with faults.gathered():
            edges[name] = _read_edge(entry, scope)
    faults.check()
    return edges


def _read_edge(entry: Entry, scope: Scope) -> EdgeSpec:
    faults = Faults()
    with faults.gathered():
        check_name(entry.key, "an edge")
    with faults.gathered():
        mapping = as_map(entry.value, "an edge, a map with taps and a criterion", _EDGE)
        values = _fields(mapping, scope, faults, entry.key.span)
        _check_parts(mapping, values, scope, faults)
    faults.check()
    edge = located(EdgeSpec(name=entry.key.value, **values), spans_of(mapping, entry.key.span))
    _check_epochs(mapping, edge, scope.epochs)
    return edge


def _fields(node: Map, scope: Scope, faults: Faults, holder: Span) -> dict[str, Any]:
    readers: dict[str, Reader] = {
        "taps": lambda taps: read_taps(taps, scope.named),
        "criterion": partial(read_component, "criterion", scope=scope),
        "mask": partial(read_masks, scope=scope),
        "adapter": partial(read_component, "adapter", scope=scope),
        "weight": read_weight,
        "from": partial(number, what="an epoch, a number", hint=EPOCH),
        "until": partial(number, what="an epoch, a number", hint=EPOCH),
        "warmup": partial(number, what="a number of epochs", hint=_WARMUP, minimum=0),
        "level": read_levels,
        "splice": partial(read_splice, scope=scope),
        "teacher": partial(read_roles, scope=scope),
    }
    values = faults.fields(node, "an edge", readers, ["taps", "criterion"], NULLABLE, holder)
    if "teacher" not in node.entries and not scope.default_teacher:
        faults.found.append(missing_teacher(node, holder, scope))
    values.setdefault("teacher", scope.default_teacher or ("teacher",))
    if "criterion" in values:
        info = scope.components("criterion")[values["criterion"].name]
        values.setdefault("mask", default_masks(info, scope))
        adapter = scope.components("adapter")[info.default_adapter]
        values.setdefault("adapter", default_component(adapter))
    return values


def _check_parts(node: Map, values: Mapping[str, Any], scope: Scope, faults: Faults) -> None:
    """What can be said of the parts together without looking at a model."""
    criterion, mask = values.get("criterion"), node.get("mask")
    if criterion and mask and "mask" in values:
        with faults.gathered():
            info = scope.components("criterion")[criterion.name]
            check_masked(info, values["mask"], mask, scope)
    with faults.gathered():
        _check_levels(node, values.get("weight"), values.get("level"))
    with faults.gathered():
        _check_splice(node, values)


def _check_levels(node: Map, weight: Any, level: tuple[str, ...] | None) -> None:
    if level is None or not isinstance(weight, LevelWeight):
        return
    place, kept = node.entries["weight"].value, ", ".join(level)
    if weight.values is not None and len(weight.values) != len(level):
        counts = f"{len(weight.values)} weights for {len(level)} levels ({kept})"
        raise fail("KD111", place, counts, "write one weight for each level")
    strange = [name for name in weight.by_level or () if name not in level]
    if strange:
        message = f"a weight for {', '.join(strange)}, but the edge keeps only {kept}"
        raise fail("KD111", place, message, "delete the weight, or add the level to `level`")


def _check_splice(node: Map, values: Mapping[str, Any]) -> None:
    """A splice goes through one frozen teacher."""
    if values.get("splice") is not None and (len(values["teacher"]) > 1 or values["teacher"] == (STUDENT,)):
        message = "the student is spliced into one frozen teacher, and this edge has another kind"
        raise fail("KD111", node.entries["splice"].value, message, "name one teacher: `teacher: …`")


def _check_epochs(node: Map, edge: EdgeSpec, epochs: int) -> None:
    """What is wrong only in a run of this length."""
    start, end = window(edge, epochs)
    if start >= end:
        key = "from" if "from" in node.entries and start >= epochs else "until"
        run = f"it would begin at epoch {start:g} and end at {end:g}, in a run of {epochs}"
        hint = "leave some epochs between `from` and `until`"
        raise fail("KD110", node.entries[key].value, f"the edge never counts: {run}", hint)
    if isinstance(edge.weight, ScheduleWeight):
        first, last = turning_points(edge.weight, epochs)
        if first >= last:
            path = f"{node.path}.weight.{edge.weight.kind}.epochs"
            message = (
                f"{path}: in a run of {epochs} the schedule begins at epoch {first:g} and ends at {last:g}"
            )
            hint = "leave some epochs between its two ends"
            raise SpecError(Diagnostic("KD110", message, edge.weight.span("epochs"), hint))
