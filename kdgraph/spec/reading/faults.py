"""Faults are gathered, so that a user sees all of them at once."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from kdgraph.errors import Diagnostic, Span, SpecError, closest, quoted
from kdgraph.spec.nodes import Map, Node
from kdgraph.spec.reading.values import fail, is_null

Reader = Callable[[Node], Any]

_MANY = 8  # more known names than that are not listed beside a close one
_WIDTH = 110


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
        elsewhere: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """The values of a map that could be read, by key. `what` names the part in messages: "an edge".

        Unknown keys, missing `required` ones and null values of keys that are not `nullable` are faults; a
        null of a nullable key is as good as leaving the key out. Missing keys are shown at `holder`, and
        unknown ones that belong `elsewhere` with the hint given there.
        """
        self._unknown(node, what, readers, elsewhere or {})
        self._missing(node, what, required, readers, holder or node.span)
        values: dict[str, Any] = {}
        for key, reader in readers.items():
            value = node.get(key)
            if value is None or (is_null(value) and key in nullable):
                continue
            with self.gathered():
                values[key] = _read(key, value, reader, key in required)
        return values

    def _unknown(self, node: Map, what: str, known: Collection[str], elsewhere: Mapping[str, str]) -> None:
        for key, entry in node.entries.items():
            if key not in known:
                hint = elsewhere.get(key) or suggestion(key, known, "the keys are")
                with self.gathered():
                    raise fail("KD102", entry.key, f"{what} has no key {quoted(key)}", hint)

    def _missing(
        self, node: Map, what: str, required: Iterable[str], known: Collection[str], holder: Span
    ) -> None:
        """One fault for all missing keys, but for those that a misspelt key was meant to be."""
        meant = {match for key in node.entries if key not in known for match in closest(key, known, n=1)}
        missing = [key for key in required if key not in node.entries and key not in meant]
        if not missing:
            return
        if node.fault is not None:
            self.found.append(node.fault)
            return
        where = f"{node.path}: " if node.path else ""
        message = (
            f"{where}{what} needs the key{'s' if len(missing) > 1 else ''} {', '.join(map(repr, missing))}"
        )
        hint = f"add {', '.join(f'`{key}: …`' for key in missing)}"
        self.found.append(Diagnostic("KD101", message, holder, hint))


def spans_of(node: Map, holder: Span | None = None) -> dict[str, Span]:
    """Where the value of each key was written; under "" where the whole part was."""
    return {"": holder or node.span} | {key: entry.value.span for key, entry in node.entries.items()}


def suggestion(name: str, known: Iterable[str], introduction: str, listed_by: str | None = None) -> str:
    """What to write in place of an unknown name; `introduction` stands before the known ones.

    Many names are listed on several lines, or where something is close to `name`, left to `listed_by`.
    """
    names = list(known)
    meant = " or ".join(f"{match!r}" for match in closest(name, names))
    if meant and listed_by and len(names) > _MANY:
        return f"did you mean {meant}? `{listed_by}` lists all {len(names)} of them"
    listed = f"{introduction} {', '.join(names)}"
    lines = textwrap.wrap(
        f"did you mean {meant}? {listed}" if meant else listed, _WIDTH, break_on_hyphens=False
    )
    return "\n        ".join(lines)  # below the first, which stands behind "  hint: "


def _read(key: str, value: Node, reader: Reader, required: bool) -> Any:
    if is_null(value):
        hint = f"write one behind `{key}:`" + ("" if required else ", or delete the key")
        raise fail("KD103", value, "has no value", hint)
    return reader(value)
