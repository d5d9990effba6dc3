"""Where commands print, and how numbers read."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

__all__ = ["aligned", "console", "flops", "on_terminal", "table"]

console = Console(highlight=False, soft_wrap=True)


def on_terminal() -> bool:
    """Whether someone looks at what is printed; else it goes to a file or another program."""
    return console.file.isatty()


def table(*columns: str, numeric: tuple[str, ...] = ()) -> Table:
    """A table without rules that is plain text when piped."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        made.add_column(name, justify="right" if name in numeric else "left", overflow="fold")
    return made


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]], numeric: Collection[str] = ()) -> str:
    """Plain text for other programs: a line for each row, however long, and `-` where a cell is empty."""
    lines = [list(header), *([cell or "-" for cell in row] for row in rows)]
    widths = [max(cell_len(line[column]) for line in lines) for column in range(len(header))]
    right = [name in numeric for name in header]
    return "\n".join("  ".join(map(_padded, line, widths, right)).rstrip() for line in lines)


def _padded(text: str, width: int, right: bool) -> str:
    blanks = " " * (width - cell_len(text))
    return blanks + text if right else text + blanks


def flops(number: int) -> str:
    return f"{number / 1e9:.2f}"
