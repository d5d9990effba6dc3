"""Names that a user gives: to edges, taps, phases and teachers."""

from __future__ import annotations

import re

from kdgraph.errors import quoted
from kdgraph.spec.nodes import Text
from kdgraph.spec.reading.values import fail

NAME_PATTERN = r"[A-Za-z][A-Za-z0-9_-]*"

_HINT = "names have letters, digits, '_' and '-', and begin with a letter: they become columns and modules"


def check_name(key: Text, what: str) -> None:
    """Raise SpecError (KD107) unless `key` can name `what`, such as "an edge"."""
    if not re.fullmatch(NAME_PATTERN, key.value):
        raise fail("KD107", key, f"{quoted(key.value)} cannot name {what}", _HINT)
