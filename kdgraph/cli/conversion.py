"""The command that converts flags of moded_YOLO: init --from-flags. It needs no torch."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from kdgraph.spec.moded_yolo import convert


def convert_command(words: Sequence[str], student: str | None, teacher: str | None, data: str | None) -> None:
    """Print the spec for flags of moded_YOLO; the options stand for the flags of the same meaning."""
    options = {"model": student, "teacher_model": teacher, "data": data}
    given = [f"{flag}={value}" for flag, value in options.items() if value is not None]
    typer.echo(convert([*given, *words]), nl=False)
