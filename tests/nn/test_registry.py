"""Names to modules: what a spec may name is what can be built, with the same options."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from torch import nn

from kdgraph.nn import registry
from kdgraph.nn.criteria import Criterion
from kdgraph.nn.registry import adapter, balance, criterion, mask
from kdgraph.spec.components import COMPONENTS, Kind

WIRES: dict[str, Any] = {
    "bins": 16,
    "channels": (8, 8),
    "strides": (8.0, 16.0, 32.0),
    "keypoints": (17, 3),
}
SHAPE = (1, 8, 4, 4)


def build(kind: Kind, name: str, **options: Any) -> nn.Module:
    """The component, told all that it may be told."""
    info = COMPONENTS[kind].get(name)
    wires = {key: WIRES[key] for key in info.wires} if info else {}
    if kind == "criterion":
        return criterion(name, **options, **wires)
    if kind == "mask":
        return mask(name, **options, **wires)
    if kind == "balance":
        return balance(name, 2, **options)
    return adapter(name, SHAPE, SHAPE, **options)


EVERY = [(kind, name) for kind, infos in COMPONENTS.items() for name in infos]
every_component = pytest.mark.parametrize(("kind", "name"), EVERY)


@pytest.mark.parametrize(
    ("kind", "built"),
    [
        ("criterion", registry.CRITERIA),
        ("mask", registry.MASKS),
        ("adapter", registry.ADAPTERS),
        ("balance", registry.BALANCERS),
    ],
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
    wiring = {*WIRES, "inputs", "outputs", "edges"}
    options = COMPONENTS[kind][name].validate({})
    steering = {"mask": registry.STEERING.get(name, ()), "balance": ("at",)}.get(kind, ())
    options = {key: value for key, value in options.items() if key not in steering}
    assert own_defaults(type(build(kind, name)), wiring) == options


@pytest.mark.parametrize("name", registry.CRITERIA)
def test_masks_are_taken_where_the_spec_says(name: str) -> None:
    module, info = build("criterion", name), COMPONENTS["criterion"][name]
    assert isinstance(module, Criterion)
    assert (module.masked, module.same_channels) == (info.masked, info.channels)


@pytest.mark.parametrize("name", registry.CRITERIA)
def test_signals_are_what_the_spec_says_that_a_criterion_reads(name: str) -> None:
    parameters = inspect.signature(type(build("criterion", name)).compare).parameters.values()
    signals = {p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
    assert signals == set(COMPONENTS["criterion"][name].reads)


OPTIONS = [
    ("criterion", "cwd", {"tau": 4.0, "norm": "batch"}),
    ("criterion", "bce", {"temperature": 2.0}),
    ("criterion", "kl", {"temperature": 2.0}),
    ("criterion", "qfl", {"beta": 2.0}),
    ("criterion", "dist", {"temperature": 2.0, "inter": 0.5, "intra": 3.0}),
    ("criterion", "logit_std", {"temperature": 4.0}),
    ("criterion", "dkd", {"temperature": 2.0, "alpha": 0.5, "beta": 3.0}),
    ("criterion", "nkd", {"temperature": 2.0, "gamma": 0.5}),
    ("criterion", "rank", {"temperature": 2.0}),
    ("criterion", "ld", {"temperature": 2.0, "reduction": "sum"}),
    ("criterion", "ddf", {"temperature": 2.0, "of": "teacher", "topk": 5}),
    ("criterion", "m2d2", {"temperature": 2.0, "variant": "mean_logits", "pooling": "score"}),
    ("criterion", "box_l2", {"scale": 8.0}),
    ("criterion", "masks", {"count": 5, "temperature": 2.0}),
    ("criterion", "keypoints", {"delta": 0.5}),
    ("mask", "teacher_score", {"power": 2.0}),
    ("mask", "score_gap", {"power": 0.5}),
    ("mask", "top_k", {"k": 7}),
    ("mask", "boxes", {"context": 1.5}),
    ("mask", "valuable_region", {"gamma": 0.5, "topk": 5, "anchor": 4.0}),
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
        ("criterion", "masks", {"count": 0}),
        ("criterion", "masks", {"temperature": 0}),
        ("criterion", "keypoints", {"delta": 0}),
        ("mask", "teacher_score", {"power": float("inf")}),
        ("mask", "foreground", {"topk": 0}),
        ("adapter", "conv1x1", {"norm": 1}),
        ("adapter", "resize", {"mode": "cubic"}),
    ],
)
def test_a_bad_value_is_named(kind: Kind, name: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{kind} '{name}': {next(iter(options))}: "):
        build(kind, name, **options)


WIRED = [
    *(("criterion", name, wire) for name in registry.CRITERIA for wire in ("bins", "channels", "keypoints")),
    *(("mask", name, "strides") for name in registry.MASKS),
]
OPTIONAL = ("kl", "box_l2", "iou")
"""Components that can do without their wires: then they compare classes, or distances."""


@pytest.mark.parametrize(("kind", "name", "wire"), WIRED)
def test_wires_are_for_components_that_must_be_told(kind: Kind, name: str, wire: str) -> None:
    make: Callable[..., nn.Module] = criterion if kind == "criterion" else mask
    wires = COMPONENTS[kind][name].wires
    if wire not in wires:
        with pytest.raises(
            ValueError, match=f"{kind} '{name}' knows no {wire}: only .* must be told of them"
        ):
            make(name, **{wire: WIRES[wire]})
    elif name in OPTIONAL:
        assert (make(name).bins, make(name, bins=16).bins) == (None, 16)
    else:
        assert isinstance(make(name, **{wire: WIRES[wire]}), nn.Module)
        with pytest.raises(ValueError, match=rf"\b{name}\b.* (must be told|channels)"):
            make(name)


@pytest.mark.parametrize(("name", "options"), registry.STEERING.items())
def test_what_chooses_a_masks_input_is_checked_and_is_no_part_of_it(
    name: str, options: tuple[str, ...]
) -> None:
    assert set(options) <= set(COMPONENTS["mask"][name].options.model_fields)
    given = {"of": "teacher", "topk": 3, "count": 4, "overlap": 0.5}
    module = mask(name, **{key: given[key] for key in options})
    assert repr(module) == repr(mask(name))
    with pytest.raises(ValueError, match=options[1]):
        mask(name, **{options[1]: -1})


def test_the_package_offers_criteria_by_name() -> None:
    import kdgraph

    assert kdgraph.criterion is criterion
