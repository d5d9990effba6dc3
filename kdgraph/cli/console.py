"""Where commands print, and how numbers read."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

__all__ = ["console", "count", "flops", "table"]

console = Console(highlight=False, soft_wrap=True)


def table(*columns: str, numeric: tuple[str, ...] = ()) -> Table:
    """A table without rules that is plain text when piped."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        made.add_column(name, justify="right" if name in numeric else "left", overflow="fold")
    return made


def count(number: int) -> str:
    """1234567 as `1.23 M`."""
    for unit, size in (("M", 1_000_000), ("k", 1_000)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return str(number)


def flops(number: int) -> str:
    return f"{number / 1e9:.2f}"
