"""Spec in, Distiller out: what `kdgraph.compile`, `kdgraph check` and `kdgraph explain` call."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from kdgraph.compiler.distiller import Distiller
from kdgraph.compiler.lower import Lowered, lower
from kdgraph.compiler.passes.base import Account
from kdgraph.compiler.pipeline import run_passes
from kdgraph.compiler.recipes import fitted, left_out
from kdgraph.compiler.views import rounded, views_of
from kdgraph.errors import Diagnostic, GraphError
from kdgraph.graph.ir import DistillGraph, Role, named
from kdgraph.graph.pair import build_models
from kdgraph.graph.yolo import trace_model
from kdgraph.nn import registry
from kdgraph.spec.schedule import may_end
from kdgraph.spec.schema import Spec, follows_student

__all__ = ["Plan", "check", "compile", "plan"]


@dataclass(frozen=True)
class Plan:
    """A spec after all passes: the graph, what each pass did, and the student it was made for."""

    graph: DistillGraph
    accounts: tuple[Account, ...]

    @property
    def student(self) -> nn.Module:
        return self.graph.models["student"].source

    def lower(self) -> Distiller:
        """The Distiller of this plan."""
        spec = self.graph.spec
        balance = None
        if spec.balance is not None:
            balance = registry.balance(spec.balance.name, len(spec.edges), **spec.balance.options)
        replan = self._lower_anew if any(may_end(spec, name) for name in spec.edges) else None
        return Distiller(spec, self.student, lower(self.graph), replan, balance)

    def _lower_anew(self, edges: Collection[str], previous: Lowered) -> Lowered:
        """The spec with these edges only, planned and lowered with the modules that `previous` has."""
        spec = self.graph.spec
        fewer = spec.model_copy(update={"edges": {name: spec.edges[name] for name in edges}})
        graph = self.graph
        seen = graph.views["student"]
        fresh = DistillGraph(fewer, graph.models, seen.size, seen.channels, graph.views)
        return lower(run_passes(fresh)[0], previous)


def plan(
    spec: Spec,
    *,
    student: nn.Module | None = None,
    teacher: nn.Module | None = None,
    teachers: Mapping[str, nn.Module] | None = None,
    weights: bool = True,
) -> Plan:
    """Trace all models and run all passes.

    `student`, `teacher` (the only one) and `teachers` (by their names in the spec) stand in for the models
    that the spec names. With `weights=False` only architectures are built: enough to check and explain, in
    seconds, without checkpoints or data. Raises ModelError, DataError or GraphError, the last with every
    mistake in the edges.
    """
    given = _given(spec, teacher, teachers)
    models = build_models(spec, student=student, teachers=given, weights=weights)
    traced = {"student": trace_model(models.student, f"the student '{spec.student.model}'")}
    for role, model in models.teachers.items():
        what = f"the {named(role)} '{spec.teachers[role].model}'"
        traced[role] = trace_model(model, what, frozen=not follows_student(spec, role))
    spec = fitted(spec, traced)
    size = _image_size(spec)
    views = views_of(spec, traced, size, models.channels)
    graph = DistillGraph(spec, traced, size, models.channels, views)
    graph.left_out = (*rounded(spec, views), *left_out(spec, traced))
    return Plan(*run_passes(graph))


def _given(
    spec: Spec, teacher: nn.Module | None, teachers: Mapping[str, nn.Module] | None
) -> Mapping[str, nn.Module]:
    """The teachers that were passed, by name. Raises GraphError (KD105) for a name that is not the spec's."""
    given = dict(teachers or {})
    if teacher is not None:
        only = next(iter(spec.teachers), "teacher")
        given = {only: teacher, **given}
    strangers = [name for name in given if name not in spec.teachers]
    if strangers or (teacher is not None and len(spec.teachers) > 1):
        have = ", ".join(spec.teachers) or "none: the student teaches itself"
        name = strangers[0] if strangers else "teacher"
        message = f"a model was passed for the teacher '{name}'; the spec's teachers are {have}"
        raise GraphError(
            Diagnostic("KD105", message, hint="pass `teachers={name: model}`, with names of the spec")
        )
    return given


def check(spec: Spec) -> Plan:
    """Find, without weights and without images, what `kdgraph run` would refuse.

    Raises ModelError, DataError or GraphError, as `plan`, and GraphError (KD301) for a teacher that is an
    architecture and is not to be trained.
    """
    untaught = _untaught(spec)
    try:
        planned = plan(spec, weights=False)
    except GraphError as error:
        raise GraphError(*error.diagnostics, *untaught) from None
    if untaught:
        raise GraphError(*untaught)
    return planned


def _untaught(spec: Spec) -> list[Diagnostic]:
    """The teachers whose weights would be random."""
    return [
        Diagnostic(
            "KD301",
            f"the {named(role)} '{teacher.model}' has no weights: an architecture has nothing to teach",
            teacher.span("model"),
            hint=f"train it: `teacher: {{model: {teacher.model}, train: {{epochs: 100}}}}`, "
            "or give a checkpoint",
        )
        for role, teacher in spec.teachers.items()
        if not (teacher.train is not None or teacher.python or follows_student(spec, role))
        and Path(teacher.model).suffix != ".pt"
    ]


def compile(
    spec: Spec,
    *,
    student: nn.Module | None = None,
    teacher: nn.Module | None = None,
    teachers: Mapping[str, nn.Module] | None = None,
) -> Distiller:
    """The Distiller of a spec: all models loaded, traced, planned and lowered.

    `student`, `teacher` (the only one) and `teachers` (by name) stand in for the models that the spec names:
    Ultralytics models, or as teachers any module that torch.fx can trace. The student is not copied, so
    training the Distiller trains it. Raises ModelError, DataError, or GraphError with every mistake in the
    edges.
    """
    given = _given(spec, teacher, teachers)
    untrained = [role for role, part in spec.teachers.items() if part.train is not None and role not in given]
    if untrained:
        raise GraphError(*(_yet_to_train(spec, role) for role in untrained))
    return plan(spec, student=student, teachers=given).lower()


def _yet_to_train(spec: Spec, role: Role) -> Diagnostic:
    part = spec.teachers[role]
    argument = "teacher=model" if role == "teacher" else f"teachers={{'{role}': model}}"
    return Diagnostic(
        "KD504",
        f"the {named(role)} '{part.model}' is still to be trained",
        part.span("train"),
        hint=f"`kdgraph run` trains it first; in your own loop pass compile(spec, {argument}), "
        "or name a trained checkpoint",
    )


def _image_size(spec: Spec) -> tuple[int, int]:
    size = spec.train.get("imgsz", 640)
    return (size, size) if isinstance(size, int) else (size[0], size[-1])
