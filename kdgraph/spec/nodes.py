"""Nodes of a spec's text: scalars, lists and maps that know where they were written.

The `path` of a node is its place in the spec, for messages: `edges.neck.weight`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from kdgraph.errors import Diagnostic, Span


@dataclass(frozen=True)
class Text:
    """A scalar as it was written; a `plain` one, without quotes, may stand for a number or null."""

    value: str
    plain: bool
    span: Span
    path: str = ""


@dataclass(frozen=True)
class Items:
    """A list."""

    span: Span
    path: str = ""
    items: list[Node] = field(default_factory=list)


@dataclass(frozen=True)
class Entry:
    """A key of a map with its value."""

    key: Text
    value: Node


@dataclass(frozen=True)
class Map:
    """A map, in the order it was written in; keys are taken as text, also `on` and `1`."""

    span: Span
    path: str = ""
    entries: dict[str, Entry] = field(default_factory=dict)
    fault: Diagnostic | None = None
    """Why some entries could not be taken in: a key that is missing here may have been among them."""

    def get(self, key: str) -> Node | None:
        entry = self.entries.get(key)
        return None if entry is None else entry.value


@dataclass(frozen=True)
class Broken:
    """Something that could not be read, and why."""

    span: Span
    diagnostic: Diagnostic
    path: str = ""


Node = Text | Items | Map | Broken
