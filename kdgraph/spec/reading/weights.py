"""`weight:`: a number, numbers by level, or a schedule."""

from __future__ import annotations

import re
from functools import partial

from kdgraph.errors import quoted
from kdgraph.spec.nodes import Items, Map, Node, Text
from kdgraph.spec.reading.faults import Faults, Reader, spans_of, suggestion
from kdgraph.spec.reading.values import as_map, expected, fail, number, text
from kdgraph.spec.schema import ConstantWeight, LevelWeight, ScheduleWeight, Weight, located

LEVEL_PATTERN = r"p[1-9]"
SCHEDULES = ("linear", "cosine")

_WHAT = "a number, numbers by level, or a schedule"
_FORMS = "write 1.0, {p3: 0.4, p4: 0.6}, [0.4, 0.6] or {cosine: {from: 1, to: 0.1}}"
_SIGN = "a weight is a number such as 1.0: 0 switches its term off, and below 0 the loss would grow"
_IDLE = "an edge whose weight is always 0 does nothing"
_IDLE_HINT = "delete the edge, or give it a weight above 0"


def read_weight(node: Node) -> Weight:
    if isinstance(node, Map):
        return _schedule(node) if _is_schedule(node) else _by_name(node)
    if isinstance(node, Items):
        return _in_order(node)
    if isinstance(node, Text) and node.value in SCHEDULES:
        raise fail(
            "KD103",
            node,
            f"a {node.value} schedule needs its two ends",
            f"write {{{node.value}: {{from: 1, to: 0.1}}}}",
        )
    if not isinstance(node, Text):
        raise expected(node, _WHAT, _FORMS)
    value = number(node, _WHAT, _FORMS)
    _not_negative(node)
    _refuse_idle(node, value)
    return located(ConstantWeight(value=value), {"": node.span, "value": node.span})


def read_levels(node: Node) -> tuple[str, ...]:
    """`level:`, one or several of p1 to p9."""
    items = node.items if isinstance(node, Items) else [node]
    if not items:
        raise fail("KD104", node, "an empty list keeps no level", "name the levels to keep, such as [p3, p4]")
    faults = Faults()
    levels: list[str] = []
    for item in items:
        with faults.gathered():
            levels.append(_level(item, levels))
    faults.check()
    return tuple(levels)


def _level(node: Node, before: list[str]) -> str:
    level = text(node, "a level", "levels are p3, p4, p5 and so on")
    if not re.fullmatch(LEVEL_PATTERN, level):
        raise fail(
            "KD104",
            node,
            f"{quoted(level)} is not a level",
            "levels are p3, p4, p5 and so on, without the neck",
        )
    if level in before:
        raise fail("KD104", node, f"the level {level} is named twice", "delete one of the two")
    return level


def _is_schedule(node: Map) -> bool:
    return any(key in SCHEDULES or isinstance(entry.value, Map) for key, entry in node.entries.items())


def _by_name(node: Map) -> LevelWeight:
    faults = Faults()
    weights: dict[str, float] = {}
    for key, entry in node.entries.items():
        with faults.gathered():
            if not re.fullmatch(LEVEL_PATTERN, key):
                message = f"{quoted(key)} is neither a level nor a schedule"
                raise fail(
                    "KD102",
                    entry.key,
                    message,
                    suggestion(key, ("p3", "p4", "p5", *SCHEDULES), "write one of"),
                )
            weights[key] = _not_negative(entry.value)
    faults.check()
    _refuse_idle(node, *weights.values())
    return located(LevelWeight(by_level=weights), spans_of(node))


def _in_order(node: Items) -> LevelWeight:
    faults = Faults()
    weights: list[float] = []
    for item in node.items:
        with faults.gathered():
            weights.append(_not_negative(item))
    faults.check()
    _refuse_idle(node, *weights)
    return located(LevelWeight(values=tuple(weights)), {"": node.span})


def _schedule(node: Map) -> ScheduleWeight:
    faults = Faults()
    values = faults.fields(node, "a weight", {kind: partial(_body, kind) for kind in SCHEDULES})
    faults.check()
    if len(values) > 1:
        raise fail("KD111", node, "a weight follows one schedule, not two", "keep either linear or cosine")
    [(kind, body)] = values.items()
    readers: dict[str, Reader] = {"from": _not_negative, "to": _not_negative, "epochs": _epochs}
    holder = node.entries[kind].key.span
    ends = faults.fields(body, f"a {kind} schedule", readers, ["from", "to"], ["epochs"], holder)
    faults.check()
    _refuse_idle(body, ends["from"], ends["to"])
    return located(ScheduleWeight(kind=kind, **ends), spans_of(body, node.span))


def _body(kind: str, node: Node) -> Map:
    return as_map(node, "a map with from and to", f"write {{{kind}: {{from: 1, to: 0.1}}}}")


def _epochs(node: Node) -> tuple[float, float]:
    hint = "write [0, 90], or [0, -10] to end ten epochs before the run does"
    if not isinstance(node, Items) or len(node.items) != 2:
        raise expected(node, "two epochs", hint)
    first, last = (number(item, "an epoch, a number", hint) for item in node.items)
    if first >= last and (first < 0) == (last < 0):
        raise fail("KD110", node, f"the schedule ends at epoch {last:g} and begins at {first:g}", hint)
    return first, last


def _not_negative(node: Node) -> float:
    return number(node, "a number", _SIGN, minimum=0)


def _refuse_idle(node: Node, *weights: float) -> None:
    if not weights:
        raise fail("KD109", node, "holds no weight", _FORMS)
    if not any(weights):
        raise fail("KD109", node, _IDLE, _IDLE_HINT)
