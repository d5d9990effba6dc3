"""`edges: default`, the name of a recipe."""

from __future__ import annotations

from kdgraph.errors import Span, closest, quoted
from kdgraph.spec.nodes import Map, Node, Text
from kdgraph.spec.reading.scope import Scope
from kdgraph.spec.reading.values import fail
from kdgraph.spec.recipes import FITTED, RECIPES, Heads
from kdgraph.spec.source import read_source

EDGES = "{neck: {taps: neck.*, criterion: cwd}}"

_TASKS = ("detect", "segment", "pose", "obb")


def read_recipe(node: Text, scope: Scope) -> Node:
    """The map of edges that a recipe stands for. Raises SpecError where it does not suit the teachers."""
    name = node.value
    if name not in RECIPES:
        meant = (closest(name, RECIPES, n=1) or list(RECIPES))[0]
        hint = f"did you mean '{meant}'? edges of your own are a map: {EDGES}"
        raise fail("KD105", node, f"no recipe is named {quoted(name)}", hint)
    if not scope.default_teacher:
        hint = f"write the edges yourself, each with its teacher: {', '.join(scope.teachers)}"
        raise fail("KD111", node, f"the recipe '{name}' is for one teacher", hint)
    if not scope.teachers:
        hint = "write edges from deeper taps to shallower ones, or let `teacher: student.ema` teach"
        raise fail("KD111", node, f"the recipe '{name}' would compare the student with itself", hint)
    return _root(RECIPES[name], name)


def recipe_of(node: Node | None) -> str | None:
    """The recipe that `edges:` names."""
    return node.value if isinstance(node, Text) and node.value in RECIPES else None


def recipe_edges(recipe: str) -> tuple[str, ...]:
    """The names of all edges that the recipe has for some models."""
    roots = [_root(FITTED[recipe](Heads(task=task)), recipe) for task in _TASKS]
    return tuple(dict.fromkeys(name for root in roots if isinstance(root, Map) for name in root.entries))


def edge_places(node: Node | None) -> dict[str, Span] | None:
    """Where each edge is named, also one that cannot be read; None when the edges are none at all.

    Of a recipe all that it may have: which, the models decide.
    """
    recipe = recipe_of(node)
    if node is not None and recipe is not None:
        return dict.fromkeys(recipe_edges(recipe), node.span)
    return {name: entry.key.span for name, entry in node.entries.items()} if isinstance(node, Map) else None


def _root(text: str, recipe: str) -> Node:
    return read_source(text, f"<recipe {recipe}>").root
