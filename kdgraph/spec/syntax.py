"""What PyYAML says of broken syntax, in words that help: what it is, and what to write in its place."""

from __future__ import annotations

import re
from dataclasses import dataclass

import yaml

from kdgraph.errors import Diagnostic, Span
from kdgraph.spec.places import Places

_QUOTE = "put the value in quotes"
_SINGLE = "use single quotes, in which a backslash is just a backslash"
_LIST = "close it with ']', with commas between the items: [a, b, c]"
_MAP = "close it with '}', with commas between the entries: {a: 1, b: 2}"
_NO_DIRECTIVE = "delete the line: specs need no directives"


@dataclass(frozen=True)
class _Explanation:
    """Patterns of PyYAML's context and problem, and our words for the two together."""

    context: str
    problem: str
    message: str
    hint: str
    at_context: bool = False
    """Show where the broken thing begins, not where the parser gave up."""

    def fits(self, error: yaml.MarkedYAMLError) -> bool:
        said = ((self.context, error.context), (self.problem, error.problem))
        return all(re.search(pattern, text or "") for pattern, text in said)


_EXPLANATIONS = (
    _Explanation(
        "",
        r"character '\\t'",
        "a tab cannot stand here",
        "replace it with spaces: YAML takes no tabs for indentation",
    ),
    _Explanation("", r"^found character '", "a value cannot begin with this character", _QUOTE),
    _Explanation(
        "quoted", "unexpected", "this quote is never closed", "close it at the end of the value", True
    ),
    _Explanation("quoted", "escape", "YAML does not know this escape", _SINGLE),
    _Explanation("flow sequence", "", "this list is not closed", _LIST, True),
    _Explanation("flow mapping", "", "this map is not closed", _MAP, True),
    _Explanation("block", "found '[]}]'", "this bracket closes nothing", "delete it, or open it before"),
    _Explanation(
        "", "node content, but found '[]}]'", "this bracket closes nothing", "delete it, or open it before"
    ),
    _Explanation("", "node content", "a value is missing here", "write one, or delete the comma"),
    _Explanation(
        "block",
        "found '<scalar>'",
        "the value has ended before this",
        "put the whole value in one pair of quotes",
    ),
    _Explanation(
        "block mapping",
        "found '-'",
        "a list item stands among the keys of a map",
        "indent the dash below the key it belongs to, or write `key: value`",
    ),
    _Explanation(
        "block mapping",
        "expected <block end>",
        "this line is not indented like the keys beside it",
        "begin all keys of one map in the same column",
    ),
    _Explanation(
        "block collection",
        "expected <block end>",
        "this line does not fit the list above it",
        "begin each item with a dash in the same column, and keys after a list further left",
    ),
    _Explanation(
        "", "expected ':'", "this line has no ': '", "write `key: value`, with a blank behind the colon", True
    ),
    _Explanation(
        "",
        "sequence entries",
        "a list cannot begin here",
        "put the dash on a line of its own, or write [a, b]",
    ),
    _Explanation("", "mapping keys", "a key cannot begin here", "put it on a line of its own"),
    _Explanation("an (alias|anchor)", "", "a value that begins with '*' or '&' needs quotes", _QUOTE, True),
    _Explanation("tag|node", "", "a value that begins with '!' needs quotes", _QUOTE, True),
    _Explanation("block scalar", "", "a value that begins with '|' or '>' needs quotes", _QUOTE, True),
    _Explanation("directive", "", "a line that begins with '%' is a YAML directive", _NO_DIRECTIVE, True),
    _Explanation(
        "", "directive|YAML document", "a line that begins with '%' is a YAML directive", _NO_DIRECTIVE
    ),
    _Explanation(
        "",
        "<document start>",
        "this line does not belong to the map above it",
        "begin all keys of the spec in the first column, and delete lines such as `...` or `%YAML`",
    ),
)


def explain(error: Exception, text: str, places: Places) -> Diagnostic:
    """The diagnostic for an exception of PyYAML while it read `text`."""
    if isinstance(error, yaml.reader.ReaderError):
        return _unprintable(text[error.position], places.index(text, error.position))
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return _escape(text, places)
    if "mapping values" in (error.problem or ""):
        return _colon(places.at(error.problem_mark), places)
    for known in _EXPLANATIONS:
        if known.fits(error):
            mark = error.context_mark if known.at_context else None
            return Diagnostic("KD004", known.message, places.at(mark or error.problem_mark), known.hint)
    return Diagnostic("KD004", f"this is not YAML: {error.problem}", places.at(error.problem_mark), _QUOTE)


def _unprintable(char: str, span: Span) -> Diagnostic:
    name = ascii(char)[1:-1]
    return Diagnostic(
        "KD004", f"the character {name} cannot stand in YAML", span, "delete it; an editor may not show it"
    )


def _escape(text: str, places: Places) -> Diagnostic:
    """PyYAML lets Python's own ValueError through for an escape beyond the last character of Unicode."""
    return Diagnostic(
        "KD004", "this escape is no character", places.index(text, max(text.find("\\U"), 0)), _SINGLE
    )


def _colon(span: Span, places: Places) -> Diagnostic:
    """A colon where no key can end: the second of its line, or the first below a value that has not ended."""
    above = places.above(span)
    glued = re.match(r"\s*[\w-]+:(?=\S)", above.text)
    if glued and ": " not in above.text:
        place = Span(above.file, above.line, glued.end(), glued.end() + 1, above.text)
        return Diagnostic("KD004", "a blank is missing behind this colon", place, "write `key: value`")
    if re.match(r"[\s-]*[^\s:#][^:#]*$", span.text[: span.column - 1]):
        message = "this key stands inside the value that the lines above began"
        hint = "indent it like the keys beside it, and see that each line above is `key: value`"
        return Diagnostic("KD004", message, span, hint)
    hint = "put the value in quotes if the colon belongs to it, or begin a new line"
    return Diagnostic("KD004", "a second ': ' on one line", span, hint)
