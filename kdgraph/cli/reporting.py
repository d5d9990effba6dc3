"""The command that tells of a run: report."""

from __future__ import annotations

from pathlib import Path

import typer

from kdgraph.errors import Diagnostic, DrawError
from kdgraph.train.page import report_page

_ENDINGS = (".html", ".htm")


def report_command(folder: Path, out: Path | None) -> None:
    target = out or folder / "report.html"
    _check_ending(target)
    page = report_page(folder)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(page, encoding="utf-8")
    except OSError as error:
        message = f"{target} cannot be written ({error.strerror})"
        raise DrawError(Diagnostic("KD602", message, hint="give another file with --out")) from error
    typer.echo(target)


def _check_ending(target: Path) -> None:
    """Raise DrawError (KD601) for a file that is no page, such as a checkpoint that would be lost."""
    if target.suffix.lower() not in _ENDINGS:
        message = f"a report is a page, and '{target.name}' is none by its name"
        raise DrawError(Diagnostic("KD601", message, hint=f"end the file's name in {' or '.join(_ENDINGS)}"))
