"""The shipped specs fit their models, and say what they are and how to run them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

import kdgraph
from kdgraph.compiler.api import check, plan
from kdgraph.spec import Spec, load
from kdgraph.spec.components import CRITERIA
from kdgraph.spec.json_schema import json_schema

FOLDER = Path(__file__).parent.parent / "specs"
SPECS = sorted(FOLDER.rglob("*.yaml"))

METHODS: dict[str, dict[str, list[str]]] = {
    "cwd": {"methods/cwd": ["cwd"], "methods/cwd-norm": ["cwd"]},
    "pkd": {"methods/pkd": ["pkd"]},
    "mgd": {"methods/mgd": ["mgd"]},
    "fgd": {"methods/fgd": ["fgd"]},
    "mimic": {"methods/mimic": ["mimic"]},
    "attention": {"methods/attention": ["attention"]},
    "cosine": {"methods/cosine": ["cosine"]},
    "sl2": {"methods/sl2": ["sl2"], "sl2": ["sl2"]},
    "ld": {
        "methods/ld": ["ld", "foreground"],
        "methods/ld-vlr": ["ld", "foreground", "valuable_region"],
        "methods/ld-score": ["ld", "teacher_score"],
    },
    "qfl": {"methods/qfl": ["qfl"]},
    "iou": {"methods/iou": ["iou", "qfl"]},
    "crosskd": {"methods/crosskd": ["qfl", "kl"], "methods/crosskd-pkd": ["qfl", "kl", "pkd"]},
    "dist": {"methods/dist": ["dist"]},
    "dkd": {"methods/dkd": ["dkd"]},
    "nkd": {"methods/nkd": ["nkd"]},
    "logit_std": {"methods/logit-std": ["logit_std"]},
    "ddf": {"methods/ddf": ["ddf"]},
    "rank, pfi": {"methods/rank-pfi": ["rank", "pfi"]},
    "gi": {"methods/gi": ["gi"]},
    "masks": {"methods/masks": ["masks"]},
    "keypoints": {"methods/keypoints": ["keypoints"]},
    "angle": {"methods/angle": ["angle"]},
    # methods that are a mask before all
    "boxes": {"methods/fine-grained": ["boxes"]},
    "background": {"methods/defeat": ["foreground", "background"]},
    "score_gap": {"methods/score-gap": ["score_gap"]},
    "top_k": {"methods/top-k": ["top_k"]},
    # the losses of moded_YOLO, by their flags
    "mask_type": {"moded-yolo/features-l2": ["foreground"], "moded-yolo/features-cosine": ["pyramid"]},
    "cls_dist": {"moded-yolo/cls-bce": ["bce", "foreground"]},
    "cls_dist_kl": {"moded-yolo/cls-kl": ["kl", "foreground"]},
    "dfl_dist": {"moded-yolo/dfl-kl": ["kl", "foreground"]},
    "M2D2": {"moded-yolo/m2d2": ["m2d2"], "moded-yolo/m2d2-mean-logits": ["m2d2"]},
    "l2_dist": {"moded-yolo/box-l2": ["box_l2", "foreground"]},
    "feat": {"moded-yolo/features-l2": ["mimic"], "moded-yolo/features-cosine": ["cosine"]},
    "feat_att": {"moded-yolo/attention": ["attention"]},
    "use_cwd": {"moded-yolo/cwd": ["cwd"], "moded-yolo/gap-mse": ["gap_mse"]},
    "use_crd": {"moded-yolo/gram-mse": ["gram_mse"]},
    "use_mmd": {"moded-yolo/mmd": ["mmd"]},
    "use_spatial_att": {"moded-yolo/spatial-softmax": ["spatial_softmax"]},
    "use_channel_att": {"moded-yolo/channel-softmax": ["channel_softmax"]},
    # and its examples
    "examples": {
        "moded-yolo/quick-start": ["bce", "kl", "m2d2", "box_l2", "mimic", "attention"],
        "moded-yolo/head-only": ["kl", "m2d2"],
        "moded-yolo/comprehensive": ["bce", "kl", "m2d2", "cosine", "attention", "cwd", "spatial_softmax"],
        "moded-yolo/ab-head-only": ["bce", "kl"],
        "moded-yolo/ab-neck-only": ["mimic", "attention"],
        "moded-yolo/ab-combined": ["bce", "kl", "mimic"],
        "moded-yolo/progressive": ["mimic", "bce", "kl", "m2d2"],
    },
}
"""Each method -> its specs -> the criteria and masks that they must have."""


def name(file: Path) -> str:
    """`methods/cwd`."""
    return file.relative_to(FOLDER).with_suffix("").as_posix()


def components(spec: Spec) -> set[str]:
    """The names of all criteria and masks of a spec."""
    criteria = {edge.criterion.name for edge in spec.edges.values()}
    return criteria | {mask.name for edge in spec.edges.values() for mask in edge.mask}


def test_all_are_there() -> None:
    names = {name(file) for file in SPECS}
    assert {"quickstart", "minimal", "yolo11m-to-n", "sl2"} <= names
    assert {"across-families", "several-teachers", "self-teaching"} <= names


@pytest.mark.parametrize("method", METHODS)
def test_each_method_has_its_specs(method: str) -> None:
    for written, wanted in METHODS[method].items():
        assert set(wanted) <= components(load(FOLDER / f"{written}.yaml")), written


def test_no_spec_of_a_method_is_forgotten() -> None:
    listed = {written for specs in METHODS.values() for written in specs}
    assert {name(file) for file in SPECS if file.parent != FOLDER} == listed - {"sl2"}


def test_each_criterion_is_in_one_of_them() -> None:
    used = {found for file in SPECS for found in components(load(file))}
    assert {info.name for info in CRITERIA.values() if info.plugin is None} <= used


def test_what_crosskd_compares_went_through_the_teacher() -> None:
    for written in METHODS["crosskd"]:
        edges = load(FOLDER / f"{written}.yaml").edges
        assert all(edges[head].splice is not None for head in ("cls", "reg"))


def test_both_variants_of_m2d2_are_there() -> None:
    files = [FOLDER / f"{written}.yaml" for written in METHODS["M2D2"]]
    variants = [load(file).edges["m2d2"].criterion.options["variant"] for file in files]
    assert variants == ["mixture", "mean_logits"]


def _marked(file: Path) -> Any:
    """Those of single methods are many, and together they take minutes."""
    marks = [] if file.parent == FOLDER else [pytest.mark.slow]
    return pytest.param(file, id=name(file), marks=marks)


@pytest.mark.parametrize("file", SPECS, ids=name)
def test_it_says_how_to_run_it(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    up = "" if file.parent == FOLDER else "../"
    assert text.startswith(f"# yaml-language-server: $schema={up}kdgraph.schema.json\n")
    assert f"#   kdgraph run specs/{name(file)}.yaml" in text


@pytest.mark.parametrize("file", [_marked(file) for file in SPECS])
def test_it_fits(file: Path) -> None:
    spec = kdgraph.load(file)
    trained = any(teacher.train for teacher in spec.teachers.values())
    planned = plan(spec, weights=False) if trained else check(spec)
    assert planned.accounts[-1].name == "place"


@pytest.mark.parametrize("file", SPECS, ids=name)
def test_an_editor_accepts_it(file: Path) -> None:
    jsonschema.validate(yaml.safe_load(file.read_text(encoding="utf-8")), json_schema())


def test_the_schema_beside_them_is_the_printed_one() -> None:
    """Except for the train arguments, which follow the Ultralytics that is installed."""
    written = json.loads((FOLDER / "kdgraph.schema.json").read_text(encoding="utf-8"))
    assert written["$defs"]["edge"] == json_schema()["$defs"]["edge"]
