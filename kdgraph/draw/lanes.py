"""Lanes: the columns of a picture, in each of which a model goes one way, to coarser or to finer levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kdgraph.draw.parts import Kind, Part

__all__ = ["Lane", "band_name", "band_stride", "lanes_of", "place_of_level"]


@dataclass(frozen=True)
class Lane:
    """Parts of one kind that follow each other; `upwards` when their levels become finer."""

    kind: Kind
    upwards: bool
    parts: tuple[Part, ...]
    several: bool = False
    """Whether the model has more lanes of this kind."""

    @property
    def title(self) -> str:
        """What heads the column: `backbone`, `neck, top-down`, `neck, bottom-up`, `head`."""
        return self.kind + self.way

    @property
    def way(self) -> str:
        """Which way it goes, of a neck that goes both ways."""
        if not self.several or self.kind != "neck":
            return ""
        return ", top-down" if self.upwards else ", bottom-up"


_BELOW = 99
"""The row of what is of all levels together."""


def place_of_level(level: str | None) -> int:
    """Where a level stands from above; what is of all levels stands below them all."""
    return int(level[1:]) if level else _BELOW


def band_name(row: int) -> str:
    """What a row is called: `P3`, `all levels`; `image` at the images' own size."""
    return "all levels" if row == _BELOW else f"P{row}" if row else "image"


def band_stride(row: int) -> int | None:
    """The stride of a row in pixels."""
    return None if row == _BELOW else 2**row


def lanes_of(parts: Sequence[Part]) -> list[Lane]:
    """The lanes of a model, from its images to its outputs: a new one where a model turns round.

    The images stand above the first lane; all that is the head stands in the last.
    """
    runs: list[tuple[Kind, bool, list[Part]]] = []
    for part in parts:
        kind: Kind = "backbone" if part.kind == "input" else part.kind
        if not runs or runs[-1][0] != kind or _turns(runs[-1], part):
            runs.append((kind, False, []))
        kind, upwards, members = runs[-1]
        if kind != "head" and members and place_of_level(part.level) < place_of_level(members[-1].level):
            upwards = True
        members.append(part)
        runs[-1] = (kind, upwards, members)
    kinds = [kind for kind, _, _ in runs]
    return [Lane(kind, upwards, tuple(members), kinds.count(kind) > 1) for kind, upwards, members in runs]


def _turns(run: tuple[Kind, bool, list[Part]], part: Part) -> bool:
    kind, upwards, members = run
    step = place_of_level(part.level) - place_of_level(members[-1].level)
    moved = len({member.level for member in members}) > 1
    if kind == "head" or step == 0:
        return False
    return (step > 0) if upwards else (step < 0 and moved)
