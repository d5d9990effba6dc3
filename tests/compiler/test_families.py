"""Every kind of teacher for every kind of student: one step with the recipe, or a reason why not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn

from kdgraph.compiler.api import check, compile
from kdgraph.errors import KdgraphError
from kdgraph.graph.models import build_model
from kdgraph.spec.parse import parse
from kdgraph.spec.schema import ModelSpec, Spec, TeacherSpec
from tests.toys import batch, scatter

SIZE = (64, 128)
NECK = ("neck",)
DETECT = ("neck", "cls", "box")

PAIRS = {  # teacher -> student: the edges that the recipe has for it, and the levels of the neck
    ("yolov8m", "yolo11n"): (DETECT, "p3 p4 p5"),
    ("yolo11x", "yolo26n"): (DETECT, "p3 p4 p5"),
    ("yolo26s", "yolov8n"): (DETECT, "p3 p4 p5"),
    ("yolo26s", "yolo26n"): (DETECT, "p3 p4 p5"),
    ("yolo12s", "yolov5n"): (DETECT, "p3 p4 p5"),
    ("yolov9s", "yolov10n"): (DETECT, "p3 p4 p5"),
    ("yolov10s", "yolo11n"): (DETECT, "p3 p4 p5"),
    ("yolov10s", "yolo26n"): (DETECT, "p3 p4 p5"),
    ("yolo11s", "yolov6n"): (DETECT, "p3 p4 p5"),
    ("yolov8s", "yolov8n-p2"): (DETECT, "p3 p4 p5"),
    ("yolo26s-p2", "yolov8n"): (DETECT, "p3 p4 p5"),
    ("yolo26s-p6", "yolov8n-p2"): (DETECT, "p3 p4 p5"),
    ("yolov8s-p6", "yolov5n-p6"): (DETECT, "p3 p4 p5 p6"),
    ("yolo11s", "yolov3-tiny"): (DETECT, "p4 p5"),
    ("yolov3-tiny", "yolov8n-ghost"): (DETECT, "p4 p5"),
    ("yolo11s-seg", "yolo11n"): (DETECT, "p3 p4 p5"),
    ("yolo11s", "yolo26n-seg"): (DETECT, "p3 p4 p5"),
    ("yolo11s-seg", "yolov8n-seg"): ((*DETECT, "mask"), "p3 p4 p5"),
    ("yolo26s-seg", "yolo11n-seg"): ((*DETECT, "mask"), "p3 p4 p5"),
    ("yolov8s-pose", "yolo26n-pose"): ((*DETECT, "kpt"), "p3 p4 p5"),
    ("yolo26s-obb", "yolo11n-obb"): ((*DETECT, "angle"), "p3 p4 p5"),
    ("yolo11s-obb", "yolo26n-obb"): ((*DETECT, "angle"), "p3 p4 p5"),
    ("rtdetr-l", "yolo11n"): (NECK, "p3 p4 p5"),
}


def built(name: str, kind: type[ModelSpec] = ModelSpec) -> Any:
    model: Any = build_model(kind(model=f"{name}.yaml"), nc=1 if "pose" in name else None)
    if hasattr(model.model[-1], "cv3"):
        scatter(model)
    return model


def given(student: Any) -> dict[str, Tensor]:
    return batch(size=SIZE, task=student.task, keypoints=17)


def teaches(loss: Tensor, student: nn.Module) -> bool:
    weights = [p for p in student.parameters() if p.requires_grad]
    grads = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
    found = [g for g in grads if g is not None]
    return all(bool(g.isfinite().all()) for g in found) and any(bool(g.any()) for g in found)


@pytest.mark.parametrize("pair", PAIRS, ids="->".join)
def test_one_step_of_the_recipe(pair: tuple[str, str]) -> None:
    edges, levels = PAIRS[pair]
    torch.manual_seed(0)
    student = built(pair[1])
    models = f"student: {pair[1]}.yaml\nteacher: {pair[0]}.yaml\n"
    spec = parse(f"{models}train: {{epochs: 10, imgsz: 128}}\nedges: default\n")
    distiller = compile(spec, student=student, teacher=built(pair[0], TeacherSpec))
    assert tuple(distiller.spec.edges) == edges
    out = distiller(given(student))
    assert tuple(out.losses) == edges
    assert all(bool(value.isfinite()) and value > 0 for value in out.raw.values()), out.raw
    assert all(teaches(value, student) for value in out.raw.values())
    assert list(distiller.edges.edge_neck.levels) == levels.split()  # type: ignore[union-attr]
    task, _ = student.loss(given(student), out.predictions)
    (task.sum() + out.loss).backward()
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in student.parameters())


IMPOSSIBLE = {  # student, teacher and data: what `kdgraph check` says of it
    ("rtdetr-l.yaml", "yolo11s.pt", "coco8.yaml"): "KD305] rtdetr-l.yaml is an RT-DETR",
    ("yolo11n-cls.yaml", "yolo11s.pt", "coco8.yaml"): "KD305] yolo11n-cls.yaml is an image classifier",
    ("yolov8s-world.yaml", "yolo11s.pt", "coco8.yaml"): "KD305] yolov8s-world.yaml is a YOLO-World",
    ("yolo11n.yaml", "yolo11s-cls.pt", "coco8.yaml"): "KD203] the recipe 'default' needs models with a neck, "
    "and the teacher has none",
    (
        "yolo11n.yaml",
        "{model: yolo11s-cls.yaml, train: {epochs: 1}}",
        "coco8.yaml",
    ): "KD305] yolo11s-cls.yaml cannot be trained here first: it ends in 'Classify'",
    ("yolo11n.yaml", "{model: yoloe-11s-seg.yaml, train: {epochs: 1}}", "coco8.yaml"): "KD305] "
    "yoloe-11s-seg.yaml cannot be trained here first: it ends in 'YOLOESegment'",
    ("yolo11n.yaml", "sam2_b.pt", "coco8.yaml"): "KD302] 'sam2_b.pt' is no model that kdgraph builds by name",
    ("yolo11n-pose.yaml", "yolo11s-pose.pt", "builtin:glyphs"): "KD405] glyphs has no keypoints",
    ("yolo11n-seg.yaml", "yolo11s-seg.pt", "builtin:glyphs"): "KD405] the labels of glyphs are not those",
    ("yolo11n.yaml", "yolo11s.pt", "builtin:glyphs"): "KD204] edge 'cls': the student has 8 classes, the "
    "teacher 80, and none have one name",
    ("yolo11n-pose.yaml", "yolo11s-pose.pt", "hand-keypoints.yaml"): "KD204] edge 'kpt': keypoints are 21×3 "
    "numbers in the student, 17×3 in the teacher",
    ("yolo11n.yaml", "yolo11s.yaml", "coco8.yaml"): "KD301] the teacher 'yolo11s.yaml' has no weights",
}


@pytest.mark.parametrize("models", IMPOSSIBLE, ids="->".join)
def test_what_cannot_be_is_explained(models: tuple[str, str, str]) -> None:
    student, teacher, data = models
    with pytest.raises(KdgraphError) as caught:
        check(parse(f"student: {student}\nteacher: {teacher}\ndata: {data}\nedges: default\n"))
    assert IMPOSSIBLE[models] in str(caught.value)
    assert all(fault.hint for fault in caught.value.diagnostics)


def test_sizes_that_are_no_multiple_of_the_stride() -> None:
    models = "student: yolo11n.yaml\nteacher: yolo11s.pt\nedges: default\n"
    with pytest.raises(KdgraphError) as caught:
        check(parse(f"{models}train: {{imgsz: 961}}\n"))
    assert "cannot take images of 3×961×961: 961 is no multiple of 32" in str(caught.value)
    assert "hint: use 960 or 992" in str(caught.value)
    larger = models.replace("yolo11s.pt", "{model: yolo11s.pt, imgsz: 961}")
    assert check(parse(larger)).graph.left_out == (
        "the teacher sees images of 960 pixels, not 961: its stride is 32",
    )


def test_a_recipe_says_that_a_teacher_has_no_head() -> None:
    [told] = check(parse("student: yolo11n.yaml\nteacher: rtdetr-l.pt\nedges: default\n")).graph.left_out
    assert told.startswith("the recipe compares necks alone: the teacher has no head of boxes, ")
    assert "RTDETRDecoder" in told


# -- modules that are no YOLO --


def transformer(size: int = 64) -> nn.Module:
    return torchvision.models.VisionTransformer(size, 16, 1, 2, 32, 64)


def foreign(edges: str, more: str = "") -> Spec:
    teacher = f"{{model: t.yaml{more}}}"
    return parse(f"student: yolo11n.yaml\nteacher: {teacher}\ntrain: {{imgsz: 128}}\nedges:\n{edges}\n")


def test_a_module_of_one_size() -> None:
    edges = "  e: {taps: {student: backbone.p4, teacher: conv_proj}, criterion: cwd}"
    with pytest.raises(KdgraphError) as caught:
        compile(foreign(edges), student=built("yolo11n"), teacher=transformer())
    [fault] = caught.value.diagnostics
    assert fault.code == "KD204"
    assert "the teacher cannot take images of 3×128×128: Wrong image height! Expected 64" in fault.message
    assert fault.hint == "give it images as it takes them: `imgsz: 224` beside its `python`"
    model = compile(foreign(edges, ", imgsz: 64"), student=built("yolo11n"), teacher=transformer())
    assert model(batch(size=(128, 128))).raw["e"] > 0


def test_maps_that_have_their_channels_last() -> None:
    swin = torchvision.models.SwinTransformer([4, 4], 16, [1, 1], [1, 1], [4, 4])
    edges = "  e: {taps: {student: backbone.p3, teacher: %s}, criterion: cwd}"
    with pytest.raises(KdgraphError) as caught:
        compile(foreign(edges % "features"), student=built("yolo11n"), teacher=swin)
    assert "the teacher's 16×16×32 has its channels last" in str(caught.value)
    permuted = compile(foreign(edges % "permute"), student=built("yolo11n"), teacher=swin)
    assert permuted(batch(size=(128, 128))).raw["e"] > 0


def test_a_recipe_for_a_module_without_a_neck() -> None:
    spec = parse("student: yolo11n.yaml\nteacher: t.yaml\nedges: default\n")
    with pytest.raises(KdgraphError) as caught:
        compile(spec, student=built("yolo11n"), teacher=torchvision.models.resnet18())
    [fault] = caught.value.diagnostics
    assert fault.span is not None
    assert fault.span.line == 3
    assert "{taps: {student: backbone.p4, teacher: " in str(fault.hint)
