from __future__ import annotations

import pytest
from pydantic import ValidationError

from kdgraph.spec.components import ADAPTERS, BALANCERS, COMPONENTS, CRITERIA, MASKS, ComponentInfo, Kind

INFOS = [info for infos in COMPONENTS.values() for info in infos.values()]


LISTS = {
    "criterion": "mimic cosine sl2 pfi cwd pkd attention spatial_softmax channel_softmax gap_mse gram_mse "
    "mmd mgd fgd gi bce kl qfl dist logit_std dkd nkd rank ld ddf m2d2 box_l2 iou masks keypoints angle",
    "mask": "all teacher_score score_gap top_k foreground background pyramid boxes valuable_region gi",
    "adapter": "auto identity conv1x1 mlp resize",
    "balance": "gradient_norm uncertainty",
}
"""Names are a promise: a spec that was written once is read for good."""

UNMASKED = {"cwd", "pkd", "channel_softmax", "gap_mse", "gram_mse", "mmd", "mgd", "fgd", "gi"}


def test_the_lists() -> None:
    assert {kind: " ".join(infos) for kind, infos in COMPONENTS.items()} == LISTS


@pytest.mark.parametrize("kind", COMPONENTS)
def test_every_component_is_under_its_own_name(kind: Kind) -> None:
    assert all(name == info.name and info.plugin is None for name, info in COMPONENTS[kind].items())


@pytest.mark.parametrize("info", INFOS, ids=lambda info: info.name)
def test_every_component_is_described_and_has_valid_defaults(info: ComponentInfo) -> None:
    assert info.summary
    assert not info.summary.endswith(".")
    default = MASKS[info.default_mask].validate(info.default_mask_options)
    assert default.items() >= info.default_mask_options.items()
    assert info.default_adapter in ADAPTERS
    assert info.validate(info.validate({})) == info.validate({})
    assert all(field.description for field in info.options.model_fields.values())


def test_only_criteria_take_taps_and_all_of_them_do() -> None:
    assert all(info.takes for info in CRITERIA.values())
    others = [info for info in INFOS if info not in CRITERIA.values()]
    assert not any(info.takes or info.masked or info.maps for info in others)


@pytest.mark.parametrize(
    ("layout", "names"),
    [
        ("features", set(LISTS["criterion"].split()[:15])),
        ("cls", {"mimic", "cwd", "bce", "kl", "qfl", "dist", "logit_std", "dkd", "nkd", "rank"}),
        ("dfl", {"mimic", "kl", "ld", "ddf", "m2d2", "box_l2", "iou"}),
        ("box", {"mimic", "box_l2", "iou"}),
    ],
)
def test_what_criteria_compare(layout: str, names: set[str]) -> None:
    assert {name for name, info in CRITERIA.items() if layout in info.takes} == names


def test_which_criteria_take_a_mask() -> None:
    assert {name for name, info in CRITERIA.items() if not info.masked} == UNMASKED


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cwd", {"tau": 0}),
        ("cwd", {"tau": float("inf")}),
        ("cwd", {"tau": "1"}),
        ("cwd", {"tau": True}),
        ("cwd", {"norm": "layer"}),
        ("qfl", {"beta": -0.1}),
        ("pkd", {"tau": 1}),
        ("mgd", {"drop": 1.1}),
        ("m2d2", {"variant": "median"}),
        ("gi", {"count": 0}),
        ("gi", {"count": 2.0}),
    ],
)
def test_options_are_checked(name: str, options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        CRITERIA[name].validate(options)


@pytest.mark.parametrize("at", ["neck.*", "head.cls.p[34]", "model.16"])
def test_a_tap_is_an_option(at: str) -> None:
    assert BALANCERS["gradient_norm"].validate({"at": at})["at"] == at


@pytest.mark.parametrize("at", ["", "neck p3", "neck..p3", 3])
def test_what_is_no_tap(at: object) -> None:
    with pytest.raises(ValidationError):
        BALANCERS["gradient_norm"].validate({"at": at})


def test_a_whole_number_is_a_number() -> None:
    assert CRITERIA["cwd"].validate({"tau": 2}) == {"tau": 2.0, "norm": "none"}
