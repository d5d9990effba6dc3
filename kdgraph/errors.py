"""What can go wrong, and how it is told: spans, diagnostics and the error tree.

    KdgraphError
    ├── SpecError          the text of the spec is wrong
    ├── ModelError         a model cannot be had: unknown, missing, corrupt, not a detector
    ├── DataError          a dataset cannot be used
    ├── GraphError         the spec does not fit the graphs, or a model cannot be traced
    ├── DrawError          a picture cannot be drawn or written
    ├── RunError           a training or a resume cannot go on
    └── EnvironmentFault   installed versions or devices that do not fit together

An error carries one diagnostic or many; whoever finds faults collects them and raises once.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

CODES: dict[str, str] = {
    # KD0xx: the file and its YAML
    "KD001": "the spec file cannot be read",
    "KD002": "the file is not UTF-8 text",
    "KD003": "the spec is empty",
    "KD004": "the text is not valid YAML",
    "KD005": "a key is written twice",
    "KD006": "a YAML feature that specs do not use: anchors, aliases, tags, merge keys, several documents",
    "KD007": "the spec is larger or more deeply nested than any spec needs to be",
    # KD1xx: keys, names and values of the spec
    "KD101": "a required key is missing",
    "KD102": "an unknown key",
    "KD103": "a value of the wrong type",
    "KD104": "a value out of bounds, or not one of the choices",
    "KD105": "an unknown criterion, mask, adapter, balancer, recipe, edge or teacher",
    "KD106": "an option that the component does not have",
    "KD107": "a name that cannot be used for an edge, a tap, a phase or a teacher",
    "KD108": "a tap that is not written as taps are",
    "KD109": "an edge or a phase that can never have an effect",
    "KD110": "epochs that contradict each other",
    "KD111": "parts of a spec that do not go together",
    "KD112": "a train argument that the spec itself decides",
    "KD113": "a train argument that Ultralytics does not have",
    "KD114": "a plugin that cannot be loaded, or that lacks what the spec takes from it",
    # KD2xx: taps and edges against the graphs
    "KD201": "a tap names nothing in the model",
    "KD202": "student and teacher have different levels for a tap",
    "KD203": "a criterion, mask or adapter that does not fit the tapped tensors",
    "KD204": "student and teacher disagree on classes, bins, channels or strides",
    "KD205": "a model that cannot be traced",
    # KD3xx: models
    "KD301": "a model file is missing",
    "KD302": "an unknown model",
    "KD303": "weights are not on disk and cannot be downloaded",
    "KD304": "a checkpoint that cannot be read",
    "KD305": "a model that cannot be what the spec makes it: no detector, no network",
    "KD306": "a checkpoint that would run code when loaded",
    "KD307": "a model yaml that cannot be built",
    # KD4xx: data
    "KD401": "a dataset is missing",
    "KD402": "a dataset yaml that is wrong",
    "KD403": "a dataset without images",
    "KD404": "a dataset without labels",
    "KD405": "labels that do not fit the dataset",
    "KD406": "a dataset is not on disk and cannot be downloaded",
    # KD5xx: runs and the environment
    "KD501": "an edge gives no gradient",
    "KD502": "a run that cannot be resumed",
    "KD503": "a loss that is not finite",
    "KD504": "a run that cannot start or go on",
    "KD511": "a package is missing or its version does not fit",
    "KD512": "torch and torchvision do not match",
    "KD513": "a package that cannot be imported",
    "KD514": "a device that cannot be used",
    # KD6xx: pictures
    "KD601": "a picture of an unknown format",
    "KD602": "a file that cannot be written",
}
"""Every code a diagnostic may have, and what it stands for."""

_LINE_WIDTH = 100  # longer source lines are shown as a window around the span
_QUOTE_WIDTH = 60


@dataclass(frozen=True)
class Span:
    """A piece of one source line; lines and columns count characters from 1, `end_column` is exclusive."""

    file: str
    line: int
    column: int
    end_column: int
    text: str
    """The whole source line."""


@dataclass(frozen=True)
class Diagnostic:
    """One fault: what is wrong, where, and how to mend it."""

    code: str
    message: str
    span: Span | None = None
    hint: str | None = None

    def render(self) -> str:
        """The fault as a user sees it: place and message, the source line with carets below it, the hint."""
        lines = [f"error[{self.code}] {self.message}"]
        if self.span is not None:
            lines[0] = f"{self.span.file}:{self.span.line}:{self.span.column}: {lines[0]}"
            lines += _excerpt(self.span)
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)


class KdgraphError(Exception):
    """Something the user can mend; `str()` renders all diagnostics in the order of their places."""

    def __init__(self, first: Diagnostic, *others: Diagnostic) -> None:
        super().__init__(first, *others)
        self.diagnostics: tuple[Diagnostic, ...] = tuple(sorted((first, *others), key=_place))

    def __str__(self) -> str:
        return "\n".join(diagnostic.render() for diagnostic in self.diagnostics)


class SpecError(KdgraphError):
    """The text of the spec is wrong."""


class ModelError(KdgraphError):
    """A model cannot be had."""


class DataError(KdgraphError):
    """A dataset cannot be used."""


class GraphError(KdgraphError):
    """The spec does not fit the graphs of the models, or a model cannot be traced."""


class DrawError(KdgraphError):
    """A picture cannot be drawn or written."""


class RunError(KdgraphError):
    """A training or a resume cannot go on."""


class EnvironmentFault(KdgraphError):
    """The installed versions or devices do not fit together."""


def closest(name: str, known: Iterable[str], n: int = 3) -> list[str]:
    """At most `n` of the `known` names that look like `name`, the best first; case does not count.

    Only names that are nearly as close as the best one: a user should not have to choose among guesses.
    """
    by_fold: dict[str, list[str]] = {}
    for candidate in known:
        by_fold.setdefault(candidate.casefold(), []).append(candidate)
    matches = difflib.get_close_matches(name.casefold(), sorted(by_fold), n=n, cutoff=0.6)
    ratios = [difflib.SequenceMatcher(None, match, name.casefold()).ratio() for match in matches]
    near = [match for match, ratio in zip(matches, ratios, strict=True) if ratio > ratios[0] - 0.1]
    return [candidate for match in near for candidate in by_fold[match]][:n]


def quoted(text: str) -> str:
    """`text` in single quotes for a message: on one line, printable, and cut when it is long."""
    shown = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text[: _QUOTE_WIDTH + 1])
    return f"'{shown}'" if len(text) <= _QUOTE_WIDTH else f"'{shown[: _QUOTE_WIDTH - 1]}…'"


def _place(diagnostic: Diagnostic) -> tuple[bool, str, int, int]:
    span = diagnostic.span
    return (True, "", 0, 0) if span is None else (False, span.file, span.line, span.column)


def _excerpt(span: Span) -> list[str]:
    """The source line and the carets below it, aligned also under tabs, wide and invisible characters."""
    start = min(span.column - 1, len(span.text))
    end = max(min(span.end_column - 1, len(span.text)), start)
    before, marked, after = _window(span.text[:start], span.text[start:end], span.text[end:])
    number = f"{span.line:>5}"
    return [
        f"{number} | {before}{marked}{after}".rstrip(),
        f"{' ' * len(number)} | {' ' * _width(before)}{'^' * max(1, _width(marked))}",
    ]


def _window(before: str, marked: str, after: str) -> tuple[str, str, str]:
    """Cut the three parts of a line to the width of a terminal, keeping the marked part in sight."""
    before, marked, after = _visible(before), _visible(marked), _visible(after)
    if _width(before + marked + after) <= _LINE_WIDTH:
        return before, marked, after
    marked = _cut(marked, _LINE_WIDTH * 3 // 5)
    room = _LINE_WIDTH - _width(marked)
    kept = _cut(after, max(room - _width(before), room // 2))
    return _cut(before[::-1], room - _width(kept))[::-1], marked, kept


def _cut(text: str, width: int) -> str:
    """The start of `text` that fits `width` columns, with an ellipsis when something was left out."""
    if _width(text) <= width:
        return text
    used = 0
    for index, char in enumerate(text):
        used += _width(char)
        if used >= width:
            return text[:index] + "…"
    return text


def _visible(text: str) -> str:
    """`text` with tabs as one blank and with characters that would upset a terminal replaced."""
    return "".join(_visible_character(char) for char in text)


def _visible_character(char: str) -> str:
    if char == "\t":
        return " "
    return char if char.isprintable() or unicodedata.category(char) == "Zs" else "\N{REPLACEMENT CHARACTER}"


def _width(text: str) -> int:
    """How many terminal columns `text` takes."""
    return sum(_columns(char) for char in text)


def _columns(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
