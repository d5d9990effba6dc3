"""A terminal for tests, and golden texts of what is seen on it."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Literal

from rich.cells import cell_len
from rich.console import Console


class Screen(Console):
    """A terminal of some columns that shows no colours, unless it is to."""

    def __init__(self, width: int = 80, colours: Literal["standard"] | None = None) -> None:
        self._seen = StringIO()
        super().__init__(
            file=self._seen,
            width=width,
            force_terminal=True,
            color_system=colours,
            highlight=False,
            soft_wrap=True,  # as kdgraph's own
        )

    @property
    def lines(self) -> list[str]:
        """What stands on it, without blanks at the ends of lines."""
        return [line.rstrip() for line in self._seen.getvalue().splitlines()]

    @property
    def widest(self) -> int:
        return max(cell_len(line) for line in self._seen.getvalue().splitlines())


def check_golden(lines: list[str], golden: Path, update: bool) -> None:
    """The lines must be those of the file; `pytest --update-golden` writes it anew."""
    text = "\n".join([*lines, ""])
    if update:
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")
