"""The spec's text with numbered lines and a little colour."""

from __future__ import annotations

import re
from html import escape

__all__ = ["highlighted"]

_TOKEN = re.compile(
    r"""(?P<comment>(?:^|(?<=\s))\#.*)
      | (?P<string>"(?:\\.|[^"\\])*"|'(?:''|[^'])*')
      | (?P<key>[^\s:{}\[\],'"\#][^:{}\[\],'"\#]*(?=:(?:\s|$)))
      | (?P<number>(?<![\w.*-])-?\d[\d_]*(?:\.\d+)?(?:[eE][-+]?\d+)?(?![\w.*-]))
      | (?P<word>\b(?:true|false|null)\b)
    """,
    re.VERBOSE,
)


def highlighted(text: str) -> str:
    """YAML as a `<pre>`. Lines are numbered by the stylesheet, so that copying takes the text alone."""
    lines = "\n".join(f"<span>{_coloured(line)}</span>" for line in text.rstrip().split("\n"))
    return f'<pre class="source">{lines}</pre>'


def _coloured(line: str) -> str:
    parts, end = [], 0
    for found in _TOKEN.finditer(line):
        parts.append(escape(line[end : found.start()]))
        parts.append(f'<b class="{found.lastgroup}">{escape(found[0])}</b>')
        end = found.end()
    return "".join([*parts, escape(line[end:])])
