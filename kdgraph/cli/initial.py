"""The command that writes a first spec: init, without flags to convert."""

from __future__ import annotations

import typer

from kdgraph.compiler.api import check
from kdgraph.errors import KdgraphError
from kdgraph.spec.parse import parse

_TEMPLATE = """\
# Distils {teacher} into {student} on {data}.
#   kdgraph check my-spec.yaml      finds every mistake, in seconds
#   kdgraph run my-spec.yaml        trains; the result is a plain Ultralytics checkpoint
student: {student}
{teacher_lines}
data: {data}

edges:
  neck:                                   # features of every neck level, channel by channel
    taps: neck.*
    criterion: {{cwd: {{norm: batch}}}}
    weight: {{cosine: {{from: 1.0, to: 0.1}}}}
    until: -10                            # off for the last 10 epochs, when mosaic closes
  cls:                                    # class logits at every anchor
    taps: head.cls
    criterion: qfl
    weight: {{cosine: {{from: 1.0, to: 0.1}}}}
    until: -10
{box_edge}
train: {{epochs: 100, imgsz: 640, batch: 16}}   # any Ultralytics train argument
"""

_DFL_EDGE = """\
  dfl:                                    # the box distributions, where the teacher sees an object
    taps: head.dfl
    criterion: kl
    mask: teacher_score
    weight: {cosine: {from: 1.5, to: 0.15}}
    until: -10
"""

_BOX_EDGE = """\
  box:                                    # decoded distances: one side has no DFL bins, or other ones
    taps: head.box
    criterion: box_l2
    mask: teacher_score
    until: -10
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
    for teacher_lines in (_AS_IS, _TRAINED):
        for box_edge in (_DFL_EDGE, _BOX_EDGE):
            text = _TEMPLATE.format(
                student=student,
                teacher=teacher,
                data=data,
                teacher_lines=teacher_lines.format(teacher=teacher),
                box_edge=box_edge,
            )
            try:
                check(parse(text, "my-spec.yaml"))
            except KdgraphError as error:
                first = first or error
                continue
            typer.echo(text, nl=False)
            return
    assert first is not None
    raise first
