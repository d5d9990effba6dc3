"""The classes of released checkpoints, from their names alone."""

from __future__ import annotations

import pytest
from ultralytics.utils import YAML
from ultralytics.utils.checks import check_yaml

from kdgraph.graph import zoo
from kdgraph.graph.released import released_names


@pytest.mark.parametrize(
    ("weights", "dataset"),
    [
        ("yolo11n.pt", "coco"),
        ("yolo26x-seg.pt", "coco"),
        ("yolov5nu.pt", "coco"),
        ("rtdetr-l.pt", "coco"),
        ("yolov8s-worldv2.pt", "coco"),
        ("yolov8x-pose-p6.pt", "coco-pose"),
        ("yolov8n-oiv7.pt", "open-images-v7"),
        ("yolo11m-obb.pt", "DOTAv1"),
        ("yolo26n-cls.pt", "ImageNet"),
        ("yolo26n-sem.pt", "cityscapes"),
        ("yolo26n-sem-ade20k.pt", "ade20k"),
    ],
)
def test_they_are_those_of_the_dataset(weights: str, dataset: str) -> None:
    assert weights in zoo.downloads()
    assert released_names(weights) == YAML.load(check_yaml(f"{dataset}.yaml"))["names"]


@pytest.mark.parametrize("weights", ["yoloe-11s-seg.pt", "yoloe-11s-seg-pf.pt", "yolo26n-depth.pt"])
def test_some_are_not_told(weights: str) -> None:
    assert weights in zoo.downloads()
    assert released_names(weights) is None


def test_names_handed_out_are_the_callers_own() -> None:
    first = released_names("yolo11n.pt")
    assert first is not None
    first[0] = "somebody"
    assert released_names("yolo11n.pt") != first
