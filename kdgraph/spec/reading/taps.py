"""Taps: `neck.*`, a list of such names, {student: …, teacher: …}, or the name of an entry of `taps:`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial

from kdgraph.errors import Span, closest, quoted
from kdgraph.spec.components.base import TAP_PATTERN
from kdgraph.spec.nodes import Items, Map, Node, Text
from kdgraph.spec.reading.faults import Faults
from kdgraph.spec.reading.values import expected, fail, text
from kdgraph.spec.schema import TapSpec, located

GROUPS = ("backbone", "neck", "head")
"""The first words of semantic names."""

_WHAT = "a tap, a list of taps, or a map with student and teacher"
_FORMS = "write neck.*, [neck.p3, neck.p4] or {student: model.10, teacher: model.10}"
_BLANK = r"[\s,]+"
_NO_BLANKS = "a tap has no blanks and commas"
_ONE = "write a dotted name such as neck.p3; {student: …, teacher: …} holds lists, not the other way round"


def read_taps(node: Node, named: Mapping[str, Node]) -> TapSpec:
    """The tap of `node`; `named` are the entries of `taps:` it may refer to by name."""
    if isinstance(node, Text) and node.value in named:
        return read_taps(named[node.value], {})
    if isinstance(node, Map):
        return _two_sides(node)
    names, spans = _one_side(node, named)
    spans = {f"{side}{key}": span for side in ("student", "teacher") for key, span in spans.items()}
    return located(TapSpec(student=names, teacher=names), {"": node.span, **spans})


def read_name(node: Node, hint: str) -> str:
    """The name of one tap where only that may stand; `hint` is for what is no text at all."""
    name = text(node, "the name of a tap", hint)
    if re.search(_BLANK, name):
        raise fail("KD108", node, _NO_BLANKS, "write one name; a glob such as neck.p[34] stands for several")
    return _spelt(node, name, None)


def _two_sides(node: Map) -> TapSpec:
    faults = Faults()
    sides = ("student", "teacher")
    side = partial(_one_side, raw=True)  # a model of the user's own may have nodes of one word
    values = faults.fields(node, "a tap", dict.fromkeys(sides, side), required=sides)
    faults.check()
    spans = {f"{side}{key}": span for side in sides for key, span in values[side][1].items()}
    return located(
        TapSpec(student=values["student"][0], teacher=values["teacher"][0]), {"": node.span, **spans}
    )


def _one_side(
    node: Node, named: Mapping[str, Node] | None = None, raw: bool = False
) -> tuple[tuple[str, ...], dict[str, Span]]:
    """The names on one side, and where they are: "" for all, "[0]" for the first of a list."""
    if isinstance(node, Text):
        return (_name(node, named, raw),), {"": node.span, "[0]": node.span}
    if not isinstance(node, Items):
        raise expected(node, "a tap, or a list of taps", "write neck.p3, or [neck.p3, neck.p4]")
    if not node.items:
        raise fail("KD108", node, "an empty list taps nothing", "write at least one tap, such as neck.*")
    faults = Faults()
    names: list[str] = []
    for item in node.items:
        with faults.gathered():
            names.append(_fresh(item, names, raw))
    faults.check()
    return tuple(names), {"": node.span} | {f"[{at}]": item.span for at, item in enumerate(node.items)}


def _fresh(node: Node, names: list[str], raw: bool) -> str:
    if not isinstance(node, Text):
        raise expected(node, "the name of a tap", _ONE)
    name = _name(node, None, raw)
    if name in names:
        raise fail("KD108", node, f"{quoted(name)} is in the list twice", "delete one of the two")
    return name


def _name(node: Node, named: Mapping[str, Node] | None, raw: bool) -> str:
    name = text(node, _WHAT, _FORMS)
    if re.search(_BLANK, name):
        parts = [part for part in re.split(_BLANK, name) if part]
        raise fail("KD108", node, _NO_BLANKS, f"write several as a list: [{', '.join(parts)}]")
    return _spelt(node, name, named, raw)


def _spelt(node: Node, name: str, named: Mapping[str, Node] | None, raw: bool = False) -> str:
    if not re.fullmatch(TAP_PATTERN, name, re.ASCII):
        hint = "a tap is a dotted name such as neck.p3 or model.16.cv2, and may have the globs *, ? and [34]"
        raise fail("KD108", node, f"{quoted(name)} is not the name of a tap", hint)
    if not raw and "." not in name and not set(name) & set("*?["):
        raise fail("KD108", node, f"no tap is named {quoted(name)}", _meant(name, named))
    return name


def _meant(name: str, named: Mapping[str, Node] | None) -> str:
    """What a single word may have meant: an entry of `taps:`, or a group of semantic names."""
    candidates = closest(name, list(named or {}), n=1) or [
        f"{group}.*" for group in closest(name, GROUPS, n=1)
    ]
    if candidates:
        return f"did you mean '{candidates[0]}'?"
    written = "write where it is: neck.*, head.cls.p3, model.10"
    return written if named is None else f"name it under `taps:`, or {written}"
