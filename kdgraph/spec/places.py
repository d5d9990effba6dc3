"""PyYAML's marks -> spans."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

import yaml

from kdgraph.errors import Span

_LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")  # what PyYAML counts as one


class Mark(Protocol):
    """What PyYAML's marks have in common, those of its C parser and of the other."""

    @property
    def line(self) -> int: ...
    @property
    def column(self) -> int: ...


@dataclass(frozen=True)
class Places:
    """The lines of a file, and spans in it. Arguments count from 0 as PyYAML does, spans from 1."""

    file: str
    lines: tuple[str, ...]

    @classmethod
    def of_text(cls, file: str, text: str) -> Places:
        return cls(file, tuple(_LINE_BREAK.split(text)))

    def start(self) -> Span:
        """The first line."""
        return self.between(0, 0, 0, len(self.lines[0]))

    def between(self, line: int, column: int, end_line: int, end_column: int) -> Span:
        """The span from one place to another; of several lines only the first, without its comment."""
        text = self.lines[line] if line < len(self.lines) else ""
        if end_line > line:
            end_column = len(re.sub(r"\s+#.*$", "", text).rstrip())
        return Span(self.file, line + 1, column + 1, max(end_column, column + 1) + 1, text)

    def of(self, event: yaml.Event, end: yaml.Event | None = None) -> Span:
        """Where `event` was written, up to the end of `end` when that is given."""
        return self.between(*_position(event.start_mark), *_position((end or event).end_mark))

    def nothing(self, event: yaml.Event) -> bool:
        """Whether `event` stands for a value that was left out."""
        return _position(event.start_mark) == _position(event.end_mark)

    def at(self, mark: Mark) -> Span:
        """One character."""
        line, column = _position(mark)
        return self.between(line, column, line, column + 1)

    def index(self, text: str, index: int) -> Span:
        """The character at an index of the whole text."""
        before = _LINE_BREAK.split(text[:index])
        return self.between(len(before) - 1, len(before[-1]), len(before) - 1, len(before[-1]) + 1)

    def above(self, span: Span) -> Span:
        """The last line before `span` that is not blank, or the first line."""
        lines = range(span.line - 2, 0, -1)
        line = next((line for line in lines if self.lines[line].strip()), 0)
        return self.between(line, 0, line, len(self.lines[line]))

    def word(self, span: Span, word: str) -> Span:
        """`word` where it stands in the line of `span`, at its start or behind it."""
        found = span.text.find(word, span.column - 1)
        column = span.column if found < 0 else found + 1
        return Span(span.file, span.line, column, column + len(word), span.text)

    def dash(self, event: yaml.Event) -> Span:
        """The dash of a list item whose value is `event`, as the place of an item that is not there."""
        line, column = _position(event.start_mark)
        return self.between(line, max(column - 1, 0), line, column)


def _position(mark: Mark | None) -> tuple[int, int]:
    """Line and column. PyYAML types marks as optional, but its parser sets them all."""
    return (mark.line, mark.column) if mark is not None else (0, 0)
