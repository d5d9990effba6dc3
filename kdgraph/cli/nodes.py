"""The command that lists what can be tapped: nodes."""

from __future__ import annotations

from collections.abc import Iterable

import typer

from kdgraph.cli.console import aligned, console, on_terminal
from kdgraph.cli.node_tree import print_trees
from kdgraph.draw.numbers import sized
from kdgraph.errors import Diagnostic, GraphError, closest, quoted
from kdgraph.graph.models import build_model
from kdgraph.graph.show import NodeRow, node_rows
from kdgraph.graph.yolo import TracedModel, trace_model
from kdgraph.spec.schema import TeacherSpec


def nodes_command(name: str, match: str | None, imgsz: int) -> None:
    model = build_model(TeacherSpec(model=name), nc=None, weights=False, meta=True)
    traced = trace_model(model, f"'{name}'", frozen=True)
    imgsz = traced.fitting(imgsz)
    rows = node_rows(traced, (imgsz, imgsz), match)
    if not rows:
        raise GraphError(_nothing(name, match or "", traced, imgsz))
    if on_terminal():
        print_trees(console, rows, whole=not match)
    else:
        typer.echo(listing(rows))


def listing(rows: Iterable[NodeRow]) -> str:
    """A line for each name, its columns never empty, numbers without units: what grep, awk and sort want."""
    header = ("name", "module", "shape", "stride", "parameters", "GFLOPs", "type")
    lines = [
        (
            row.name,
            row.path if row.path != row.name else "",
            sized(row.shape),
            str(row.stride or ""),
            str(row.params),
            f"{row.flops / 1e9:.4f}",
            row.kind,
        )
        for row in rows
    ]
    return aligned(header, lines, numeric=("stride", "parameters", "GFLOPs"))


def _nothing(name: str, match: str, traced: TracedModel, imgsz: int) -> Diagnostic:
    near = near_patterns(match, [row.name for row in node_rows(traced, (imgsz, imgsz))])
    hint = f"did you mean {' or '.join(near)}?" if near else f"`kdgraph nodes {name}` lists every name;"
    message = f"{quoted(match)} names nothing in {name}"
    return Diagnostic("KD201", message, hint=f"{hint} `*` stays within one dotted part")


def near_patterns(pattern: str, names: Iterable[str]) -> list[str]:
    """Patterns like `pattern` that find some of the `names`: as many parts, with `*` where it has one."""
    wild = [set(part) & set("*?[") for part in pattern.split(".")]
    split = (name.split(".") for name in names)
    like = {
        ".".join("*" if w else part for part, w in zip(parts, wild, strict=True))
        for parts in split
        if len(parts) == len(wild)
    }
    return closest(pattern, sorted(like)) or closest(pattern, names)
