"""The command line. Each command is one call of the API; wrong input ends with exit code 2."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from enum import Enum
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated

import typer

from kdgraph.errors import KdgraphError

app = typer.Typer(
    help="Distil a large YOLO detector into a small one, as a graph that is checked before it runs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

SpecFile = Annotated[Path, typer.Argument(help="A spec, as `kdgraph init` writes it.", show_default=False)]


class Detail(str, Enum):
    stages = "stages"
    layers = "layers"
    nodes = "nodes"


ImageSize = Annotated[int, typer.Option(min=1, help="Side of the images in pixels.")]


@app.command()
def run(
    spec: Annotated[Path | None, typer.Argument(help="A spec.", show_default=False)] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with the run in this folder.", show_default=False)
    ] = None,
) -> None:
    """Train the student of a spec, and its teacher first if the spec says so."""
    if (spec is None) == (resume is None):
        raise typer.BadParameter("give a spec, or --resume with the folder of a run")
    _command("training", "run_command")(spec, resume)


@app.command()
def check(spec: SpecFile) -> None:
    """Find every mistake in a spec, without weights and without images."""
    _command("inspection", "check_command")(spec)


@app.command()
def explain(
    spec: SpecFile,
    code: Annotated[bool, typer.Option("--code", help="Print the compiled forward instead.")] = False,
) -> None:
    """Show what each pass of the compiler does with a spec."""
    _command("explain", "explain_command")(spec, code)


@app.command()
def nodes(
    model: Annotated[str, typer.Argument(help="A model yaml or checkpoint.", show_default=False)],
    match: Annotated[
        str | None, typer.Option(help="Only names that this pattern finds, as in a spec.", show_default=False)
    ] = None,
    imgsz: ImageSize = 640,
) -> None:
    """List what can be tapped in a model: names, shapes, strides and parameters."""
    _command("nodes", "nodes_command")(model, match, imgsz)


@app.command()
def graph(
    target: Annotated[str, typer.Argument(help="A model yaml, a checkpoint, or a spec.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option(
            help="The picture: .svg, .png, .pdf, .dot, or .html for an interactive page.",
            show_default="the target's name, .svg",
        ),
    ] = None,
    detail: Annotated[
        Detail, typer.Option(help="Backbone, neck and head by level, rows of the model yaml, or fx nodes.")
    ] = Detail.layers,
    diff: Annotated[
        str | None,
        typer.Option(
            help="A second model: draw both, and list taps that fit each other.", show_default=False
        ),
    ] = None,
    imgsz: Annotated[
        int | None, typer.Option(min=1, help="Side of the images in pixels, for models.", show_default="640")
    ] = None,
) -> None:
    """Draw a model, two models, or a spec with its edges."""
    _command("drawing", "graph_command")(target, out, detail.value, diff, imgsz)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="The folder of a run.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option(help="The page.", show_default="report.html in that folder")
    ] = None,
) -> None:
    """Make one HTML page of a run: spec, graph, curves, tables, pictures, environment."""
    _command("reporting", "report_command")(folder, out)


@app.command()
def init(
    flags: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME=VALUE", help="With --from-flags: the flags.", show_default=False),
    ] = None,
    student: Annotated[
        str | None, typer.Option(help="The model that is to learn.", show_default="yolo11n.pt")
    ] = None,
    teacher: Annotated[
        str | None, typer.Option(help="The model that teaches it.", show_default="yolo11m.pt")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="An Ultralytics dataset yaml.", show_default="builtin:glyphs; coco8.yaml with --from-flags"
        ),
    ] = None,
    from_flags: Annotated[
        bool,
        typer.Option(
            "--from-flags",
            help="Convert flags of moded_YOLO, as NAME=VALUE words: cls_dist=True cls_dist_t=3",
        ),
    ] = False,
) -> None:
    """Print a spec to start from, fitted to the models and the data, or made of moded_YOLO's flags."""
    if flags and not from_flags:
        raise typer.BadParameter(f"{flags[0]}: words NAME=VALUE go behind --from-flags")
    if from_flags:
        _command("conversion", "convert_command")(flags or [], student, teacher, data)
    else:
        _command("initial", "init_command")(student, teacher, data)


@app.command()
def methods(
    name: Annotated[str | None, typer.Argument(help="One of them, in full.", show_default=False)] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the tables of the README.")] = False,
) -> None:
    """List criteria, masks, adapters and the like, with their options and papers."""
    _command("methods", "methods_command")(name, markdown)


@app.command()
def schema() -> None:
    """Print the JSON Schema of specs, for editors."""
    import json

    from kdgraph.spec.json_schema import json_schema

    typer.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))


@app.command()
def doctor() -> None:
    """Report versions and devices, and what does not fit together."""
    _command("inspection", "doctor_command")()


def _command(module: str, name: str) -> Callable[..., None]:
    """What does a command's work, imported only now, since that takes seconds.

    The lines that Ultralytics logs on its very first import stay out of what the command prints.
    """
    from kdgraph.graph.quiet import quiet

    if module != "training":
        gc.disable()  # a command that only looks is over before collecting garbage could pay
    with quiet():
        function: Callable[..., None] = getattr(import_module(f"kdgraph.cli.{module}"), name)
    return function


def _print_version(wanted: bool) -> None:
    if wanted:
        from kdgraph import __version__

        typer.echo(f"kdgraph {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command of `sys.argv`; raises SystemExit with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that knows no arrows shows `?`
    try:
        app()
    except KdgraphError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


def command() -> None:
    """The `kdgraph` command. One that only looked leaves at once: taking torch down would take a second."""
    try:
        main()
    except SystemExit as ended:
        if gc.isenabled() or not isinstance(ended.code, int | None):
            raise
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(ended.code or 0)
