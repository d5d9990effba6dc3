"""The names of a model as trees, one for each part."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from kdgraph.cli.trees import GUIDE, Branch, Line
from kdgraph.draw.numbers import count, sized
from kdgraph.graph.names import is_raw
from kdgraph.graph.show import NodeRow

__all__ = ["print_trees"]

_COLOURS = {"": "", "backbone": "cyan", "neck": "green", "head": "magenta"}


def print_trees(console: Console, rows: Sequence[NodeRow], whole: bool) -> None:
    """Print rows as trees as wide as they must be, and never wider than the terminal.

    If they are the `whole` model, each part tells what it sums up to.
    """
    columns = _Columns(max(5, *(len(sized(row.shape)) for row in rows)))
    trees = [tree for part in _COLOURS for tree in _trees(part, rows, columns, whole)]
    width = min(console.width, max(map(_length, trees)))
    console.print(Text(columns.header.rjust(width), "bold"), soft_wrap=False)
    for tree in trees:
        console.print(tree, width=width, soft_wrap=False)
    if whole:
        console.print(Text(f"{len(rows)} names; --match PATTERN shows some of them", "dim"), soft_wrap=False)


@dataclass(frozen=True)
class _Columns:
    """How the numbers of all rows are set below each other; `shape` is the width of the widest one."""

    shape: int

    @property
    def header(self) -> str:
        return self._set("shape", "stride", "params", "GFLOPs")

    def of(self, row: NodeRow) -> str:
        return self._set(sized(row.shape), str(row.stride or ""), *_costs([row]))

    def sum(self, rows: Sequence[NodeRow]) -> str:
        return self._set("", "", *_costs(rows))

    def _set(self, shape: str, stride: str, params: str, flops: str) -> str:
        return f"{shape:>{self.shape}}  {stride:>6}  {params:>6}  {flops:>6}"


def _costs(rows: Sequence[NodeRow]) -> tuple[str, str]:
    """Parameters and GFLOPs, nothing for none."""
    params, flops = sum(row.params for row in rows), sum(row.flops for row in rows)
    small = "<0.01" if 0 < flops < 5e6 else f"{flops / 1e9:.2f}"
    return count(params) if params else "", small if flops else ""


def _trees(part: str, rows: Sequence[NodeRow], columns: _Columns, whole: bool) -> list[Branch]:
    """The tree of a part; of what belongs to none, a tree for each name that is in no other."""
    own = [row for row in rows if row.part == part]
    branches = {row.name: Branch(_line(row, columns)) for row in own}
    tops = []
    for row in own:
        around = _around(row.name, branches)
        if around is None:
            tops.append(row)
        else:
            branches[around].children.append(branches[row.name])
    if not part or not own:
        return [branches[row.name] for row in tops]
    layers = [row for row in tops if is_raw(row.name)]
    root = Branch(Line(part, f"bold {_COLOURS[part]}", cells=columns.sum(layers) if whole else ""))
    root.children.extend(branches[row.name] for row in tops)
    return [root]


def _around(name: str, names: Collection[str]) -> str | None:
    """The closest of the `names` that holds `name`: `model.2` for `model.2.m.0`, if it has no `model.2.m`."""
    parts = name.split(".")
    above = (".".join(parts[:length]) for length in range(len(parts) - 1, 0, -1))
    return next((each for each in above if each in names), None)


def _line(row: NodeRow, columns: _Columns) -> Line:
    weight = "bold " if row.part and not is_raw(row.name) else "" if row.shape else "dim "
    return Line(row.name, weight + _COLOURS[row.part], _note(row), columns.of(row))


def _note(row: NodeRow) -> str:
    """The module that a semantic name stands for, or the type of one."""
    if row.part and not is_raw(row.name):
        return f"= {row.path}" if is_raw(row.path) else ""
    return "" if row.name.rsplit(".", 1)[-1].startswith(row.kind) else row.kind


def _length(branch: Branch, depth: int = 0) -> int:
    """The columns that a tree takes when nothing is wrapped or left out."""
    own = GUIDE * depth + (branch.label.length if isinstance(branch.label, Line) else 0)
    return max([own, *(_length(child, depth + 1) for child in branch.children)])
