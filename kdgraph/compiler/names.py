"""Names of modules in the compiled tree."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, count

__all__ = ["free_name"]


def free_name(name: str, taken: Iterable[str]) -> str:
    """`name` as a module's, without dots: `edge_a-b` and `edge_a_b` would be one; the later gets a number.

    Names begin with a kind (`edge_dfl`), since Ultralytics freezes what is called `.dfl`.
    """
    names = set(taken)
    plain = name.replace(".", "_").replace("-", "_")
    numbered = (f"{plain}_{number}" for number in count(2))
    return next(candidate for candidate in chain([plain], numbered) if candidate not in names)
