"""Named sets of edges, for `edges: default`: texts in the spec language, read as a user's own are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["FITTED", "RECIPES", "Heads", "default"]


@dataclass(frozen=True)
class Heads:
    """What a recipe must know of the heads that are compared.

    `heads`: both models have one; `turned`: only one has oriented boxes, so boxes are not compared; `bins`:
    both have DFL bins; `one_to_one`: both are end-to-end; `task`: that of both, empty where they differ.
    """

    heads: bool = True
    turned: bool = False
    bins: bool = True
    one_to_one: bool = False
    task: str = "detect"


def default(heads: Heads) -> str:
    """The recipe `default`: each part of the student's output against the same part of the teacher's."""
    edges = _NECK
    if heads.heads:
        boxes = _DFL if heads.bins else _BOX
        edges += _CLS + ("" if heads.turned else boxes) + _TASKS.get(heads.task, "")
    for part in ("cls", "dfl", "box", "mask", "kpt", "angle") if heads.one_to_one else ():
        edges = edges.replace(f"taps: head.{part}\n", f"taps: [head.{part}, head.o2o.{part}]\n")
    return edges


_NECK = """\
neck:                                         # what the student sees
  taps: neck.*
  criterion: {cwd: {norm: batch}}
  weight: {cosine: {from: 1.0, to: 0.1}}
  until: -10                                  # off when mosaic closes; a run of 10 epochs or less keeps it on
"""
_CLS = """\
cls:                                          # what it calls it, at every anchor
  taps: head.cls
  criterion: {qfl: {beta: 1.0}}
  mask: all
  weight: {cosine: {from: 1.0, to: 0.1}}
  until: -10
"""
_DFL = """\
box:                                          # where it puts the sides, where the teacher is sure
  taps: head.dfl
  criterion: {kl: {temperature: 1.0}}
  mask: teacher_score
  weight: {cosine: {from: 1.5, to: 0.15}}
  until: -10
"""
_BOX = """\
box:                                          # where it puts the sides, for heads without distributions
  taps: head.box
  criterion: iou
  mask: all
  weight: {cosine: {from: 2.0, to: 0.2}}
  until: -10
"""
_TASKS = {
    "segment": """\
mask:                                         # what it covers
  taps: head.mask
  criterion: masks
  weight: {cosine: {from: 1.0, to: 0.1}}
  until: -10
""",
    "pose": """\
kpt:                                          # where its keypoints are
  taps: head.kpt
  criterion: keypoints
  mask: teacher_score
  weight: {cosine: {from: 1.0, to: 0.1}}
  until: -10
""",
    "obb": """\
angle:                                        # how it is turned
  taps: head.angle
  criterion: angle
  mask: teacher_score
  weight: {cosine: {from: 1.0, to: 0.1}}
  until: -10
""",
}

FITTED: dict[str, Callable[[Heads], str]] = {"default": default}
"""Name of a recipe -> the text of its edges, for heads of some kind."""

RECIPES: dict[str, str] = {name: recipe(Heads()) for name, recipe in FITTED.items()}
"""The same for detectors with DFL bins, as YOLO11."""
