"""A model and its graph: traced as it is trained, or as a frozen teacher runs, and its parts by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch.fx as fx
from torch import nn

from kdgraph.graph.head_names import class_logits, head_names
from kdgraph.graph.heads import Head, describe, find_head, level_name, task_of
from kdgraph.graph.trace import Stopped, trace_module
from kdgraph.graph.walk import input_channels, is_layered, last_path, sources, unprompted, unwrapped, walk_of

__all__ = ["Head", "TracedModel", "level_name", "trace", "trace_model"]

Traced = tuple[fx.GraphModule, Mapping[str, fx.Node]]


@dataclass(frozen=True)
class TracedModel:
    """A model and its graph.

    `names` maps every tap name, semantic (`head.cls`) or raw (`model.16.cv2.conv`), to a node of
    `module.graph`; the nodes hold their raw path in `meta["path"]`. `backbone` and `neck` are the raw paths
    of the backbone's layers and of what the head reads, from which `backbone.p3`, `neck.p3` ... are named
    once strides are known. `channels` are those of the images it takes, 0 where no convolution tells.
    `task` is Ultralytics' word for what the model does. `beheaded` says why the last layer is not in the
    graph, where it is not. A `foreign` module, not Ultralytics', has raw names only, and no task.
    """

    source: nn.Module
    module: fx.GraphModule
    names: Mapping[str, fx.Node]
    head: Head | None
    backbone: tuple[str, ...] = ()
    neck: tuple[str, ...] = ()
    channels: int = 3
    task: str = ""
    class_names: tuple[str, ...] = ()
    beheaded: str = ""
    foreign: bool = False

    def fitting(self, side: int) -> int:
        """The side of an image, in pixels, as the next multiple of the coarsest stride."""
        stride = max(self.head.strides) if self.head else 32
        return max(1, -(-side // stride)) * stride


def trace_model(model: nn.Module, what: str = "the model", frozen: bool = False) -> TracedModel:
    """Trace an Ultralytics model (also in its `YOLO`), or any module that takes images [B,C,H,W] first.

    Detectors are traced as they run in training mode: their raw outputs. Other models are traced in training
    mode too, but in eval mode when `frozen`, as teachers run. A frozen model's last layer is left out where
    it cannot be traced (the decoder of RT-DETR) or was never told its classes (YOLOE); the graph then returns
    what that would read. Any other module inside that cannot be traced becomes one node, so that what is
    around it can be tapped.

    Nothing is copied: the graph's modules and parameters are the model's own. Activations lose their
    `inplace` flag, since a tap before an in-place activation would be overwritten (values are the same).
    Raises GraphError (KD205) for models whose own forward has data-dependent control flow.
    """
    model = unwrapped(model)
    for module in model.modules():
        if getattr(module, "inplace", False) is True:
            module.inplace = False  # type: ignore[assignment]
    if is_layered(model):
        return _layered(model, what, frozen)
    with _mode(model, training=not frozen):
        module, paths = trace_module(model, what, whole=bool)
    return TracedModel(model, module, dict(paths), None, channels=input_channels(model), foreign=True)


def trace(model: nn.Module) -> fx.GraphModule:
    """Trace a model in training mode: images [B,C,H,W] in, the head's raw outputs out.

    The GraphModule shares all parameters with `model` and takes any batch and any image size that the
    model takes. Each node's `meta["path"]` is its dotted module path. Raises GraphError (KD205).
    """
    module = trace_model(model).module
    module.graph.eliminate_dead_code()
    module.recompile()
    return module


def _layered(model: nn.Module, what: str, frozen: bool) -> TracedModel:
    detect = find_head(model)
    with _mode(model, training=detect is not None or not frozen):
        (module, paths), beheaded = _walked(model, what, frozen)
    names = dict(paths)
    if detect is not None and not beheaded:
        names = {**dict(head_names(model, detect, module, paths)), **paths}
    elif task_of(model) == "classify":
        names = {"head.cls": class_logits(module), **paths}
    module.graph.lint()  # its code stays: what was added is beside the outputs
    return TracedModel(
        model,
        module,
        names,
        describe(detect) if detect is not None and not beheaded else None,
        _backbone(model),
        sources(model),
        input_channels(model),
        task_of(model),
        _class_names(model),
        beheaded,
    )


def _walked(model: Any, what: str, frozen: bool) -> tuple[Traced, str]:
    """The trace, and in words why the last layer is not in it, where it is not."""
    last = last_path(model)
    if frozen and unprompted(model):
        beheaded = "it was never told its classes: `model.set_classes`, then `model.save`"
    else:
        try:
            return trace_module(walk_of(model), what, whole=lambda path: path != last), ""
        except Stopped as stopped:
            if not frozen or stopped.where != last:
                raise
        beheaded = f"what its last layer, {type(model.model[-1]).__name__}, does depends on the data"
    return trace_module(walk_of(model, headless=True), what, whole=bool), beheaded


@contextmanager
def _mode(model: nn.Module, training: bool) -> Iterator[None]:
    """Heads branch on `training`, and a trace freezes the branch."""
    before = [(module, module.training) for module in model.modules()]
    model.train(training)
    try:
        yield
    finally:
        for module, mode in before:
            module.training = mode


def _backbone(model: nn.Module) -> tuple[str, ...]:
    count = len(getattr(model, "yaml", {}).get("backbone", ()))
    return tuple(f"model.{i}" for i in range(count))


def _class_names(model: nn.Module) -> tuple[str, ...]:
    names = getattr(model, "names", None) or {}
    ordered = [names[number] for number in sorted(names)] if isinstance(names, Mapping) else names
    return tuple(map(str, ordered))
