"""Distillers of toys, for the tests of this folder."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from kdgraph.compiler.api import compile
from kdgraph.compiler.distiller import Distiller
from tests.toys import spec, toy

ALL = """\
  cwd: {taps: neck.*, criterion: {cwd: {norm: batch}}, weight: {p3: 0.4, p4: 0.6}}
  pkd: {taps: neck.*, criterion: pkd, weight: {linear: {from: 1, to: 0}}}
  mimic: {taps: neck.*, criterion: mimic, adapter: {conv1x1: {norm: true}}}
  cosine: {taps: backbone.p4, criterion: cosine, mask: foreground}
  sl2: {taps: neck.*, criterion: sl2, weight: 6}
  bce: {taps: head.cls.*, criterion: {bce: {temperature: 2.0}}, mask: foreground}
  qfl: {taps: head.cls, criterion: qfl, mask: {foreground: {of: teacher}}, weight: 0.5}
  kl: {taps: head.dfl, criterion: kl, mask: teacher_score, until: -10}
  box-l2: {taps: head.box.*, criterion: box_l2}
  dkd: {taps: head.cls, criterion: dkd, mask: [foreground, teacher_score]}
  ddf: {taps: head.dfl, criterion: ddf, mask: background}
  fgd: {taps: neck.p3, criterion: fgd}
  cross: {taps: head.cls.p3, splice: head.cls.p3.0, criterion: bce, mask: boxes}"""
"""Every kind of edge: criteria of all families, with and without signals, masks, adapters, a splice."""

NECK = "  neck: {taps: neck.*, criterion: cwd}"


def student() -> Any:
    return toy(seed=0)


def teacher() -> Any:
    return toy(16, seed=1)


def distiller(edges: str = ALL, **top: str) -> Distiller:
    """The same one each time, adapters included."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return compile(spec(edges, **top), student=student(), teacher=teacher())


def raw(model: Any, images: Tensor) -> Any:
    """What a frozen model's head puts out before decoding."""
    model = copy.deepcopy(model).eval()
    model.model[-1].training = True
    with torch.no_grad():
        return model(images)


def task_loss(distiller: Distiller, batch: dict[str, Tensor], predictions: Any) -> Tensor:
    """Ultralytics' own detection loss."""
    loss: Tensor = distiller.student.loss(batch, predictions)[0].sum()  # type: ignore[operator]
    return loss
