"""Faults are gathered, so that a user sees all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from kdgraph.errors import Diagnostic, Span, SpecError, closest, quoted
from kdgraph.spec.nodes import Map, Node
from kdgraph.spec.reading.values import fail, is_null

Reader = Callable[[Node], Any]


class Faults:
    """The faults of one part of the spec, from as many readers as it has."""

    def __init__(self) -> None:
        self.found: list[Diagnostic] = []

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Keep the faults of a reader and go on behind the block."""
        try:
            yield
        except SpecError as error:
            self.found += error.diagnostics

    def check(self) -> None:
        """Raise SpecError if anything was found."""
        if self.found:
            raise SpecError(*dict.fromkeys(self.found))

    def fields(
        self,
        node: Map,
        what: str,
        readers: Mapping[str, Reader],
        required: Collection[str] = (),
        nullable: Collection[str] = (),
        holder: Span | None = None,
    ) -> dict[str, Any]:
        """The values of a map that could be read, by key. `what` names the part in messages: "an edge".

        Unknown keys, missing `required` ones and null values of keys that are not `nullable` are faults; a
        null of a nullable key is as good as leaving the key out. Missing keys are shown at `holder`.
        """
        self._unknown(node, what, readers)
        self._missing(node, what, required, holder or node.span)
        values: dict[str, Any] = {}
        for key, reader in readers.items():
            value = node.get(key)
            if value is None or (is_null(value) and key in nullable):
                continue
            with self.gathered():
                values[key] = _read(key, value, reader)
        return values

    def _unknown(self, node: Map, what: str, known: Iterable[str]) -> None:
        for key, entry in node.entries.items():
            if key not in known:
                message = f"{what} has no key {quoted(key)}"
                with self.gathered():
                    raise fail("KD102", entry.key, message, suggestion(key, known, "the keys are"))

    def _missing(self, node: Map, what: str, required: Iterable[str], holder: Span) -> None:
        for key in required:
            if key not in node.entries:
                where = f"{node.path}: " if node.path else ""
                hint = f"add `{key}: …`"
                self.found.append(Diagnostic("KD101", f"{where}{what} needs the key '{key}'", holder, hint))


def spans_of(node: Map, holder: Span | None = None) -> dict[str, Span]:
    """Where the value of each key was written; under "" where the whole part was."""
    return {"": holder or node.span} | {key: entry.value.span for key, entry in node.entries.items()}


def suggestion(name: str, known: Iterable[str], introduction: str) -> str:
    """What to write in place of an unknown name."""
    names = list(known)
    matches = closest(name, names)
    listed = f"{introduction} {', '.join(names)}"
    return f"did you mean {' or '.join(f'{match!r}' for match in matches)}? {listed}" if matches else listed


def _read(key: str, value: Node, reader: Reader) -> Any:
    if is_null(value):
        raise fail("KD103", value, "has no value", f"write one behind `{key}:`, or delete the key")
    return reader(value)
