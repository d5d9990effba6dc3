"""Pictures: of a model, of two models, of a spec with its edges; as a file or as one page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from pathlib import Path

import torch.fx as fx

from kdgraph.compiler.api import Plan
from kdgraph.draw.candidates import candidates
from kdgraph.draw.compose import scene_of
from kdgraph.draw.data import scene_data
from kdgraph.draw.graphviz import rendered
from kdgraph.draw.numbers import count
from kdgraph.draw.page import html
from kdgraph.draw.parts import anatomy_of
from kdgraph.draw.render import dot_of
from kdgraph.draw.scene import Detail, Scene, Subject
from kdgraph.draw.terms import marks_of, worded
from kdgraph.errors import Diagnostic, DrawError
from kdgraph.graph.ir import DistillGraph, Role, op_key
from kdgraph.graph.yolo import TracedModel

__all__ = [
    "FORMATS",
    "Scene",
    "check_format",
    "dpi",
    "html_of",
    "html_of_plan",
    "scene_of_diff",
    "scene_of_model",
    "scene_of_plan",
    "write",
]

FORMATS = (".svg", ".png", ".pdf", ".dot", ".gv", ".html")
"""Endings of the files that a picture can be written to."""

_MOST_PIXELS = 30_000
"""On a side of a bitmap: Cairo makes none that is larger than 32767."""

Size = tuple[int, int]
NamedModel = tuple[str, TracedModel]


def scene_of_model(name: str, model: TracedModel, image_size: Size) -> Scene:
    """One model, for images of `image_size` (height, width) in pixels."""
    subject = Subject("student", name, anatomy_of(model, image_size))
    return scene_of("model", name, [subject], notes=list(_unseen([subject])))


def scene_of_diff(ours: NamedModel, theirs: NamedModel, image_size: Size) -> Scene:
    """Two models with their names, the student first, and the taps of theirs that fit each other."""
    student, teacher = (
        Subject(role, name, anatomy_of(model, image_size))
        for role, (name, model) in (("student", ours), ("teacher", theirs))
    )
    title = f"{teacher.name} → {student.name}"
    return scene_of(
        "diff",
        title,
        [teacher, student],
        pairs=candidates(student, teacher),
        notes=list(_unseen([student, teacher])),
    )


def _unseen(subjects: Sequence[Subject]) -> Iterator[str]:
    """What of the models is not in the picture."""
    for subject in subjects:
        model = subject.anatomy.model
        if model.beheaded:
            whole = sum(p.numel() for p in model.source.parameters())
            drawn = sum(facts.params for facts in subject.anatomy.facts.values())
            size = f"{count(drawn)} of its {count(whole)} parameters"
            yield f"{subject.name} is drawn up to its last layer, {size}: {model.beheaded}"


def scene_of_plan(planned: Plan) -> Scene:
    """The models of a spec side by side, what the compiler kept of them, and the edges between them."""
    graph = planned.graph
    spec = graph.spec
    roles = [*graph.teachers, "student"]
    subjects = [_subject(planned, role) for role in roles]
    teachers = ", ".join(subject.name for subject in subjects[:-1]) or "itself"
    title = f"{teachers} → {spec.student.model}"
    subtitle = spec.path.name if spec.path else ""
    balanced = [f"Edges are balanced by {worded(spec.balance)}"] if spec.balance else []
    notes = [*balanced, *graph.left_out, *_unseen(subjects)]
    return scene_of("spec", title, subjects, marks_of(graph), notes=notes, subtitle=subtitle)


def _subject(planned: Plan, role: Role) -> Subject:
    graph = planned.graph
    view = graph.views[role]
    ref = graph.spec.student if role == "student" else graph.spec.teachers[role]
    after = planned.accounts[-1].after[list(graph.models).index(role)]
    size = (after.params, after.flops, after.nodes)
    anatomy = anatomy_of(graph.models[role], view.size, view.channels)
    return Subject(role, Path(ref.model).name, anatomy, _kept(graph, role), size)


def _kept(graph: DistillGraph, role: Role) -> Set[fx.Node]:
    """The nodes of a model that the compiled module computes, also those that are part of another now."""
    spliced = {op.node for op in graph.ops(role).values()}
    nodes = graph.models[role].module.graph.nodes
    return spliced | {node for node in nodes if graph.resolve(op_key(role, node)) in graph}


def check_format(path: Path) -> None:
    """Raise DrawError (KD601) for a file whose ending is none of FORMATS."""
    if path.suffix.lower() not in FORMATS:
        message = f"'{path.suffix or path.name}' is no format of a picture"
        raise DrawError(Diagnostic("KD601", message, hint=f"end the file's name in {', '.join(FORMATS)}"))


def write(scene: Scene, path: Path, detail: Detail = "layers") -> None:
    """Draw a scene into a file, whose ending says how.

    Raises DrawError: KD601 for an ending that is none of FORMATS, KD602 when the file cannot be written.
    """
    check_format(path)
    drawn = _drawn(scene, path.suffix.lower(), detail)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(drawn)
    except OSError as error:
        message = f"{path} cannot be written ({error.strerror})"
        raise DrawError(Diagnostic("KD602", message, hint="give another file with --out")) from error


def _drawn(scene: Scene, suffix: str, detail: Detail) -> bytes:
    if suffix == ".html":
        return html_of(scene, detail).encode()
    graph = dot_of(scene, detail)
    if suffix in (".dot", ".gv"):
        return str(graph).encode()
    if suffix == ".png":
        graph.graph_attr["dpi"] = str(dpi(scene, detail))
    return rendered(graph, suffix[1:])


def dpi(scene: Scene, detail: Detail) -> int:
    """Twice that of a screen, unless the picture is too large for it."""
    view = scene.views[detail]
    return min(144, int(72 * _MOST_PIXELS / max(view.plane.width, view.height)))


def html_of(scene: Scene, detail: Detail = "layers") -> str:
    """A scene as one interactive page that needs nothing else: no network, no other file."""
    return html(scene_data(scene, detail))


def html_of_plan(planned: Plan) -> str:
    """The interactive page of a plan."""
    return html_of(scene_of_plan(planned))
