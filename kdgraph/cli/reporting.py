"""The command that tells of a run: report."""

from __future__ import annotations

from pathlib import Path

import typer

from kdgraph.errors import Diagnostic, RunError
from kdgraph.train.page import report_page


def report_command(folder: Path, out: Path | None) -> None:
    page, target = report_page(folder), out or folder / "report.html"
    try:
        target.write_text(page, encoding="utf-8")
    except OSError as error:
        raise RunError(
            Diagnostic(
                "KD504",
                f"{target} cannot be written ({error.strerror})",
                hint="give a file in a folder that is there and can be written: --out report.html",
            )
        ) from error
    typer.echo(target)
