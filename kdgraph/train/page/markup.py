"""Pieces of HTML: every text is escaped where it becomes markup."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from html import escape

__all__ = [
    "NONE",
    "Section",
    "definitions",
    "flops",
    "mark",
    "note",
    "number",
    "params",
    "percent",
    "table",
    "tone",
]

COLOURS = 8
"""How many the stylesheet has, beside grey."""
NONE = "\N{EN DASH}"
"""What stands for nothing in a table."""


@dataclass(frozen=True)
class Section:
    """A part of the page. `body` is markup; `name` is what links in the page call it by."""

    name: str
    title: str
    body: str

    def __str__(self) -> str:
        return f'<section id="{self.name}">\n<h2>{escape(self.title)}</h2>\n{self.body}\n</section>'


def note(text: str) -> str:
    """A remark in small print; line breaks are kept."""
    return f'<p class="note">{escape(text)}</p>'


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], numeric: Collection[str] = ()) -> str:
    """A table whose cells are markup already; `numeric` columns are set to the right."""
    kinds = [' class="n"' if name in numeric else "" for name in columns]
    head = "".join(f"<th{kind}>{escape(name)}</th>" for name, kind in zip(columns, kinds, strict=True))
    body = "\n".join(
        f"<tr>{''.join(f'<td{kind}>{cell}</td>' for cell, kind in zip(row, kinds, strict=True))}</tr>"
        for row in rows
    )
    return (
        f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'
    )


def definitions(pairs: Iterable[tuple[str, str]]) -> str:
    """Names and values, escaped here, in columns."""
    rows = "\n".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in pairs)
    return f'<dl class="pairs">\n{rows}\n</dl>'


def mark(colour: int, text: str) -> str:
    """A text behind a dot of its series' colour."""
    return f'<span class="mark"><i class="dot {tone(colour)}"></i>{escape(text)}</span>'


def tone(colour: int) -> str:
    """The classes of a colour: 0 is grey, then the stylesheet's; after those the first one again, dashed."""
    again, index = divmod(colour - 1, COLOURS) if colour else (0, -1)
    return f"s{index + 1} again" if again else f"s{index + 1}"


def number(value: float | None) -> str:
    """At most four significant digits; a dash for what is not there, or is not a number."""
    return NONE if value is None or math.isnan(value) else f"{value:.4g}"


def percent(value: float) -> str:
    """0.125 as `12.5%`; a dash for what is not finite."""
    return f"{value:.1%}" if math.isfinite(value) else NONE


def params(count: int) -> str:
    """2594000 as `2.59 M`."""
    return f"{count / 1e6:.2f} M" if count >= 1e6 else f"{count / 1e3:.1f} k"


def flops(count: int) -> str:
    """In units of 10⁹."""
    return f"{count / 1e9:.2f}"
