"""The masks that a spec may name."""

from __future__ import annotations

from kdgraph.spec.components import options
from kdgraph.spec.components.base import ComponentInfo, table

MASKS = table(
    ComponentInfo("all", "every cell counts alike"),
    ComponentInfo(
        "teacher_score",
        "each cell counts by the teacher's highest class score there",
        options.TeacherScore,
        source="Ultralytics 8.4",
        reads=("teacher_branches",),
    ),
    ComponentInfo(
        "score_gap",
        "each cell counts by how far the two models' scores are apart, at the class where it is furthest",
        options.Power,
        source="Yang et al., Bridging Cross-task Protocol Inconsistency, ICCV 2023",
        reads=("student_cls", "teacher_cls"),
    ),
    ComponentInfo(
        "top_k",
        "only the cells of each image with the teacher's highest class scores",
        options.TopK,
        reads=("teacher_cls",),
    ),
    ComponentInfo(
        "foreground",
        "only cells that the task-aligned assignment gives to an object; needs labels",
        options.Foreground,
        source="Feng et al., TOOD, ICCV 2021",
        reads=("target",),
    ),
    ComponentInfo(
        "background",
        "only cells that the task-aligned assignment gives to no object; needs labels",
        options.Foreground,
        source="Feng et al., TOOD, ICCV 2021",
        reads=("target",),
    ),
    ComponentInfo(
        "pyramid",
        "the foreground of all levels together, brought to each of them; needs labels",
        options.Foreground,
        reads=("target", "maps"),
        whole=True,
    ),
    ComponentInfo(
        "boxes",
        "only cells whose centre is in a labelled box; needs labels",
        options.Boxes,
        source="Wang et al., Fine-grained Feature Imitation, CVPR 2019",
        reads=("objects", "maps"),
    ),
    ComponentInfo(
        "valuable_region",
        "cells around the objects that are nearly positives; needs labels",
        options.ValuableRegion,
        source="Zheng et al., Localization Distillation, CVPR 2022",
        reads=("objects", "maps"),
        wires=("strides",),
        whole=True,
    ),
    ComponentInfo(
        "gi",
        "cells in the instances where the two models' scores are furthest apart",
        options.Instances,
        source="Dai et al., General Instance Distillation, CVPR 2021",
        reads=("instances", "maps"),
    ),
)
