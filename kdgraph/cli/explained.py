"""What `kdgraph explain` lists: the edges of a plan, what they compare, and what is saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.table import Table
from rich.text import Text

from kdgraph.cli.console import flops
from kdgraph.compiler.api import Plan
from kdgraph.draw.numbers import count
from kdgraph.draw.terms import Mark

__all__ = ["Listing", "edges_of", "sizes_of", "terms_of"]


@dataclass(frozen=True)
class Listing:
    """Rows of text below a header.

    In a table, columns that are `numeric` are set to the right, `whole` ones (names) are broken only where
    they would leave no room for others, and `narrow` ones begin a line behind each comma.
    """

    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    numeric: tuple[str, ...] = ()
    whole: tuple[str, ...] = ()
    narrow: tuple[str, ...] = ()

    def table(self) -> Table:
        made = Table(box=box.SIMPLE_HEAD, show_edge=False, header_style="bold", padding=(0, 1, 0, 0))
        rows = [[self._cell(*each) for each in zip(self.header, row, strict=True)] for row in self.rows]
        for name, cells in zip(self.header, zip(*rows, strict=True), strict=True):
            longest = max(len(line) for cell in cells for line in cell.split("\n"))
            made.add_column(
                name,
                justify="right" if name in self.numeric else "left",
                no_wrap=name in (*self.numeric, *self.whole) and longest <= _WHOLE,
                max_width=_NARROW if name in self.narrow else None,
                overflow="fold",
            )
        for first, *rest in rows:
            made.add_row(Text(first, "green"), *map(Text, rest))
        return made

    def _cell(self, column: str, text: str) -> str:
        if column in self.narrow:
            return text.replace(", ", ",\n")
        return text.replace(" ↔ ", "\n↔ ") if len(text) > _WHOLE else text


_WHOLE, _NARROW = 40, 20


def edges_of(marks: Sequence[Mark]) -> Listing:
    """How each edge compares."""
    rows = []
    for edge in dict.fromkeys(mark.edge for mark in marks):
        own = [mark for mark in marks if mark.edge == edge]
        first = own[0]
        criterion = f"{first.criterion} ({first.options})" if first.options else first.criterion
        rows.append((edge, criterion, first.mask or "all", _weight(own)))
    return Listing(("edge", "criterion", "mask", "weight"), rows, whole=("edge",), narrow=("weight",))


def _weight(marks: Sequence[Mark]) -> str:
    """That of an edge, told for each level where they differ, and when it counts."""
    weights = dict.fromkeys(mark.weight for mark in marks)
    each = (f"{mark.level or mark.name}: {mark.weight}" for mark in marks)
    told = weights if len(weights) == 1 else each
    return ", ".join(filter(None, [*told, marks[0].span]))


def terms_of(marks: Sequence[Mark]) -> Listing:
    """What each edge compares at each level, and the adapter that it takes."""
    rows = [
        (mark.edge, _taps(mark), mark.adapter, count(mark.adapter_params) if mark.adapter else "")
        for mark in marks
    ]
    header = ("edge", "taps", "adapter", "parameters")
    return Listing(header, rows, numeric=("parameters",), whole=("edge", "taps"))


def _taps(mark: Mark) -> str:
    sides = (", ".join(mark.names(side)) for side in ("student", "teacher"))
    return " ↔ ".join(dict.fromkeys(filter(None, sides)))


def sizes_of(planned: Plan) -> Listing:
    """Each model as it was traced and as it is compiled, and what that saves."""
    traced = next(a for a in planned.accounts if a.name == "infer_shapes").after
    rows = []
    for role, before, after in zip(planned.graph.models, traced, planned.accounts[-1].after, strict=True):
        sizes = (
            (before.nodes, after.nodes, str),
            (before.params, after.params, count),
            (before.flops, after.flops, flops),
        )
        cells = [(f"{told(a)} → {told(b)}", _saved(a, b)) for a, b, told in sizes]
        rows.append((role, *(text for pair in cells for text in pair)))
    header = ("model", "nodes", "saved", "parameters", "saved", "GFLOPs", "saved")
    return Listing(header, rows, numeric=header[1:])


def _saved(before: int, after: int) -> str:
    share = 100 * (before - after) / before if before else 0.0
    return "<1 %" if 0 < share < 0.5 else f"{share:.0f} %"
