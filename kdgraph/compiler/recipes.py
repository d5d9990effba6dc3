"""Recipes, fitted to the models that are compared."""

from __future__ import annotations

from collections.abc import Mapping

from kdgraph.errors import Diagnostic, GraphError, SpecError
from kdgraph.graph.ir import Role, named
from kdgraph.graph.yolo import TracedModel
from kdgraph.spec.reading.edges import read_edges
from kdgraph.spec.reading.phases import fitted_phases
from kdgraph.spec.reading.scope import Scope
from kdgraph.spec.recipes import FITTED, Heads
from kdgraph.spec.schema import Spec
from kdgraph.spec.source import read_source
from kdgraph.spec.train_args import EPOCHS

__all__ = ["fitted", "left_out", "recipe_text"]


def fitted(spec: Spec, models: Mapping[Role, TracedModel]) -> Spec:
    """The spec with the edges of its recipe as they are for these models; one without a recipe as it is.

    Boxes are compared by their distributions where both heads have some, one-to-one branches where both have
    them, masks, keypoints and angles where both models have that task; a teacher without a head teaches the
    neck. Raises GraphError for phases that name an edge which these models do not have.
    """
    if spec.recipe is None:
        return spec
    for role, model in models.items():
        if not model.neck:
            raise GraphError(_without_neck(spec, role, model))
    text = recipe_text(spec.recipe, models)
    epochs = int(spec.train.get("epochs", EPOCHS))
    scope = Scope(epochs=epochs, teachers=tuple(spec.teachers))
    edges = read_edges(read_source(text, f"<recipe {spec.recipe}>").root, scope)
    try:
        phases = fitted_phases(spec, edges, epochs)
    except SpecError as error:
        raise GraphError(*error.diagnostics) from None
    return spec.model_copy(update={"edges": edges, "phases": phases})


def left_out(spec: Spec, models: Mapping[Role, TracedModel]) -> tuple[str, ...]:
    """In words why a recipe compares necks alone."""
    if spec.recipe is None:
        return ()
    headless = [(role, model) for role, model in models.items() if model.head is None]
    return tuple(
        f"the recipe compares necks alone: the {named(role)} has no head of boxes"
        + (f", {model.beheaded}" if model.beheaded else "")
        for role, model in headless
    )


def _without_neck(spec: Spec, role: Role, model: TracedModel) -> Diagnostic:
    taps = [name for name in model.names if "." not in name and name != "images"]
    example = f"teacher: {taps[-1] if taps and model.foreign else 'backbone.p4'}"
    return Diagnostic(
        "KD203",
        f"the recipe '{spec.recipe}' needs models with a neck, and the {named(role)} has none",
        spec.span("edges"),
        f"write the edges yourself: {{taps: {{student: backbone.p4, {example}}}, criterion: pkd}}",
    )


def recipe_text(recipe: str, models: Mapping[Role, TracedModel]) -> str:
    """The edges of a recipe as they are written for these models."""
    return FITTED[recipe](_heads(models))


def _heads(models: Mapping[Role, TracedModel]) -> Heads:
    heads = [head for model in models.values() if (head := model.head) is not None]
    tasks = {head.task for head in heads}
    return Heads(
        heads=len(heads) == len(models),
        bins=all(head.reg_max > 1 for head in heads),
        one_to_one=all(head.end2end for head in heads),
        turned=len(tasks) > 1 and "obb" in tasks,
        task=tasks.pop() if len(tasks) == 1 else "",
    )
