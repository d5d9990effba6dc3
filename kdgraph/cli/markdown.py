"""The tables of the README, made from the list that a spec is checked against."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from kdgraph.cli.catalogue import ENTRIES, Group, Method

__all__ = ["markdown_tables"]

Column = tuple[str, Callable[[Method], str]]


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _options(method: Method) -> str:
    return ", ".join(_code(f"{name}: {default}") for name, default in method.defaults.items())


def _mask(method: Method) -> str:
    return method.mask if method.mask in ("yes", "no") else _code(method.mask)


_COMMON: tuple[Column, ...] = (("options", _options), ("source", lambda method: method.source))
_READS: Column = ("reads", lambda method: method.reads)
_TABLES: dict[Group, tuple[Column, ...]] = {
    "criterion": (
        ("criterion", lambda method: _code(method.name)),
        ("compares", lambda method: method.takes),
        ("by", lambda method: method.summary),
        ("mask", _mask),
        _READS,
        *_COMMON,
    ),
    "mask": (
        ("mask", lambda method: _code(method.name)),
        ("which cells count", lambda method: method.summary),
        _READS,
        *_COMMON,
    ),
    "adapter": (
        ("adapter", lambda method: _code(method.name)),
        ("what it does", lambda method: method.summary),
        *_COMMON,
    ),
    "balance": (
        ("balance", lambda method: _code(method.name)),
        ("what it does", lambda method: method.summary),
        *_COMMON,
    ),
}


def markdown_tables() -> str:
    """The tables of criteria, masks, adapters and balances, a blank line between two."""
    return "\n".join("".join(f"{line}\n" for line in _table(group)) for group in _TABLES)


def _table(group: Group) -> Iterator[str]:
    columns = _TABLES[group]
    yield _row(name for name, _ in columns)
    yield "|" + "---|" * len(columns)
    for method in ENTRIES:
        if method.group == group:
            yield _row(cell(method) for _, cell in columns)


def _row(cells: Iterator[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
