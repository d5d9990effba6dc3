"""Spec in, Distiller out: what `kdgraph.compile`, `kdgraph check` and `kdgraph explain` call."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from kdgraph.compiler.distiller import Distiller
from kdgraph.compiler.lower import Lowered, lower
from kdgraph.compiler.passes.base import Account
from kdgraph.compiler.pipeline import run_passes
from kdgraph.errors import Diagnostic, GraphError
from kdgraph.graph.ir import DistillGraph, Role
from kdgraph.graph.pair import build_pair
from kdgraph.graph.yolo import TracedModel, trace_model
from kdgraph.nn import registry
from kdgraph.spec.schema import Spec

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
        return Distiller(spec, self.student, lower(self.graph), self._lower_anew, balance)

    def _lower_anew(self, edges: Collection[str], previous: Lowered) -> Lowered:
        """The spec with these edges only, planned and lowered with the modules that `previous` has."""
        spec = self.graph.spec
        fewer = spec.model_copy(update={"edges": {name: spec.edges[name] for name in edges}})
        fresh = DistillGraph(fewer, self.graph.models, self.graph.image_size, self.graph.channels)
        return lower(run_passes(fresh)[0], previous)


def plan(
    spec: Spec, *, student: nn.Module | None = None, teacher: nn.Module | None = None, weights: bool = True
) -> Plan:
    """Trace both models and run all passes.

    `student` and `teacher` stand in for the models that the spec names. With `weights=False` only
    architectures are built: enough to check and explain, in seconds, without checkpoints or data.
    Raises ModelError, DataError or GraphError, the last with every mistake in the edges.
    """
    pair = build_pair(spec, student=student, teacher=teacher, weights=weights)
    traced: dict[Role, TracedModel] = {
        "student": trace_model(pair.student, f"the student '{spec.student.model}'"),
        "teacher": trace_model(pair.teacher, f"the teacher '{spec.teacher.model}'"),
    }
    graph = DistillGraph(spec, traced, _image_size(spec), pair.channels)
    return Plan(*run_passes(graph))


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
    """A teacher whose weights would be random."""
    name = spec.teacher.model
    if spec.teacher.train is not None or Path(name).suffix == ".pt":
        return []
    return [
        Diagnostic(
            "KD301",
            f"the teacher '{name}' has no weights: an architecture has nothing to teach",
            spec.teacher.span("model"),
            hint=f"train it: `teacher: {{model: {name}, train: {{epochs: 100}}}}`, or give a checkpoint",
        )
    ]


def compile(spec: Spec, *, student: nn.Module | None = None, teacher: nn.Module | None = None) -> Distiller:
    """The Distiller of a spec: both models loaded, traced, planned and lowered.

    `student` and `teacher` stand in for the models that the spec names; the student is not copied, so
    training the Distiller trains it. Raises ModelError, DataError, or GraphError with every mistake in
    the edges.
    """
    if teacher is None and spec.teacher.train is not None:
        raise GraphError(
            Diagnostic(
                "KD504",
                f"the teacher '{spec.teacher.model}' is still to be trained",
                spec.teacher.span("train"),
                hint="`kdgraph run` trains it first; in your own loop pass compile(spec, teacher=model), "
                "or name a trained checkpoint",
            )
        )
    return plan(spec, student=student, teacher=teacher).lower()


def _image_size(spec: Spec) -> tuple[int, int]:
    size = spec.train.get("imgsz", 640)
    return (size, size) if isinstance(size, int) else (size[0], size[-1])
