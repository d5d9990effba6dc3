"""Recipes, fitted to the models that are compared."""

from __future__ import annotations

from collections.abc import Mapping

from kdgraph.graph.ir import Role
from kdgraph.graph.yolo import TracedModel
from kdgraph.spec.reading.edges import read_edges
from kdgraph.spec.reading.scope import Scope
from kdgraph.spec.recipes import FITTED, Heads
from kdgraph.spec.schema import Spec
from kdgraph.spec.source import read_source

__all__ = ["fitted", "recipe_text"]


def fitted(spec: Spec, models: Mapping[Role, TracedModel]) -> Spec:
    """The spec with the edges of its recipe as they are for these models; one without a recipe as it is.

    Boxes are compared by their distributions where both heads have some, one-to-one branches where both have
    them, masks, keypoints and angles where both models have that task; a teacher without a head teaches the
    neck.
    """
    if spec.recipe is None:
        return spec
    text = recipe_text(spec.recipe, models)
    scope = Scope(epochs=int(spec.train.get("epochs", 100)))
    edges = read_edges(read_source(text, f"<recipe {spec.recipe}>").root, scope)
    named = {name for phase in spec.phases for name in phase.edges}
    wanted = {name: edge for name, edge in edges.items() if not named or name in named}
    return spec.model_copy(update={"edges": wanted})


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
        task=tasks.pop() if len(tasks) == 1 else "",
    )
