"""Commands that look and change nothing: check, doctor."""

from __future__ import annotations

from pathlib import Path

import typer

from kdgraph.cli.console import console
from kdgraph.compiler.api import check
from kdgraph.compiler.signals import labelled
from kdgraph.graph.ir import Term
from kdgraph.spec.parse import load


def check_command(file: Path) -> None:
    planned = check(load(file))
    terms = planned.graph.of(Term)
    console.print(f"{file}: {len(planned.graph.spec.edges)} edges, {len(terms)} terms, all fit")
    needing = labelled(planned.graph)
    if needing:
        console.print(f"labels are read by {', '.join(needing)}", markup=False)
    for told in planned.graph.left_out:
        console.print(told, markup=False)


def doctor_command() -> None:
    from kdgraph.train.doctor import diagnose

    report = diagnose()
    console.print(str(report), markup=False)
    if report.faults:
        raise typer.Exit(2)
