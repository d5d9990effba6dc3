"""The command that writes a first spec: init, without flags to convert."""

from __future__ import annotations

from functools import partial
from textwrap import indent

import typer

from kdgraph.compiler.api import check
from kdgraph.compiler.recipes import recipe_text
from kdgraph.errors import KdgraphError
from kdgraph.spec.parse import parse

_TEMPLATE = """\
# Distils {teacher} into {student} on {data}.
#   kdgraph check my-spec.yaml      finds every mistake, in seconds
#   kdgraph run my-spec.yaml        trains; the result is a plain Ultralytics checkpoint
student: {student}
{teacher_lines}
data: {data}

{edges}
train: {{epochs: 100, imgsz: 640, batch: 16}}   # any Ultralytics train argument
"""

_AS_IS = "teacher: {teacher}"
_TRAINED = """\
teacher:
  model: {teacher}
  train: {{epochs: 100}}                    # on the data first: it has no weights yet, or other classes"""


def init_command(student: str | None, teacher: str | None, data: str | None) -> None:
    """Print the first candidate spec that fits; if none does, raise what is wrong with the plainest."""
    student, teacher, data = student or "yolo11n.pt", teacher or "yolo11m.pt", data or "builtin:glyphs"
    first: KdgraphError | None = None
    for lines in (_AS_IS, _TRAINED):
        written = partial(
            _TEMPLATE.format,
            student=student,
            teacher=teacher,
            data=data,
            teacher_lines=lines.format(teacher=teacher),
        )
        try:
            planned = check(parse(written(edges="edges: default"), "my-spec.yaml"))
        except KdgraphError as error:
            first = first or error
            continue
        edges = recipe_text("default", planned.graph.models)
        typer.echo(written(edges=f"edges:\n{indent(edges, '  ')}"), nl=False)
        return
    assert first is not None
    raise first
