"""`train:` blocks, checked against the arguments that the installed Ultralytics has.

Ultralytics describes its arguments in `cfg/default.yaml`, one a line, with types in the comments. That file
is read as text: importing Ultralytics would take seconds and bring torch with it.
"""

from __future__ import annotations

import importlib.util
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from kdgraph.errors import closest, quoted
from kdgraph.spec.nodes import Node, Text
from kdgraph.spec.reading.faults import Faults
from kdgraph.spec.reading.values import as_map, expected, fail, is_null, plain, scalar

EPOCHS = 100
"""How many epochs Ultralytics trains for when nothing is said."""

_LINE = re.compile(
    r"^(?P<name>\w+):\s*(?P<default>[^#]*?)\s*#\s*\((?P<types>[^)]*)\)\s*(?P<help>.*)$", re.MULTILINE
)
_TYPES = {
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "str": "string",
    "list": "array",
    "tuple": "array",
}
_WORDS = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "string": "a text",
    "array": "a list",
}

_RESERVED = {
    "mode": "delete it: a spec always trains",
    "resume": "delete it, and continue a run with `kdgraph run --resume RUN`",
    "dis": "delete it: each edge has its own `weight`",
    "cfg": "delete it, and write the arguments here",
}
STUDENT: Mapping[str, str] = _RESERVED | {
    "model": "write the model as `student:` at the top of the spec",
    "data": "write the dataset as `data:` at the top of the spec",
    "task": "delete it: the student's model decides the task",
    "distill_model": "write the teacher as `teacher:` at the top of the spec",
    "pretrained": "delete it: the student starts from what `student:` names, a checkpoint or a bare yaml",
    "quantize": "delete it: distil first, then train the student with quantization",
}
"""Arguments that the top-level `train:` must leave alone, and what to do instead."""
TEACHER: Mapping[str, str] = _RESERVED | {
    "model": "write the model as `model:` of the teacher",
    "data": "delete it: the teacher is trained on `data:` of the spec",
    "task": "delete it: the teacher's model decides the task",
    "distill_model": "delete it: the teacher is trained alone",
    "pretrained": "delete it: the teacher starts from what `model:` names, a checkpoint or a bare yaml",
}
"""The same for the teacher's own `train:`."""


@dataclass(frozen=True)
class Argument:
    """A train argument of Ultralytics; `types` are JSON Schema's names, none when it says nothing we know."""

    name: str
    types: frozenset[str]
    optional: bool
    help: str
    choices: tuple[str, ...] = ()
    """The only texts that it takes; any text where there are none and `types` has texts."""


OWN: Mapping[str, Argument] = {
    "compile": Argument(
        "compile",
        frozenset({"boolean"}),
        optional=False,
        help="run what is trained through torch.compile: true, a mode of it, or auto, where it saves time",
        choices=("auto", "default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"),
    )
}
"""Arguments of the top-level `train:` that kdgraph takes itself, so that Ultralytics never sees them."""


@lru_cache(maxsize=1)
def arguments() -> Mapping[str, Argument]:
    """All arguments of the installed Ultralytics by name; none when it is not installed."""
    found = importlib.util.find_spec("ultralytics")
    folders = list(found.submodule_search_locations or ()) if found else []
    files = [file for folder in folders if (file := Path(folder, "cfg", "default.yaml")).is_file()]
    return parse_arguments(files[0].read_text(encoding="utf-8")) if files else {}


def parse_arguments(text: str) -> dict[str, Argument]:
    """The arguments that the text of a `default.yaml` describes."""
    return {match["name"]: _argument(match) for match in _LINE.finditer(text)}


def read_train(
    node: Node, reserved: Mapping[str, str], own: Mapping[str, Argument] | None = None
) -> dict[str, Any]:
    """The arguments of a `train:` block as plain values, converted to the types Ultralytics wants.

    `own`: arguments that are described here, whatever Ultralytics says of them.
    """
    mapping = as_map(node, "a map of Ultralytics train arguments", "write {epochs: 100, imgsz: 640}")
    known, own = arguments(), own or {}
    faults = Faults()
    values: dict[str, Any] = {}
    for key, entry in mapping.entries.items():
        with faults.gathered():
            if key in reserved:
                raise fail("KD112", entry.key, f"{quoted(key)} is not for `train:`", reserved[key])
            if known and key not in known and key not in own:
                raise fail(
                    "KD113", entry.key, f"Ultralytics has no argument {quoted(key)}", _near(key, reserved)
                )
            values[key] = _value(own.get(key) or known.get(key), entry.value)
    faults.check()
    return values


def _argument(match: re.Match[str]) -> Argument:
    words = [word for word in re.split(r"[|,\s\[\]]+", match["types"]) if word]
    types = frozenset(_TYPES[word] for word in words if word in _TYPES)
    strange = any(word not in _TYPES and word != "optional" for word in words)
    optional = "optional" in words or not match["default"]
    return Argument(match["name"], frozenset() if strange else types, optional, match["help"])


def _near(key: str, reserved: Mapping[str, str]) -> str:
    usable = [name for name in arguments() if name not in reserved]
    matches = " or ".join(f"'{match}'" for match in closest(key, usable))
    return f"did you mean {matches}?" if matches else "`yolo cfg` prints all arguments"


def _value(argument: Argument | None, node: Node) -> Any:
    if argument is None or not argument.types:
        return plain(node)
    if argument.choices:
        return _chosen(argument, node)
    value = _converted(argument, node)
    if isinstance(value, float) and not math.isfinite(value):
        raise expected(node, "a finite number", f"{argument.name}: {argument.help}", code="KD104")
    if argument.name == "epochs" and value < 1:
        raise expected(node, "at least 1", "a run has at least one epoch", code="KD104")
    return value


def _converted(argument: Argument, node: Node) -> Any:
    """The node as one of its argument's types: 1 is a number too, and 2024 a text where only texts go."""
    if is_null(node) and argument.optional:
        return None
    value = plain(node)
    kind = _kind(value)
    if kind in argument.types or (kind == "integer" and "number" in argument.types):
        return value
    if "string" in argument.types and isinstance(node, Text) and not is_null(node):
        return node.value
    words = " or ".join(word for name, word in _WORDS.items() if name in argument.types)
    raise expected(node, words, f"{argument.name}: {argument.help}")


def _chosen(argument: Argument, node: Node) -> bool | str:
    value = scalar(node) if isinstance(node, Text) else None
    if isinstance(value, bool) or (isinstance(value, str) and value in argument.choices):
        return value
    near = closest(value, argument.choices) if isinstance(value, str) else []
    hint = f"did you mean '{near[0]}'?" if near else f"{argument.name}: {argument.help}"
    code = "KD104" if isinstance(value, str) else "KD103"
    raise expected(node, f"true, false or one of {', '.join(argument.choices)}", hint, code)


def _kind(value: Any) -> str:
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array"}
    return kinds.get(type(value), "")
