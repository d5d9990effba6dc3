"""Flags of moded_YOLO as specs: golden outputs, and what holds for any flags.

A case is a file in `moded-yolo/`: the words as typed, the line, and what is printed. `pytest
tests/spec/test_moded_yolo.py --update-golden` writes the outputs anew.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdgraph.errors import CODES, SpecError
from kdgraph.spec import Spec, load, parse
from kdgraph.spec.moded_yolo import FLAGS, convert
from kdgraph.spec.moded_yolo.edges import LOSSES
from kdgraph.spec.moded_yolo.words import FILE
from kdgraph.spec.schedule import by_level
from kdgraph.spec.schema import EdgeSpec

CASES = sorted(Path(__file__).with_name("moded-yolo").glob("*.case"))
SPECS = Path(__file__).parents[2] / "specs" / "moded-yolo"
LINE = "\n======== what kdgraph says ========\n"
MODELS = ("model", "teacher_model", "data")
LEVELS = ("p3", "p4", "p5")


def said(words: list[str]) -> str:
    try:
        return convert(words)
    except SpecError as error:
        return f"{error}\n"


def words_of(case: Path) -> list[str]:
    return shlex.split(case.read_text(encoding="utf-8").partition(LINE)[0])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_case(case: Path, update_golden: bool) -> None:
    typed, _, expected = case.read_text(encoding="utf-8").partition(LINE)
    output = said(words_of(case))
    if update_golden:
        case.write_text(typed + LINE + output, encoding="utf-8")
    else:
        assert output == expected


def test_the_cases_have_each_flag() -> None:
    given = {word.partition("=")[0] for case in CASES for word in words_of(case)}
    assert set(FLAGS) <= given
    outputs = "".join(case.read_text(encoding="utf-8").partition(LINE)[2] for case in CASES)
    for code in ("KD005", "KD101", "KD102", "KD103", "KD104", "KD109", "KD112"):
        assert f"[{code}]" in outputs


@pytest.mark.parametrize(
    "name", ["quick-start", "head-only", "comprehensive", "ab-head-only", "ab-neck-only", "ab-combined"]
)
def test_the_shipped_examples_are_what_their_flags_give(name: str) -> None:
    case = Path(__file__).with_name("moded-yolo") / f"example-{name}.case"
    converted, shipped = parse(convert(words_of(case))), load(SPECS / f"{name}.yaml")
    assert converted.edges == shipped.edges
    assert converted.train == shipped.train


def test_the_progressive_example_has_what_its_three_runs_had() -> None:
    shipped = load(SPECS / "progressive.yaml")
    for phase, run in zip(shipped.phases, ("1", "2", "3"), strict=True):
        case = Path(__file__).with_name("moded-yolo") / f"example-progressive-{run}.case"
        edges = parse(convert(words_of(case))).edges
        assert set(edges) == set(phase.edges)
        assert all(edge == shipped.edges[name] for name, edge in edges.items())
    assert [phase.until for phase in shipped.phases] == [30, 60, None]


def valid(name: str) -> st.SearchStrategy[str]:
    """Values as a user of moded_YOLO writes them."""
    if FLAGS[name].default is False:
        return st.sampled_from(
            ["True", "False", "true", "no", "True,", *(["None"] if name == "feat_mask" else [])]
        )
    if name in MODELS:
        endings = (
            ["coco8.yaml", '"my data.yaml"', "builtin:glyphs"] if name == "data" else ["yolo11s.pt", "a.yaml"]
        )
        return st.sampled_from(endings)
    if name == "level_weights":
        weights = st.lists(positive(), min_size=3, max_size=3)
        return weights.map(lambda found: "[" + ", ".join(map(repr, found)) + "]")
    choices = {"mask_type": ["original", '"pyramid"'], "loss_ty": ["l2", "'cosine'", "cosine,"]}
    return st.sampled_from(choices[name]) if name in choices else positive().map(repr)


def positive() -> st.SearchStrategy[float]:
    return st.floats(1e-3, 1e3, allow_nan=False)


TRAIN = {"epochs": "30", "imgsz": "320", "lr0": "1e-5", "name": "2024", "device": "0,1", "freeze": "[0, 1]"}


@st.composite
def flags(draw: st.DrawFn) -> dict[str, str]:
    names = draw(st.lists(st.sampled_from([*FLAGS]), unique=True))
    chosen = {name: draw(valid(name)) for name in names}
    return chosen | {name: TRAIN[name] for name in draw(st.lists(st.sampled_from([*TRAIN]), unique=True))}


def on(flags: dict[str, str], name: str) -> bool:
    return flags.get(name, "False").strip(",").lower() == "true"


@settings(max_examples=300, deadline=None)
@given(flags())
def test_any_flags_give_a_spec_that_parses_or_say_that_no_loss_is_on(flags: dict[str, str]) -> None:
    words = [f"{name}={value}" for name, value in flags.items()]
    wanted = {name for name in LOSSES if on(flags, name)}
    text = said(words)
    if text.startswith(f"{FILE}:1:1: error[KD101] these flags switch no distillation loss on"):
        assert not wanted or "feat_distill" in flags or "feat_oth" in flags
        return
    spec = parse(text)
    assert all(len(line) <= 110 for line in text.splitlines() if not line.startswith("# "))
    assert {edge.name for edge in spec.edges.values()} <= {LOSSES[name].name for name in {*wanted, "feat"}}
    assert set(spec.train) == {name for name in flags if name in TRAIN}


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.text(max_size=12) | flags().map(lambda found: " ".join(f"{k}={v}" for k, v in found.items())))
)
def test_whatever_is_typed_gives_a_spec_or_diagnostics(words: list[str]) -> None:
    try:
        assert isinstance(parse(convert(words)), Spec)
    except SpecError as error:
        for diagnostic in error.diagnostics:
            assert diagnostic.code in CODES
            assert diagnostic.hint
            assert diagnostic.span
            assert 1 <= diagnostic.span.column < diagnostic.span.end_column


def edge(words: str, name: str) -> EdgeSpec:
    return parse(convert(shlex.split(words))).edges[name]


def weights(words: str, name: str) -> tuple[float, ...]:
    return by_level(edge(words, name), LEVELS)


def test_weights_are_those_of_a_sum_or_a_mean_over_the_levels() -> None:
    levels = 'level_weights="[1, 2, 3]"'
    assert weights(f"cls_dist=yes {levels} cls_alpha=2", "cls") == (2, 4, 6)
    assert weights(f"feat=yes {levels} feature_lambda=3", "features") == (1, 2, 3)
    assert weights(f"use_mmd=yes {levels} feature_lambda=3", "mmd") == (1, 2, 3)
    assert weights(f"dfl_dist=yes {levels} dfl_alpha=3", "dfl") == (1, 1, 1)
    assert weights("l2_dist=yes l2_alpha=1 cls_alpha=9", "box") == pytest.approx((1 / 3,) * 3, rel=1e-5)
    assert weights("M2D2=yes m2d2_alpha=6 cls_dist=yes", "m2d2") == (2, 2, 2)


@pytest.mark.parametrize(
    ("words", "name", "masks"),
    [
        ("cls_dist=True", "cls", ["all"]),
        ("cls_dist=True cls_fg_mask=True", "cls", ["foreground"]),
        ("cls_dist=True cls_fg_mask=True mask_type=pyramid", "cls", ["pyramid"]),
        ("dfl_dist=True mask_type=pyramid", "dfl", ["all"]),
        ("l2_dist=True l2_fg_mask=True", "box", ["foreground"]),
        ("M2D2=True mask_type=pyramid dfl_fg_mask=False", "m2d2", ["foreground"]),
        ("feat=True feat_mask=None", "features", ["all"]),
        ("feat_att=True feat_mask=True mask_type=pyramid", "attention", ["pyramid"]),
        ("use_cwd=True feat_mask=True", "cwd", ["all"]),
        ("use_spatial_att=True feat_mask=True", "spatial", ["foreground"]),
    ],
)
def test_masks_are_the_teachers(words: str, name: str, masks: list[str]) -> None:
    found = edge(words, name).mask
    assert [mask.name for mask in found] == masks
    assert all(mask.options.get("of", "teacher") == "teacher" for mask in found)


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("feat_distill=True", {"features"}),  # it alone did nothing
        ("feat_distill=True feat_att=True", {"attention"}),
        ("feat_distill=False feat=True cls_dist=True", {"cls"}),
        ("feat_oth=False use_cwd=True cls_dist=True", {"cls"}),
        ("use_cwd=True", {"cwd"}),  # without feat_oth it did nothing
        ("feat_oth=True use_cwd=True", {"cwd"}),  # commas had switched the others on
        ("feat_oth=True cls_dist=True", {"cls"}),
        ("cls_dist=False, dfl_dist=True,", {"dfl"}),  # commas of a pasted call
        ("cls_dist=True cls_alpha=0 dfl_dist=True", {"dfl"}),
    ],
)
def test_switches_mean_what_they_say(words: str, names: set[str]) -> None:
    assert set(parse(convert(words.split())).edges) == names


def test_a_teacher_that_is_an_architecture_is_trained_first() -> None:
    spec = parse(convert(["cls_dist=True", "teacher_model=yolo11s.yaml", "epochs=7"]))
    assert spec.teacher.model == "yolo11s.yaml"
    assert spec.teacher.train == {"epochs": 7}


def test_values_keep_their_types() -> None:
    words: dict[str, tuple[str, Any]] = {
        "lr0": ("1e-5", 1e-5),
        "device": ("'0,1'", "0,1"),
        "name": ("2024", "2024"),
        "time": ("None", None),
        "amp": ("True,", True),
        "freeze": ("[0, 1]", [0, 1]),
        "project": ("'a: {b} #c'", "a: {b} #c"),
    }
    given = [f"{name}={typed}" for name, (typed, _) in words.items()]
    assert parse(convert(["cls_dist=True", *given])).train == {
        name: value for name, (_, value) in words.items()
    }


def test_a_list_may_come_in_the_pieces_of_a_shell() -> None:
    pieces = ["cls_dist=True,", "level_weights=[0.4,", "0.4,", "0.2],", "cls_alpha=1,"]
    assert weights(shlex.join(pieces), "cls") == (0.4, 0.4, 0.2)
