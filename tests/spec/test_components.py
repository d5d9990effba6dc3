from __future__ import annotations

import pytest
from pydantic import ValidationError

from kdgraph.spec.components import ADAPTERS, COMPONENTS, CRITERIA, MASKS, ComponentInfo

INFOS = [info for infos in COMPONENTS.values() for info in infos.values()]


def test_the_list() -> None:
    assert list(CRITERIA) == ["mimic", "cosine", "cwd", "pkd", "sl2", "bce", "kl", "qfl", "box_l2"]
    assert list(MASKS) == ["all", "teacher_score", "foreground"]
    assert list(ADAPTERS) == ["auto", "identity", "conv1x1", "mlp", "resize"]


@pytest.mark.parametrize("info", INFOS, ids=lambda info: info.name)
def test_every_component_is_described_and_has_valid_defaults(info: ComponentInfo) -> None:
    assert info.summary
    assert not info.summary.endswith(".")
    assert info.default_mask in MASKS
    assert info.default_adapter in ADAPTERS
    assert info.validate(info.validate({})) == info.validate({})
    assert all(field.description for field in info.options.model_fields.values())


def test_only_criteria_take_taps_and_all_of_them_do() -> None:
    assert all(info.takes for info in CRITERIA.values())
    assert not any(info.takes or info.masked for info in (*MASKS.values(), *ADAPTERS.values()))


@pytest.mark.parametrize(
    ("layout", "names"),
    [
        ("features", {"mimic", "cosine", "cwd", "pkd", "sl2"}),
        ("cls", {"mimic", "cwd", "bce", "kl", "qfl"}),
        ("dfl", {"mimic", "kl", "box_l2"}),
        ("box", {"mimic", "box_l2"}),
    ],
)
def test_what_criteria_compare(layout: str, names: set[str]) -> None:
    assert {name for name, info in CRITERIA.items() if layout in info.takes} == names


def test_which_criteria_take_a_mask() -> None:
    assert {name for name, info in CRITERIA.items() if not info.masked} == {"cwd", "pkd"}


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
    ],
)
def test_options_are_checked(name: str, options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        CRITERIA[name].validate(options)


def test_a_whole_number_is_a_number() -> None:
    assert CRITERIA["cwd"].validate({"tau": 2}) == {"tau": 2.0, "norm": "none"}
