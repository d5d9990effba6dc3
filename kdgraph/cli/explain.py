"""The command that tells what the compiler makes of a spec: explain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import typer
from rich.console import Console, Group
from rich.padding import Padding
from rich.text import Text

from kdgraph.cli.console import aligned, console, flops, on_terminal
from kdgraph.cli.explained import Listing, edges_of, sizes_of, terms_of
from kdgraph.cli.trees import Branch
from kdgraph.compiler.api import Plan, plan
from kdgraph.compiler.passes.base import Account, Stats
from kdgraph.draw.numbers import count
from kdgraph.draw.terms import marks_of
from kdgraph.spec.parse import load


def explain_command(file: Path, code: bool) -> None:
    planned = plan(load(file), weights=False)
    if code:
        typer.echo(planned.lower().code.strip())
        return
    marks = marks_of(planned.graph)
    listings = [edges_of(marks), terms_of(marks), sizes_of(planned)]
    if on_terminal():
        print_plan(console, str(file), planned, listings)
    else:
        typer.echo("\n\n".join([*_paragraphs(planned), *_plain(listings)]))


def print_plan(console: Console, title: str, planned: Plan, listings: Iterable[Listing]) -> None:
    """Print the passes as a tree, and each listing as a table, no wider than the terminal."""
    root = Branch(Text(title, "bold"))
    for number, account in enumerate(planned.accounts, 1):
        name = Text.assemble((f"{number} ", "dim"), (account.name, "bold cyan"))
        summary = Padding(Text(account.summary, "dim"), (0, 0, 0, 2), expand=False)
        notes = (Branch(Text(note)) for note in _notes(account, planned))
        root.children.append(Branch(Group(name, summary), *notes))
    console.print(root, soft_wrap=False)
    for listing in listings:
        console.print()
        console.print(listing.table(), soft_wrap=False)


def _paragraphs(planned: Plan) -> Iterator[str]:
    for number, account in enumerate(planned.accounts, 1):
        notes = (f"   {note}" for note in _notes(account, planned))
        yield "\n".join([f"{number}. {account.name}  {account.summary}", *notes])


def _plain(listings: Iterable[Listing]) -> Iterator[str]:
    for listing in listings:
        yield aligned(listing.header, listing.rows, listing.numeric)


def _notes(account: Account, planned: Plan) -> Iterator[str]:
    """What a pass did, and how the models' sizes changed."""
    yield from account.notes
    for role, before, after in zip(planned.graph.models, account.before, account.after, strict=True):
        if before.params and before != after:  # before shapes are known there is nothing to compare
            yield f"{role}: {_changed(before, after)}"


def _changed(before: Stats, after: Stats) -> str:
    sizes = (
        (str(before.nodes), str(after.nodes), "nodes"),
        (count(before.params), count(after.params), "parameters"),
        (flops(before.flops), flops(after.flops), "GFLOPs"),
    )
    return ", ".join(f"{a} → {b} {what}" if a != b else f"{a} {what}" for a, b, what in sizes)
