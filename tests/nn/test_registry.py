"""Names to modules: what a spec may name is what can be built, with the same options."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from torch import nn

from kdgraph.nn import registry
from kdgraph.nn.assign import TaskAligned
from kdgraph.nn.criteria import Criterion
from kdgraph.nn.registry import adapter, criterion, mask
from kdgraph.spec.components import COMPONENTS, Kind

HEAD = {"nc": 3, "reg_max": 16, "strides": (8, 16, 32)}
SHAPE = (1, 8, 4, 4)


def build(kind: Kind, name: str, **options: Any) -> nn.Module:
    if kind == "criterion":
        return criterion(name, **options)
    if kind == "mask":
        return mask(name, **options, **(HEAD if name == "foreground" else {}))
    return adapter(name, SHAPE, SHAPE, **options)


EVERY = [(kind, name) for kind, infos in COMPONENTS.items() for name in infos]
every_component = pytest.mark.parametrize(("kind", "name"), EVERY)


@pytest.mark.parametrize(
    ("kind", "built"),
    [("criterion", registry.CRITERIA), ("mask", registry.MASKS), ("adapter", registry.ADAPTERS)],
)
def test_the_spec_and_the_registry_name_the_same(kind: Kind, built: dict[str, Any]) -> None:
    assert set(built) == set(COMPONENTS[kind])


@every_component
def test_every_component_is_built_without_options(kind: Kind, name: str) -> None:
    assert isinstance(build(kind, name), nn.Module)


@every_component
def test_every_default_may_be_written_out(kind: Kind, name: str) -> None:
    defaults = COMPONENTS[kind][name].validate({})
    assert repr(build(kind, name, **defaults)) == repr(build(kind, name))


def own_defaults(constructor: Callable[..., Any], wiring: set[str]) -> dict[str, Any]:
    parameters = inspect.signature(constructor).parameters.values()
    return {
        p.name: p.default
        for p in parameters
        if p.name not in wiring and p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    }


@every_component
def test_modules_have_the_options_and_defaults_of_the_spec(kind: Kind, name: str) -> None:
    wiring = {"bins", "inputs", "outputs"}
    options = COMPONENTS[kind][name].validate({})
    if name == "foreground":  # `of` chooses what the module is fed
        wiring |= {"nc", "reg_max", "strides", "alpha", "beta"}
        options.pop("of")
    assert own_defaults(type(build(kind, name)), wiring) == options


@pytest.mark.parametrize("name", registry.CRITERIA)
def test_masks_are_taken_where_the_spec_says(name: str) -> None:
    module = criterion(name)
    assert isinstance(module, Criterion)
    assert module.masked == COMPONENTS["criterion"][name].masked


OPTIONS = [
    ("criterion", "cwd", {"tau": 4.0, "norm": "batch"}),
    ("criterion", "bce", {"temperature": 2.0}),
    ("criterion", "kl", {"temperature": 2.0}),
    ("criterion", "qfl", {"beta": 2.0}),
    ("criterion", "box_l2", {"scale": 8.0}),
    ("mask", "teacher_score", {"power": 2.0}),
    ("mask", "foreground", {"topk": 5}),
    ("adapter", "resize", {"mode": "nearest"}),
]


@pytest.mark.parametrize(("kind", "name", "options"), OPTIONS)
def test_options_reach_the_module(kind: Kind, name: str, options: dict[str, Any]) -> None:
    module = build(kind, name, **options)
    assert {key: getattr(module, key) for key in options} == options


@pytest.mark.parametrize(
    ("kind", "name", "near"),
    [
        ("criterion", "cwdd", "cwd"),
        ("criterion", "mimik", "mimic"),
        ("mask", "teacher_scor", "teacher_score"),
        ("mask", "foregroud", "foreground"),
        ("adapter", "conv1x", "conv1x1"),
        ("adapter", "zzz", "auto or conv1x1 or identity or mlp or resize"),
    ],
)
def test_an_unknown_name_is_answered_with_close_ones(kind: Kind, name: str, near: str) -> None:
    with pytest.raises(ValueError, match=f"unknown {kind} '{name}': did you mean {near}"):
        build(kind, name)


@every_component
def test_an_unknown_option_is_named(kind: Kind, name: str) -> None:
    with pytest.raises(ValueError, match=rf"{kind} '{name}': nonsense: .*its options: "):
        build(kind, name, nonsense=1)


@pytest.mark.parametrize(
    ("kind", "name", "options"),
    [
        ("criterion", "cwd", {"tau": 0}),
        ("criterion", "cwd", {"tau": float("nan")}),
        ("criterion", "cwd", {"norm": "layer"}),
        ("criterion", "kl", {"temperature": -1}),
        ("criterion", "qfl", {"beta": "1"}),
        ("mask", "teacher_score", {"power": float("inf")}),
        ("mask", "foreground", {"topk": 0}),
        ("adapter", "conv1x1", {"norm": 1}),
        ("adapter", "resize", {"mode": "cubic"}),
    ],
)
def test_a_bad_value_is_named(kind: Kind, name: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{kind} '{name}': {next(iter(options))}: "):
        build(kind, name, **options)


@pytest.mark.parametrize("name", registry.CRITERIA)
def test_bins_are_for_criteria_that_read_distributions(name: str) -> None:
    if name in ("kl", "box_l2"):
        assert criterion(name, bins=16).bins == 16
    else:
        with pytest.raises(ValueError, match="knows no bins"):
            criterion(name, bins=16)


def test_foreground_must_be_told_of_the_head() -> None:
    assert isinstance(mask("foreground", **HEAD), TaskAligned)
    with pytest.raises(ValueError, match="must be told nc, strides of the head"):
        mask("foreground", reg_max=16)


def test_the_package_offers_criteria_by_name() -> None:
    import kdgraph

    assert kdgraph.criterion is criterion
