"""Trees whose lines carry a name at the left and columns of numbers at the right."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.text import Text
from rich.tree import Tree

__all__ = ["GUIDE", "Branch", "Line"]

GUIDE = 2
"""Columns that a level of a tree takes."""


class Branch(Tree):
    """A tree with guides of two columns, so that deep names and their numbers fit 80."""

    children: list[Branch]  # type: ignore[assignment]

    def __init__(self, label: RenderableType, *children: Branch) -> None:
        super().__init__(label, guide_style="dim")
        self.ASCII_GUIDES = ("  ", "| ", "+ ", "` ")
        self.TREE_GUIDES = [("  ", "│ ", "├ ", "└ "), ("  ", "┃ ", "┣ ", "┗ "), ("  ", "║ ", "╠ ", "╚ ")]
        self.children.extend(children)


@dataclass(frozen=True)
class Line:
    """A name, a note behind it where there is room, and `cells` at the right edge.

    The name is never cut: one that leaves no room for the cells has a line of its own.
    """

    name: str
    style: str = ""
    note: str = ""
    cells: str = ""

    @property
    def length(self) -> int:
        """Columns that it takes with everything on one line."""
        return len("  ".join(filter(str.strip, (self.name, self.note, self.cells))))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        cells = self.cells if self.cells.strip() else ""
        room = options.max_width - len(cells) - 2 * bool(cells)
        text = Text.assemble((self.name, self.style))
        if self.note and len(self.name) + 2 + len(self.note) <= room:
            text.append(f"  {self.note}", "dim")
        if len(self.name) <= room:
            yield text.append(cells.rjust(options.max_width - len(text)) if cells else "")
        else:
            text.overflow = "fold"
            yield text
            yield Text(cells.lstrip().rjust(options.max_width), no_wrap=True, overflow="crop")
