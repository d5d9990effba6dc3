"""Every method that is shipped as a spec runs: finite losses, and every edge sends the student a gradient."""

from __future__ import annotations

import copy
import functools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import kdgraph
from kdgraph.compiler.api import compile
from kdgraph.compiler.distiller import Distiller
from kdgraph.graph.models import build_model
from kdgraph.spec.components import CRITERIA, MASKS
from kdgraph.spec.schema import ModelSpec
from tests.toys import batch, scatter, spec, toy

SPECS = Path(__file__).parent.parent / "specs"
FILES = sorted([*(SPECS / "methods").glob("*.yaml"), *(SPECS / "moded-yolo").glob("*.yaml")])
every_method = pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
ENDINGS = {"detect": "", "segment": "-seg", "pose": "-pose", "obb": "-obb"}
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


TASKS = {"masks": "segment", "keypoints": "pose", "angle": "obb"}


def _task(file: Path) -> str:
    return TASKS.get(file.stem, "detect")


@functools.cache
def _real(scale: str, task: str) -> nn.Module:
    name = f"yolo11{scale}{ENDINGS[task]}.yaml"
    with torch.random.fork_rng():
        torch.manual_seed(ord(scale))
        model = build_model(ModelSpec(model=name), nc=3)
    scatter(model)
    return model


def run_step(file: Path, student: nn.Module, teacher: nn.Module, images: dict[str, Tensor]) -> Distiller:
    """One forward of the spec's edges, each held to its promise."""
    model = compile(kdgraph.load(file), student=student, teacher=teacher).to(images["img"].device)
    out: Any = model(images)
    weights = [p for p in model.student.parameters() if p.requires_grad]
    assert list(out.raw) == list(model.spec.edges)
    for name, loss in out.raw.items():
        assert loss.isfinite(), f"edge {name} is {loss.item()}"
        grads = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
        found = [g for g in grads if g is not None]
        assert all(g.isfinite().all() for g in found), f"edge {name} has a gradient that is not finite"
        assert any(g.any() for g in found), f"edge {name} sends the student no gradient"
    return model


@every_method
@pytest.mark.parametrize("device", DEVICES)
def test_on_a_pair_of_toys(file: Path, device: str) -> None:
    task = _task(file)
    images = {name: t.to(device) for name, t in batch(2, (96, 128), task=task).items()}
    model = run_step(file, toy(p5=True, task=task), toy(16, p5=True, task=task, seed=1), images)
    nothing = {"batch_idx": images["batch_idx"][:0], "cls": images["cls"][:0], "bboxes": images["bboxes"][:0]}
    loss = model({**images, **nothing}).loss
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None), "without objects"


@pytest.mark.slow
@every_method
@pytest.mark.parametrize("device", DEVICES)
def test_on_yolo11s_and_yolo11n(file: Path, device: str) -> None:
    task = _task(file)
    images = {name: t.to(device) for name, t in batch(2, (96, 128), task=task).items()}
    run_step(file, copy.deepcopy(_real("n", task)), _real("s", task), images)


@pytest.mark.parametrize(("criterion", "tap"), [("masks", "mask"), ("keypoints", "kpt"), ("angle", "angle")])
@pytest.mark.parametrize("levels", [False, True], ids=["anchors", "levels"])
def test_what_a_task_adds_is_taught_to_both_branches(criterion: str, tap: str, levels: bool) -> None:
    """YOLO26's heads, level by level and along the anchors: teacher and student have the branches."""
    task, level = TASKS[criterion], ".*" if levels else ""
    for name in (f"head.{tap}{level}", f"head.o2o.{tap}{level}"):
        one, two = (toy(w, task=task, end2end=True, reg_max=1, seed=w) for w in (8, 16))
        model = compile(spec(f"  one: {{taps: {name}, criterion: {criterion}}}"), student=one, teacher=two)
        loss = model(batch(task=task)).loss
        loss.backward()
        assert loss.isfinite()
        head: Any = model.student.model[-1]  # type: ignore[index,union-attr]
        learnt = [
            any(p.grad is not None and p.grad.any() for p in tower.parameters())
            for tower in (head.cv4, head.one2one_cv4)
        ]
        assert learnt == ["o2o" not in name, "o2o" in name]


def test_every_criterion_and_mask_is_in_one_of_them() -> None:
    edges = [edge for file in FILES for edge in kdgraph.load(file).edges.values()]
    assert {edge.criterion.name for edge in edges} == set(CRITERIA)
    assert {mask.name for edge in edges for mask in edge.mask} == set(MASKS)
