"""How numbers and shapes read, in pictures and in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["count", "gflops", "sized"]


def count(number: int) -> str:
    """1234567 as `1.23 M`."""
    for unit, size in (("M", 1_000_000), ("k", 1_000)):
        if number >= 0.9995 * size:  # 999999 is 1 M, three digits given
            return f"{number / size:.3g} {unit}"
    return str(number)


def gflops(number: int) -> str:
    """Operations in billions, three digits given."""
    return f"{number / 1e9:.3g} GFLOPs"


def sized(shape: Sequence[int] | None) -> str:
    """(64, 80, 80) as `64×80×80`, nothing for None."""
    return "×".join(map(str, shape or ()))
