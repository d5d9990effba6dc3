"""The only file that knows Ultralytics' model classes: how its layers are wired and what its head holds.

Names are read from the model (the head's inputs, its branches, its strides), never from layer numbers,
which differ between families.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import log2
from typing import Any

import torch.fx as fx
from torch import Tensor, nn
from ultralytics.nn.modules.head import Detect

from kdgraph.graph.trace import trace_module
from kdgraph.nn.dfl import distances

__all__ = ["Head", "TracedModel", "trace", "trace_model"]


@dataclass(frozen=True)
class Head:
    """What a detection head is: its classes, DFL bins per side (1: none), strides in pixels, branches."""

    classes: int
    reg_max: int
    strides: tuple[int, ...]
    end2end: bool

    @property
    def levels(self) -> tuple[str, ...]:
        """P-levels, finest first: stride 8 is `p3`."""
        return tuple(level_name(stride) for stride in self.strides)


@dataclass(frozen=True)
class TracedModel:
    """A model and its training-mode graph.

    `names` maps every tap name, semantic (`neck.p3`) or raw (`model.16.cv2.conv`), to a node of
    `module.graph`; the nodes hold their raw path in `meta["path"]`. `backbone` are the raw paths of the
    backbone's layers, from which `backbone.p3 ...` are named once strides are known.
    """

    source: nn.Module
    module: fx.GraphModule
    names: Mapping[str, fx.Node]
    head: Head | None
    backbone: tuple[str, ...] = ()


class LayerWalk(nn.Module):
    """`BaseModel.forward` without its options: each layer reads the layers that its `f` names."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model.model

    def forward(self, images: Tensor) -> Any:
        value: Any = images
        outputs: list[Any] = []
        for layer in self.model:  # type: ignore[union-attr]
            if layer.f != -1:
                inputs = [layer.f] if isinstance(layer.f, int) else layer.f
                taken = [value if i == -1 else outputs[i] for i in inputs]
                value = taken[0] if isinstance(layer.f, int) else taken
            value = layer(value)
            outputs.append(value)
        return value


def trace_model(model: nn.Module, what: str = "the model") -> TracedModel:
    """Trace an Ultralytics detection model as it runs in training mode.

    Nothing is copied: the graph's modules and parameters are the model's own. Activations lose their
    `inplace` flag, since a tap before an in-place activation would be overwritten (values are the same).
    Raises GraphError (KD205) for models with data-dependent control flow.
    """
    for module in model.modules():
        if getattr(module, "inplace", False) is True:
            module.inplace = False  # type: ignore[assignment]
    with _training_head(model):
        module, paths = trace_module(LayerWalk(model), what)
    module.graph.lint()
    detect = _detect(model)
    if detect is None:
        return TracedModel(model, module, dict(paths), None, _backbone(model))
    head = Head(detect.nc, detect.reg_max, tuple(int(s) for s in detect.stride), _end2end(detect))
    names = dict(_semantic_names(model, detect, head, module, paths))
    module.recompile()
    return TracedModel(model, module, {**names, **paths}, head, _backbone(model))


def trace(model: nn.Module) -> fx.GraphModule:
    """Trace an Ultralytics model in training mode: images [B,3,H,W] in, the head's raw outputs out.

    The GraphModule shares all parameters with `model` and takes any batch and any image size that the
    model takes. Each node's `meta["path"]` is its dotted module path. Raises GraphError (KD205).
    """
    module = trace_model(model).module
    module.graph.eliminate_dead_code()
    module.recompile()
    return module


def level_name(stride: float) -> str:
    """The P-level of a stride in pixels: 8 is `p3`, 32 is `p5`."""
    return f"p{round(log2(stride))}"


@contextmanager
def _training_head(model: nn.Module) -> Iterator[None]:
    """Heads branch on `training`, and the trace freezes the branch: it must be the training one."""
    before = [(module, module.training) for module in model.modules()]
    model.train()
    try:
        yield
    finally:
        for module, mode in before:
            module.training = mode


def _detect(model: nn.Module) -> Detect | None:
    return next((m for m in model.modules() if isinstance(m, Detect)), None)


def _end2end(detect: Detect) -> bool:
    return getattr(detect, "one2one_cv2", None) is not None


def _backbone(model: nn.Module) -> tuple[str, ...]:
    count = len(getattr(model, "yaml", {}).get("backbone", ()))
    return tuple(f"model.{i}" for i in range(count))


def _semantic_names(
    model: nn.Module, detect: Detect, head: Head, traced: fx.GraphModule, paths: Mapping[str, fx.Node]
) -> Iterator[tuple[str, fx.Node]]:
    """Yield (tap name, node) for the neck's levels and the head's branches."""
    module_paths = {id(m): path for path, m in model.named_modules()}
    for level, source in zip(head.levels, detect.f, strict=True):
        yield f"neck.{level}", paths[f"model.{source}"]
    result = next(n for n in traced.graph.nodes if n.op == "output").args[0]
    branches = [("head", detect.one2many, result.get("one2many", result))]
    if head.end2end:
        branches.append(("head.o2o", detect.one2one, result["one2one"]))
    for prefix, branch, outputs in branches:
        yield from _branch_names(prefix, branch, outputs, head, traced, paths, module_paths)


def _branch_names(
    prefix: str,
    branch: Mapping[str, nn.ModuleList],
    outputs: Mapping[str, fx.Node],
    head: Head,
    traced: fx.GraphModule,
    paths: Mapping[str, fx.Node],
    module_paths: Mapping[int, str],
) -> Iterator[tuple[str, fx.Node]]:
    bins = head.reg_max > 1
    yield f"{prefix}.cls", outputs["scores"]
    if bins:
        yield f"{prefix}.dfl", outputs["boxes"]
    yield f"{prefix}.box", _distances(traced, outputs["boxes"], head, f"{prefix}.box")
    for level, tower in zip(head.levels, branch["cls_head"], strict=True):
        yield from _tower_names(f"{prefix}.cls.{level}", tower, paths, module_paths)
    for level, tower in zip(head.levels, branch["box_head"], strict=True):
        boxes = paths[module_paths[id(tower)]]
        yield from _tower_names(f"{prefix}.{'dfl' if bins else 'box'}.{level}", tower, paths, module_paths)
        yield f"{prefix}.box.{level}", _distances(traced, boxes, head, f"{prefix}.box.{level}")


def _tower_names(
    name: str, tower: nn.Module, paths: Mapping[str, fx.Node], module_paths: Mapping[int, str]
) -> Iterator[tuple[str, fx.Node]]:
    """The tower's output, and each of its hidden stages by position: `head.cls.p4.0`."""
    yield name, paths[module_paths[id(tower)]]
    for index, stage in enumerate(list(tower.children())[:-1]):
        yield f"{name}.{index}", paths[module_paths[id(stage)]]


def _distances(traced: fx.GraphModule, boxes: fx.Node, head: Head, name: str) -> fx.Node:
    """The node of the decoded distances: beside the graph's outputs, so it costs nothing unless tapped."""
    if head.reg_max == 1:
        return boxes
    last = next(n for n in traced.graph.nodes if n.op == "output")
    with traced.graph.inserting_before(last):
        node = traced.graph.call_function(distances, (boxes, head.reg_max))
    node.meta["path"] = name
    return node
