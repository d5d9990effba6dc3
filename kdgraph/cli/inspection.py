"""Commands that look and change nothing: check, explain, nodes, doctor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from kdgraph.cli.console import console, count, flops, table
from kdgraph.compiler.api import Plan, check, plan
from kdgraph.compiler.passes.base import Account, Stats
from kdgraph.compiler.signals import labelled
from kdgraph.errors import Diagnostic, GraphError
from kdgraph.graph.ir import Term
from kdgraph.graph.models import build_model
from kdgraph.graph.show import NodeRow, node_rows
from kdgraph.graph.yolo import trace_model
from kdgraph.spec.parse import load
from kdgraph.spec.schema import TeacherSpec


def check_command(file: Path) -> None:
    planned = check(load(file))
    terms = planned.graph.of(Term)
    console.print(f"{file}: {len(planned.graph.spec.edges)} edges, {len(terms)} terms, all fit")
    needing = labelled(planned.graph)
    if needing:
        console.print(f"labels are read by {', '.join(needing)}", markup=False)
    for told in planned.graph.left_out:
        console.print(told, markup=False)


def explain_command(file: Path, code: bool) -> None:
    planned = plan(load(file), weights=False)
    if code:
        typer.echo(planned.lower().code.strip())
        return
    for number, account in enumerate(planned.accounts, 1):
        _print_account(number, account, list(planned.graph.models))
    _print_sizes(planned)


def _print_account(number: int, account: Account, roles: Sequence[str]) -> None:
    console.print(f"[bold]{number}. {account.name}[/bold]  {account.summary}")
    for note in account.notes:
        console.print(f"   {note}", markup=False)
    for role, before, after in zip(roles, account.before, account.after, strict=True):
        if before.params and before != after:  # before shapes are known there is nothing to compare
            console.print(f"   {role}: {_told(before)} → {_told(after)}")
    console.print()


def _print_sizes(planned: Plan) -> None:
    sizes = table("model", "nodes", "parameters", "GFLOPs", numeric=("nodes", "parameters", "GFLOPs"))
    traced = next(a for a in planned.accounts if a.name == "infer_shapes").after
    final = planned.accounts[-1].after
    for role, before, after in zip(planned.graph.models, traced, final, strict=True):
        sizes.add_row(f"{role}, traced", str(before.nodes), count(before.params), flops(before.flops))
        sizes.add_row(f"{role}, compiled", str(after.nodes), count(after.params), flops(after.flops))
    console.print(sizes)


def _told(stats: Stats) -> str:
    return f"{stats.nodes} nodes, {count(stats.params)} parameters, {flops(stats.flops)} GFLOPs"


def nodes_command(name: str, match: str | None, imgsz: int) -> None:
    model = build_model(TeacherSpec(model=name), nc=None, weights=False, meta=True)
    rows = node_rows(trace_model(model, f"'{name}'", frozen=True), (imgsz, imgsz), match)
    if not rows:
        raise GraphError(
            Diagnostic("KD201", f"'{match}' names nothing in {name}", hint="`*` stays within one dotted part")
        )
    _print_nodes(rows)


def _print_nodes(rows: list[NodeRow]) -> None:
    listing = table("name", "module", "shape", "stride", "parameters", numeric=("stride", "parameters"))
    for row in rows:
        module = row.path if row.path != row.name else ""
        shape = "×".join(map(str, row.shape)) if row.shape else ""
        listing.add_row(
            row.name, module, shape, str(row.stride or ""), count(row.params) if row.params else ""
        )
    console.print(listing)


def doctor_command() -> None:
    from kdgraph.train.doctor import diagnose

    report = diagnose()
    console.print(str(report), markup=False)
    if report.faults:
        raise typer.Exit(2)
