"""Flags -> the text of a spec."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kdgraph.errors import Diagnostic, Span, SpecError
from kdgraph.spec.moded_yolo.edges import Edge, Line, edge_of, shown
from kdgraph.spec.moded_yolo.flags import Flags, read_flags
from kdgraph.spec.moded_yolo.losses import losses
from kdgraph.spec.nodes import Text
from kdgraph.spec.reading.values import scalar
from kdgraph.spec.train_args import EPOCHS

_HEADER = """\
# The losses that these flags of moded_YOLO stand for. Terms are multiplied by the batch size, as the
# detection loss is; moded_YOLO did not, so there the same weights counted for 1/batch as much.
#   kdgraph check my-spec.yaml      finds every mistake, in seconds
#   kdgraph run my-spec.yaml        trains; the result is a plain Ultralytics checkpoint
"""
_COMMENT_AT = 42
_WIDTH = 110
_SAFE = re.compile(r"[\w./~+-]+(:[\w./~+-]+)*")
"""Texts that need no quotes, if YAML does not take them for something else."""
_DETAILS = ("cls_dist_kl", "cls_fg_mask", "dfl_fg_mask", "l2_fg_mask", "feat_mask")
"""Flags that turn nothing on, but change a loss that is on."""
_NOWHERE = Span("", 1, 1, 2, "")


def convert(words: Sequence[str]) -> str:
    """The spec for flags given as words NAME=VALUE; see the package for what they mean.

    Raises SpecError with all faults at once: unknown flags, wrong values, a flag given twice, no loss.
    """
    flags = read_flags(words)
    switches, notes = losses(flags)
    made = [edge_of(switch, flags) for switch in switches]
    edges = [edge for edge in made if not edge.idle]
    notes += [f"{edge.name}: no edge, its weights are all 0" for edge in made if edge.idle]
    if not edges:
        raise _lossless(flags, notes)
    parts = [_HEADER, *map(_remark, (*notes, *_notes(flags, made))), _models(flags)]
    parts += ["\nedges:\n", *(_edge(edge) for edge in edges)]
    if flags.train:
        parts += ["\n", _train(flags.train)]
    return "".join(parts)


def _lossless(flags: Flags, notes: Sequence[str]) -> SpecError:
    message = "; ".join(("these flags switch no distillation loss on", *notes[:1]))
    hint = "switch one on: cls_dist, dfl_dist, M2D2, l2_dist, feat, feat_att, or use_cwd and the like"
    return SpecError(Diagnostic("KD101", message, flags.line.span if flags.line else None, hint))


def _remark(note: str) -> str:
    """A note as a comment of its own."""
    return "".join(f"{line}\n" for line in textwrap.wrap(f"# {note}", _WIDTH, subsequent_indent="#   "))


def _notes(flags: Flags, edges: Sequence[Edge]) -> list[str]:
    used = frozenset[str]().union(*(edge.flags for edge in edges))
    notes = []
    if "l2_alpha" in used and flags["l2_alpha"] != flags["cls_alpha"]:
        notes.append("l2_alpha is what weighs l2_dist; moded_YOLO read cls_alpha in its place")
    told = {"model", "teacher_model", "data", *used}
    idle = [name for name, value in flags.given.items() if name not in told and value not in (True, False)]
    idle += [name for name in _DETAILS if flags.given.get(name) and name not in used]
    if idle:
        notes.append(f"without effect, since no loss here reads them: {', '.join(idle)}")
    return notes


def _models(flags: Flags) -> str:
    teacher = flags["teacher_model"]
    lines = [f"student: {_value(flags['model'])}", f"teacher: {_value(teacher)}"]
    if Path(teacher).suffix in (".yaml", ".yml"):
        epochs = flags.train.get("epochs") or EPOCHS
        trained = f"  train: {{epochs: {epochs}}}"
        lines[1:] = [
            "teacher:",
            f"  model: {_value(teacher)}",
            _commented(trained, "on the data first: an architecture has nothing to teach"),
        ]
    return "\n".join([*lines, f"data: {_value(flags['data'])}", ""])


def _edge(edge: Edge) -> str:
    lines = [f"  {edge.name}:", *map(_line, edge.lines)]
    return "\n".join([*lines, ""])


def _line(line: Line) -> str:
    return _commented(f"    {line.key}: {line.value}", line.comment)


def _commented(code: str, comment: str) -> str:
    """The code with its comment behind it, or above it where there is no room."""
    beside = f"{code:<{_COMMENT_AT}}# {comment}"
    if comment and (len(code) >= _COMMENT_AT or len(beside) > _WIDTH):
        indent = " " * (len(code) - len(code.lstrip()))
        return f"{indent}# {comment}\n{code}"
    return beside if comment else code


def _train(arguments: Mapping[str, Any]) -> str:
    written = [f"{key}: {_value(value)}" for key, value in arguments.items()]
    line = f"train: {{{', '.join(written)}}}\n"
    return line if len(line) <= _WIDTH else "".join(["train:\n", *(f"  {entry}\n" for entry in written)])


def _value(value: Any) -> str:
    """A value in YAML, also within braces."""
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, str):
        bare = _SAFE.fullmatch(value) and value == scalar(Text(value, True, _NOWHERE))
        return value if bare else json.dumps(value, ensure_ascii=False)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return shown(value) if isinstance(value, float) else str(value)
