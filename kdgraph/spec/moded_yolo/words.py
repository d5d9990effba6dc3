"""Words NAME=VALUE -> nodes that know where in the line of words they stand.

Values are written as in Python: `True`, `None`, `"cosine"`, `[0.4, 0.4, 0.2]`; who pastes the arguments of
a call may leave the commas between them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from kdgraph.errors import Diagnostic, Span, SpecError, quoted
from kdgraph.spec.nodes import Entry, Items, Map, Node, Text
from kdgraph.spec.reading.faults import Faults

FILE = "--from-flags"
"""What messages call the line of words."""

_OPENING, _CLOSING = "[(", "])"
_QUOTED = re.compile(r"(['\"])(.*)\1", re.DOTALL)
_FLAG = re.compile(r"(?P<name>\w+)\s*=(?P<value>.*)", re.DOTALL)


def read_words(words: Sequence[str], faults: Faults) -> Map:
    """The flags in the order given; words that are no flag, and flags given twice, go to `faults`."""
    line = " ".join(words)
    entries: dict[str, Entry] = {}
    for word, start in _whole(words):
        with faults.gathered():
            entry = _entry(word, start, line)
            name = entry.key.value
            if name in entries:
                hint = "keep one of the two"
                raise _fault("KD005", f"the flag {quoted(name)} is given twice", entry.key.span, hint)
            entries[name] = entry
    return Map(_span(line, 0, len(line)), "", entries)


def _whole(words: Sequence[str]) -> Iterator[tuple[str, int]]:
    """The words and where they start; the shell's pieces of a list with blanks are put together again."""
    whole, at, start = "", 0, 0
    for word in words:
        whole, start = (f"{whole} {word}", start) if whole else (word, at)
        at += len(word) + 1
        if _depth(whole) <= 0:
            if whole.strip(" ,"):
                yield whole, start
            whole = ""
    if whole:
        yield whole, start


def _depth(text: str) -> int:
    return sum(text.count(char) for char in _OPENING) - sum(text.count(char) for char in _CLOSING)


def _entry(word: str, start: int, line: str) -> Entry:
    match = _FLAG.fullmatch(word)
    if match is None:
        hint = "a flag is written NAME=VALUE without blanks, such as cls_dist=True"
        raise _fault("KD103", f"{quoted(word)} is not a flag", _span(line, start, start + len(word)), hint)
    name, at = match["name"], start + match.start("value")
    key = Text(name, True, _span(line, start, start + len(name)))
    return Entry(key, _value(match["value"], at, line, name))


def _value(raw: str, start: int, line: str, path: str) -> Node:
    """What stands at `start`, without blanks and a comma around it."""
    start += len(raw) - len(raw.lstrip())
    raw = raw.strip().removesuffix(",").rstrip()
    span = _span(line, start, start + len(raw))
    if raw[:1] in tuple(_OPENING) and raw[-1:] in tuple(_CLOSING):
        return Items(span, path, _items(raw[1:-1], start + 1, line, path))
    if match := _QUOTED.fullmatch(raw):
        return Text(match[2], False, span, path)
    return Text("null" if raw == "None" else raw, True, span, path)


def _items(inside: str, start: int, line: str, path: str) -> list[Node]:
    items: list[Node] = []
    for piece in inside.removesuffix(",").split(",") if inside.strip() else ():
        items.append(_value(piece, start, line, f"{path}[{len(items)}]"))
        start += len(piece) + 1
    return items


def _span(line: str, start: int, end: int) -> Span:
    return Span(FILE, 1, start + 1, max(end, start + 1) + 1, line)


def _fault(code: str, message: str, span: Span, hint: str) -> SpecError:
    return SpecError(Diagnostic(code, message, span, hint))
