"""The command that lists criteria, masks, adapters and the like: methods."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

import typer

from kdgraph.cli.catalogue import ENTRIES, Group, Method, documentation
from kdgraph.cli.console import console, table
from kdgraph.cli.markdown import markdown_tables
from kdgraph.errors import closest

_HEADINGS: dict[Group, str] = {
    "criterion": "criteria, how two tensors are compared",
    "mask": "masks, which cells count and how much",
    "adapter": "adapters, how the student's tensor gets the teacher's shape",
    "balance": "balance, how edges are weighed against each other",
    "splice": "splice, what is compared inside the teacher's head",
    "weight": "weights that move while the run goes on",
}
_NAMES = max(len(method.name) for method in ENTRIES)


def methods_command(name: str | None, markdown: bool) -> None:
    if markdown:
        typer.echo(markdown_tables(), nl=False)
    elif name is None:
        _print_all()
    else:
        _print_named(name)


def _print_all() -> None:
    for group, methods in groupby(ENTRIES, lambda method: method.group):
        console.print(f"[bold]{_HEADINGS[group]}[/bold]")
        if group == "criterion":
            _print_criteria(list(methods))
        else:
            _print_listing(methods)
    console.print("kdgraph methods NAME tells all about one of them.")


def _print_criteria(methods: list[Method]) -> None:
    """By what they compare, in the order in which the list comes to it."""
    for takes in dict.fromkeys(method.takes for method in methods):
        console.print(f"of {takes}:")
        _print_listing(method for method in methods if method.takes == takes)


def _print_listing(methods: Iterable[Method]) -> None:
    listing = table("", "")
    listing.show_header = False
    for method in methods:
        facts = "; ".join(filter(None, (_masked(method), _read(method), _options(method))))
        said = "\n".join(filter(None, (method.summary, facts, method.source)))
        listing.add_row(f"  {method.name:<{_NAMES}}", said)
    console.print(listing, markup=False)
    console.print()


def _masked(method: Method) -> str:
    return {"": "", "no": "", "yes": "takes a mask"}.get(method.mask, f"mask {method.mask}")


def _read(method: Method) -> str:
    return f"reads {method.reads}" if method.reads else ""


def _options(method: Method) -> str:
    return ", ".join(f"{name}: {default}".rstrip(": ") for name, default in method.defaults.items())


def _print_named(name: str) -> None:
    found = [method for method in ENTRIES if method.name == name]
    if not found:
        near = closest(name, [method.name for method in ENTRIES])
        hint = f"did you mean {' or '.join(near)}?" if near else "`kdgraph methods` lists them"
        raise typer.BadParameter(f"nothing is named '{name}': {hint}")
    for method in found:
        _print_one(method)


def _print_one(method: Method) -> None:
    console.print(f"{method.name}: {method.summary}", markup=False, soft_wrap=False)
    if method.source:
        console.print(method.source, markup=False, soft_wrap=False)
    console.print(f"\n    {_written(method)}\n", markup=False)
    facts = table("", "")
    facts.show_header = False
    for name, fact in _facts(method).items():
        facts.add_row(name, fact)
    if facts.row_count:
        console.print(facts, markup=False)
        console.print()
    if method.defaults:
        options = table("option", "default", "meaning")
        for option, default in method.defaults.items():
            options.add_row(option, default, method.fields[option].description or "")
        console.print(options, markup=False)
        console.print()
    typer.echo(documentation(method) + "\n")


def _facts(method: Method) -> dict[str, str]:
    masks = {"": "", "no": "takes none", "yes": "takes one"}
    facts = {
        "compares": method.takes,
        "mask": masks.get(method.mask, f"{method.mask}, where an edge names none"),
        "adapter": f"{method.adapter}, where an edge names none" if method.adapter else "",
        "reads": method.reads,
    }
    return {name: fact for name, fact in facts.items() if fact}


def _written(method: Method) -> str:
    """A line of a spec."""
    if method.group == "splice":
        return "cls: {taps: head.cls, splice: head.cls.*.0, criterion: qfl}"
    if method.group == "weight":
        return f"weight: {{{method.name}: {{from: 1, to: 0.1}}}}"
    options = ", ".join(f"{name}: {default}" for name, default in method.defaults.items())
    return f"{method.group}: " + (f"{{{method.name}: {{{options}}}}}" if options else method.name)
