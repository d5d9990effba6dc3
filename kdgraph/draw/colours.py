"""The colours of static pictures: told apart by colour-blind readers, and readable in print."""

from __future__ import annotations

from collections.abc import Mapping

from kdgraph.draw.parts import Kind

__all__ = ["CRITERIA", "FILL", "INK", "LINE", "PALE", "STRIPE", "criterion"]

INK, PALE, LINE, STRIPE = "#1f2328", "#6b7280", "#9aa3ae", "#f6f7f9"
FILL: Mapping[Kind, tuple[str, str]] = {
    "input": ("#eef0f2", "#8b949e"),
    "backbone": ("#e7effc", "#3f6fbf"),
    "neck": ("#e3f4ea", "#2f8556"),
    "head": ("#fdf0e0", "#b9701d"),
}
"""Inside and border of a box, by what it is part of."""

CRITERIA = (
    "#d1495b", "#6f4ec8", "#00798c", "#c46a00", "#2f7d32",
    "#b0388f", "#1d5fbf", "#7a5c00", "#5f6b7a", "#a33b20",
)  # fmt: skip


def criterion(number: int) -> str:
    """The colour of a criterion; with more criteria than colours they come again."""
    return CRITERIA[number % len(CRITERIA)]
