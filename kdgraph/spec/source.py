"""YAML text -> nodes that know where they were written.

YAML's own loaders keep the last of two equal keys, read `on` as true and `3e-4` as text, and lose all places.
Here the parser's events become nodes whose scalars stay text until the schema says what they are. Of YAML
only what a spec needs is taken: no anchors, aliases, tags, merge keys or second documents.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from kdgraph.errors import Diagnostic, Span, SpecError, quoted
from kdgraph.spec.nodes import Broken, Entry, Items, Map, Node, Text
from kdgraph.spec.places import Places
from kdgraph.spec.syntax import explain

MAX_CHARACTERS = 200_000
MAX_DEPTH = 20

SMALLEST = "the smallest spec has the keys student, teacher, data and edges; `kdgraph init` writes one"
_NO_ALIAS = "specs have no anchors and aliases: write the value where it is used"
_NO_TAG = "delete the tag: the schema knows the types"
_SPACES = frozenset("\t\n\N{NO-BREAK SPACE}\N{IDEOGRAPHIC SPACE}")


@dataclass(frozen=True)
class Source:
    """The root node of a text, and what was wrong with the text although it could be read."""

    root: Node
    faults: tuple[Diagnostic, ...]


def read_source(text: str, file: str) -> Source:
    """The nodes of a YAML text. Raises SpecError when it is empty, not YAML, or absurdly large or deep."""
    text = text.removeprefix("\ufeff")
    places = Places.of_text(file, text)
    if len(text) > MAX_CHARACTERS:
        message = f"the text has {len(text):,} characters, and a spec may have {MAX_CHARACTERS:,}"
        raise SpecError(Diagnostic("KD007", message, places.start(), "is this the right file?"))
    return _Builder(places).build(text)


class _Builder:
    """Makes nodes of events; its recursion is bounded because the depth is."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.faults: list[Diagnostic] = []
        self.aliases: dict[str, Diagnostic] = {}
        self.events: Iterator[yaml.Event] = iter(())

    def build(self, text: str) -> Source:
        try:
            self.events = iter(yaml.parse(text, Loader=yaml.SafeLoader))
            root = self._document()
        except (yaml.YAMLError, ValueError) as error:  # ValueError: an escape beyond Unicode, "\\U00110000"
            raise SpecError(*self.faults, explain(error, text, self.places)) from None
        return Source(root, tuple(self.faults))

    def _document(self) -> Node:
        next(self.events)  # the start of the stream
        if isinstance(next(self.events), yaml.StreamEndEvent):
            raise SpecError(Diagnostic("KD003", "the spec is empty", self.places.start(), SMALLEST))
        root = self._node(next(self.events), "", 0, self.places.start())
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                hint = "one file holds one spec: delete the line, or put what follows into a file of its own"
                self._fault("KD006", "a second document begins here", self.places.of(event), hint)
                break
        return root

    def _node(self, event: yaml.Event, path: str, depth: int, holder: Span) -> Node:
        """The node that begins with `event`; `holder` is the place of its key, for when it is empty."""
        span = self.places.of(event)
        if depth > MAX_DEPTH:
            hint = "no part of a spec is that deep: look for a bracket that was not meant"
            deep = Diagnostic("KD007", f"this is nested more than {MAX_DEPTH} levels deep", span, hint)
            raise SpecError(*self.faults, deep)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event.anchor or "", span, path)
        if isinstance(event, yaml.CollectionStartEvent | yaml.ScalarEvent):
            self._refuse_properties(event, span)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._items(event, path, depth)
        if isinstance(event, yaml.MappingStartEvent):
            return self._map(event, path, depth)
        if isinstance(event, yaml.ScalarEvent):
            return self._text(event, path, holder)
        raise TypeError(f"no node begins with {event}")  # PyYAML's grammar rules it out

    def _alias(self, name: str, span: Span, path: str) -> Broken:
        """Aliases are not followed, so a bomb of them stays small; of each name only the first is a fault."""
        if name not in self.aliases:
            self.aliases[name] = self._fault("KD006", f"this is an alias of {quoted(name)}", span, _NO_ALIAS)
        return Broken(span, self.aliases[name], path)

    def _refuse_properties(self, event: yaml.CollectionStartEvent | yaml.ScalarEvent, span: Span) -> None:
        if event.anchor is not None:
            name = "&" + event.anchor
            place = self.places.word(span, name)
            self._fault("KD006", f"this is an anchor, {quoted(name)}", place, _NO_ALIAS)
        if event.tag is not None:
            name = event.tag.replace("tag:yaml.org,2002:", "!!")
            self._fault("KD006", f"this is a YAML tag, {quoted(name)}", self.places.word(span, name), _NO_TAG)

    def _text(self, event: yaml.ScalarEvent, path: str, holder: Span) -> Text:
        span = holder if self.places.nothing(event) else self.places.of(event)
        odd = [char for char in event.value if not (char.isprintable() or char in _SPACES)]
        if odd:
            hint = f"it holds {ascii(odd[0])[1:-1]}, which an editor may not show: retype the value"
            self._fault("KD004", "this has a character that cannot be printed", span, hint)
        return Text(event.value, event.style is None, span, path)

    def _items(self, start: yaml.Event, path: str, depth: int) -> Items:
        items: list[Node] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self._node(event, f"{path}[{len(items)}]", depth + 1, self.places.dash(event)))
        return Items(self.places.of(start, event), path, items)

    def _map(self, start: yaml.Event, path: str, depth: int) -> Map:
        entries: dict[str, Entry] = {}
        lost: Diagnostic | None = None
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self._key(event, path, depth)
            name = key.value if isinstance(key, Text) else "?"
            value = self._node(next(self.events), _joined(path, name), depth + 1, key.span)
            lost = (
                self._enter(entries, Entry(key, value)) if isinstance(key, Text) else key.diagnostic
            ) or lost
        return Map(self.places.of(start, event), path, entries, lost)

    def _key(self, event: yaml.Event, path: str, depth: int) -> Text | Broken:
        key = self._node(event, path, depth + 1, self.places.of(event))
        if isinstance(key, Text | Broken):
            return key
        fault = self._fault("KD004", "a list or a map cannot be a key", key.span, "write the key as one word")
        return Broken(key.span, fault, path)

    def _enter(self, entries: dict[str, Entry], entry: Entry) -> Diagnostic | None:
        """Add an entry; the fault of a merge key is returned, since it hides other keys."""
        name = entry.key.value
        if name == "<<" and entry.key.plain:
            return self._fault("KD006", "this is a merge key", entry.key.span, _NO_ALIAS)
        if name in entries:
            first = entries[name].key.span.line
            hint = f"it was first written on line {first}: keep one of the two"
            self._fault("KD005", f"the key {quoted(name)} is written twice", entry.key.span, hint)
        else:
            entries[name] = entry
        return None

    def _fault(self, code: str, message: str, span: Span, hint: str) -> Diagnostic:
        self.faults.append(Diagnostic(code, message, span, hint))
        return self.faults[-1]


def _joined(path: str, key: str) -> str:
    shown = key if re.fullmatch(r"[\w*.-]{1,40}", key) else quoted(key)
    return f"{path}.{shown}" if path else shown
