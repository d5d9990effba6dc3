"""From a spec to a plan and a Distiller, with the models that the spec names."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import kdgraph
from kdgraph.compiler.api import plan
from kdgraph.errors import GraphError
from kdgraph.spec.parse import parse
from tests.compiler.pairs import NECK, student, teacher
from tests.toys import batch, spec

NAMED = "student: yolo11n.yaml\nteacher: yolov8n.yaml\nedges:\n  neck: {taps: neck.*, criterion: cwd}\n"


def test_load_and_compile_by_the_public_names(tmp_path: Path) -> None:
    file = tmp_path / "my-spec.yaml"
    file.write_text(NAMED + "train: {imgsz: 64}\n")
    read = kdgraph.load(file)
    assert isinstance(read, kdgraph.Spec)
    distiller = kdgraph.compile(read)
    assert isinstance(distiller, kdgraph.Distiller)
    out = distiller(batch())
    assert isinstance(out, kdgraph.DistillOutput)
    assert out.loss > 0


def test_a_plan_needs_no_weights_and_no_memory() -> None:
    made = plan(parse(NAMED), weights=False)
    assert {p.device.type for p in made.student.parameters()} == {"meta"}
    assert made.accounts[-1].name == "place"
    assert "model.22" not in {op.path for op in made.graph.ops("teacher").values()}


def test_a_teacher_that_is_still_to_be_trained_is_no_teacher_yet() -> None:
    made = spec(NECK, teacher="{model: yolo11s.yaml, train: {epochs: 1}}", data="builtin:glyphs")
    with pytest.raises(GraphError, match=r"KD504.*the teacher 'yolo11s.yaml' is still to be trained"):
        kdgraph.compile(made)
    assert kdgraph.compile(made, student=student(), teacher=teacher())(batch()).loss > 0


def test_image_sizes_of_the_spec_are_planned_for() -> None:
    made = plan(spec(NECK, train="{imgsz: 96}"), student=student(), teacher=teacher())
    assert made.graph.views["student"].size == (96, 96)
    assert plan(spec(NECK, train="{epochs: 3}"), student=student(), teacher=teacher()).graph.views[
        "student"
    ].size == (
        640,
        640,
    )


def test_a_model_may_teach_itself() -> None:
    model = student()
    distiller = kdgraph.compile(
        spec("  neck: {taps: neck.*, criterion: mimic}"), student=model, teacher=model
    )
    before = [t.clone() for t in distiller.teacher.buffers()]
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()
    assert all(map(torch.equal, before, distiller.teacher.buffers()))
