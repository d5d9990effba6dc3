"""The semantic names of what a head puts out.

A detection head has branches (one-to-many, and one-to-one where it is end-to-end); a branch has towers, one
for each level, of class scores, boxes, and what its task adds; their outputs are joined along the anchors.
Names are read from the branches and strides, never from layer numbers, which differ between families.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch.fx as fx
from torch import Tensor, nn
from ultralytics.nn.modules.head import OBB26, Detect, Pose26

from kdgraph.graph.heads import Head, branches, describe
from kdgraph.graph.walk import sources
from kdgraph.nn.angles import radians
from kdgraph.nn.dfl import distances
from kdgraph.nn.keypoints import offsets

__all__ = ["class_logits", "head_names"]

_Decode = tuple[Callable[..., Tensor], tuple[Any, ...]]


def head_names(
    model: nn.Module, detect: Detect, traced: fx.GraphModule, paths: Mapping[str, fx.Node]
) -> Iterator[tuple[str, fx.Node]]:
    """Yield (tap name, node) for the neck's levels and the head's branches.

    What has to be computed for a name (decoded boxes, keypoints) becomes a node beside the graph's outputs:
    it costs nothing unless tapped.
    """
    head = describe(detect)
    for level, source in zip(head.levels, sources(model), strict=True):
        yield f"neck.{level}", paths[source]
    result = next(n for n in traced.graph.nodes if n.op == "output").args[0]
    places = {id(module): path for path, module in model.named_modules()}
    namer = _Namer(head, _parts(detect, head), traced.graph, paths, places)
    for prefix, (name, towers) in zip(("head", "head.o2o"), branches(detect).items(), strict=False):
        yield from namer.branch(prefix, towers, result.get(name, result))


def class_logits(traced: fx.GraphModule) -> fx.Node:
    """The logits of a classifier as those of a single anchor: [B,nc] as [B,nc,1]."""
    last = next(n for n in traced.graph.nodes if n.op == "output")
    result = last.args[0]
    logits = result[-1] if isinstance(result, (tuple, list)) else result  # behind their softmax in eval mode
    with traced.graph.inserting_before(last):
        made = traced.graph.call_method("unsqueeze", (logits, -1))
    made.meta["path"] = "head.cls"
    return made


@dataclass(frozen=True)
class _Part:
    """One kind of output of a branch.

    `towers` are keys of the branch: the modules of a level, one behind the other. `values` are what their
    output is called, each time with the function, and its further arguments, that makes it of the output
    (None: as it is). `output` is the key of all levels' outputs; `decoded`: the head has applied the
    function to those.
    """

    towers: tuple[str, ...]
    output: str
    values: tuple[tuple[str, _Decode | None], ...]
    decoded: bool = False


def _parts(detect: Detect, head: Head) -> list[_Part]:
    boxes: Any = (
        (("dfl", None), ("box", (distances, (head.reg_max,)))) if head.reg_max > 1 else (("box", None),)
    )
    parts = [_Part(("cls_head", "contrastive_head"), "scores", (("cls", None),))]
    parts.append(_Part(("box_head",), "boxes", boxes))
    if head.task == "segment":
        parts.append(_Part(("mask_head",), "mask_coefficient", (("mask", None),)))
    if head.keypoints:
        moved = None if isinstance(detect, Pose26) else (offsets, (head.keypoints[1], 2.0, -0.5))
        parts.append(_Part(("pose_head", "kpts_head"), "kpts", (("kpt", moved),)))
    if head.task == "obb":
        turned = None if isinstance(detect, OBB26) else (radians, ())
        parts.append(_Part(("angle_head",), "angle", (("angle", turned),), decoded=True))
    return parts


@dataclass(frozen=True)
class _Namer:
    """Finds the nodes of the parts of a head, and adds those that are to be computed."""

    head: Head
    parts: list[_Part]
    graph: fx.Graph
    paths: Mapping[str, fx.Node]
    places: Mapping[int, str]

    def branch(
        self, prefix: str, towers: Mapping[str, nn.ModuleList], outputs: Mapping[str, Any]
    ) -> Iterator[tuple[str, fx.Node]]:
        for part in self.parts:
            for kind, decode in part.values:
                name = f"{prefix}.{kind}"
                yield name, self._value(name, outputs[part.output], None if part.decoded else decode)
        if "proto" in outputs:
            proto = outputs["proto"]  # YOLO26 trains with a semantic map beside the prototypes
            yield f"{prefix}.proto", proto[0] if isinstance(proto, (tuple, list)) else proto
        for part in self.parts:
            rows = [towers[key] for key in part.towers if key in towers]
            for level, stages in zip(self.head.levels, zip(*rows, strict=True), strict=True):
                yield from self._tower(prefix, level, part, stages)

    def _tower(
        self, prefix: str, level: str, part: _Part, stages: tuple[nn.Module, ...]
    ) -> Iterator[tuple[str, fx.Node]]:
        """The tower's output, and each of its hidden stages by position: `head.cls.p4.0`."""
        (first, decode), *others = part.values
        name, output = f"{prefix}.{first}.{level}", self._node(stages[-1])
        yield name, self._value(name, output, decode)
        hidden = list(stages[0].children()) if len(stages) > 1 else list(stages[0].children())[:-1]
        for index, stage in enumerate(hidden):
            yield f"{name}.{index}", self._node(stage)
        for kind, decode in others:
            name = f"{prefix}.{kind}.{level}"
            yield name, self._value(name, output, decode)

    def _node(self, module: nn.Module) -> fx.Node:
        return self.paths[self.places[id(module)]]

    def _value(self, name: str, node: fx.Node, decode: _Decode | None) -> fx.Node:
        if decode is None:
            return node
        function, arguments = decode
        last = next(n for n in self.graph.nodes if n.op == "output")
        with self.graph.inserting_before(last):
            made = self.graph.call_function(function, (node, *arguments))
        made.meta["path"] = name
        return made
