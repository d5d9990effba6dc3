"""Recipes: names of edges that depend on the models, and phases that name them."""

from __future__ import annotations

import pytest

from kdgraph.errors import SpecError
from kdgraph.spec import Spec, parse
from kdgraph.spec.reading.phases import fitted_phases
from kdgraph.spec.reading.recipes import recipe_edges
from kdgraph.spec.recipes import FITTED, RECIPES, Heads

HEAD = "student: yolo11n.pt\nteacher: yolo11m.pt\nedges: default\ntrain: {epochs: 20}\n"


def spec_with(phases: str) -> Spec:
    return parse(f"{HEAD}phases: {phases}\n")


def fitted(heads: Heads) -> Spec:
    """The edges of the recipe for some heads, as a user would write them."""
    lines = "".join(f"  {line}\n" for line in FITTED["default"](heads).splitlines())
    return parse(HEAD.replace(" default", f"\n{lines}", 1))


@pytest.mark.parametrize("task", ["detect", "segment", "pose", "obb", ""])
@pytest.mark.parametrize("bins", [True, False])
def test_no_models_have_other_edges_than_the_recipe_says(task: str, bins: bool) -> None:
    for one_to_one in (True, False):
        edges = fitted(Heads(bins=bins, one_to_one=one_to_one, task=task)).edges
        assert set(edges) <= set(recipe_edges("default"))
    assert list(fitted(Heads(heads=False)).edges) == ["neck"]
    assert all(list(parse(HEAD).edges) == list(fitted(Heads()).edges) for name in RECIPES)


def test_all_edges_are_those_that_the_models_have() -> None:
    spec = spec_with("[{name: a, until: 5, edges: [neck]}, {name: b, edges: all}]")
    edges = fitted(Heads(task="segment")).edges
    phases = fitted_phases(spec, edges, 20)
    assert [phase.edges for phase in phases] == [("neck",), ("neck", "cls", "box", "mask")]
    assert [phase.until for phase in phases] == [5, None]
    assert phases[0].span("edges") == spec.phases[0].span("edges") is not None
    assert fitted_phases(parse(HEAD), edges, 20) == ()


def test_an_edge_of_some_models_may_be_named() -> None:
    spec = spec_with("[{name: a, until: 5, edges: [neck, cls, box]}, {name: b, edges: [mask]}]")
    edges = fitted(Heads(task="segment")).edges
    assert [phase.edges for phase in fitted_phases(spec, edges, 20)] == [("neck", "cls", "box"), ("mask",)]
    with pytest.raises(SpecError) as caught:
        fitted_phases(spec, fitted(Heads(task="pose")).edges, 20)
    [fault] = caught.value.diagnostics
    assert (fault.code, fault.hint) == ("KD105", "the edges are neck, cls, box, kpt")
    assert fault.message == "the recipe has no edge 'mask' for these models"
    assert fault.span is not None
    assert fault.span.text.startswith("phases:")


def test_an_edge_that_the_models_bring_has_to_be_named() -> None:
    spec = spec_with("[{name: a, edges: [neck, cls, box]}]")
    fitted_phases(spec, fitted(Heads()).edges, 20)
    with pytest.raises(SpecError, match=r"edges.kpt: the edge never counts: no phase names it"):
        fitted_phases(spec, fitted(Heads(task="pose")).edges, 20)
