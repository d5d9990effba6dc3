"""Lines of text in boxes: their size and ink, and Graphviz' HTML for them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from html import escape

from kdgraph.draw import colours

__all__ = ["Line", "bold", "html", "pale", "plain"]

_WIDTH = 0.56
"""Of an average letter, in font sizes."""


@dataclass(frozen=True)
class Line:
    """A line of text; `size` in points."""

    text: str
    size: float
    ink: str = colours.INK
    bold: bool = False

    def fitted(self, width: float) -> Line:
        """Cut to a width in points, with `…` where something is missing."""
        room = int(width / (_WIDTH * self.size))
        if len(self.text) <= room:
            return self
        return replace(self, text=self.text[: max(1, room - 1)] + "…")


def plain(text: str, size: float = 10.0) -> Line:
    return Line(text, size)


def pale(text: str, size: float = 10.0) -> Line:
    return Line(text, size, colours.PALE)


def bold(text: str, size: float = 12.0, ink: str = colours.INK) -> Line:
    return Line(text, size, ink, bold=True)


def html(lines: Iterable[Line]) -> str:
    """One of Graphviz' HTML-like labels: a table, since plain lines stand too close."""
    rows = []
    for line in lines:
        inner = f"<b>{escape(line.text)}</b>" if line.bold else escape(line.text)
        rows.append(f'<tr><td><font point-size="{line.size:g}" color="{line.ink}">{inner}</font></td></tr>')
    return f'<<table border="0" cellspacing="0" cellpadding="1">{"".join(rows)}</table>>'
