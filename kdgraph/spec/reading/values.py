"""Readers of single values, and the words for what was found in their place."""

from __future__ import annotations

import math
import re
from typing import Any

from kdgraph.errors import Diagnostic, SpecError, quoted
from kdgraph.spec.nodes import Broken, Items, Map, Node, Text

Scalar = None | bool | int | float | str

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_TRUTH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"([-+]?)\.(inf|nan)", re.IGNORECASE)


def fail(code: str, node: Node, message: str, hint: str) -> SpecError:
    """The error for a fault of `node`; messages begin with the path of the node in the spec."""
    return SpecError(Diagnostic(code, f"{node.path}: {message}" if node.path else message, node.span, hint))


def scalar(text: Text) -> Scalar:
    """What a scalar stands for: numbers as in YAML 1.2 (`3e-4` is one), true and false as in 1.1 (`on`)."""
    value = text.value
    if not text.plain:
        return value
    if value in _NULLS:
        return None
    if value.lower() in _TRUTH and value in (value.lower(), value.upper(), value.capitalize()):
        return _TRUTH[value.lower()]
    if _INTEGER.fullmatch(value):
        return int(value)
    if _NUMBER.fullmatch(value):
        return float(value)
    special = _SPECIAL.fullmatch(value)
    return float(special.group(1) + special.group(2)) if special else value


def is_null(node: Node) -> bool:
    return isinstance(node, Text) and scalar(node) is None


def plain(node: Node) -> Any:
    """A node as plain Python values. Raises SpecError for what could not be read."""
    if isinstance(node, Text):
        return scalar(node)
    if isinstance(node, Items):
        return [plain(item) for item in node.items]
    mapping = as_map(node, "a map", "write {key: value}")
    return {key: plain(entry.value) for key, entry in mapping.entries.items()}


def described(node: Node) -> str:
    """What a node is, for "got …"."""
    if isinstance(node, Items):
        return "a list"
    if not isinstance(node, Text):
        return "a map"
    value = scalar(node)
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"the truth value {node.value}"
    if value == "":
        return "an empty text"
    return f"the text {quoted(value)}" if isinstance(value, str) else f"the number {_short(node.value)}"


def expected(node: Node, what: str, hint: str, code: str = "KD103") -> SpecError:
    """The error for a node that is not `what` it should be."""
    if isinstance(node, Broken):
        return SpecError(node.diagnostic)
    if isinstance(node, Text) and not node.plain and not isinstance(_bare(node), str | None):
        hint = "remove the quotes"
    return fail(code, node, f"must be {what}; got {described(node)}", hint)


def _bare(node: Text) -> Scalar:
    """What a quoted text would be without its quotes."""
    return scalar(Text(node.value, True, node.span))


def as_map(node: Node, what: str, hint: str) -> Map:
    if not isinstance(node, Map):
        raise expected(node, what, hint)
    return node


def text(node: Node, what: str, hint: str) -> str:
    """A text that is not empty and was not meant as a number or a truth value."""
    value = scalar(node) if isinstance(node, Text) else None
    if not isinstance(value, str) or not value.strip():
        raise expected(node, what, hint)
    return value


def truth(node: Node, hint: str) -> bool:
    value = scalar(node) if isinstance(node, Text) else None
    if not isinstance(value, bool):
        raise expected(node, "true or false", hint)
    return value


def number(node: Node, what: str, hint: str, minimum: float = -math.inf) -> float:
    """A finite number, not below `minimum`."""
    value = scalar(node) if isinstance(node, Text) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise expected(node, what, hint)
    if not math.isfinite(value):
        raise expected(node, "a finite number", hint, code="KD104")
    if value < minimum:
        raise expected(node, f"at least {minimum:g}", hint, code="KD104")
    return float(value)


def _short(digits: str) -> str:
    return digits if len(digits) <= 20 else f"{digits[:8]}… ({len(digits)} characters)"
