"""How the layers of Ultralytics' models are wired: the root modules that the tracer follows.

`BaseModel.forward` takes options that no trace can take. What is left without them is here: each layer reads
the layers that its `f` names, and models with prompts give them to the layers that ask for some.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch import Tensor, nn
from ultralytics.nn.modules import C2fAttn, ImagePoolingAttn
from ultralytics.nn.modules.head import WorldDetect, YOLOEDetect

from kdgraph.graph.proxies import with_sizes

__all__ = ["LayerWalk", "is_layered", "last_path", "sources", "unprompted", "unwrapped", "walk_of"]


class LayerWalk(nn.Module):
    """`BaseModel.forward` without its options: images [B,C,H,W] in, what the last layer returns out.

    `headless` leaves out the last layer and returns what it would read.
    """

    def __init__(self, model: Any, headless: bool = False) -> None:
        super().__init__()
        self.model = model.model
        self.headless = headless

    def forward(self, images: Tensor) -> Any:
        value: Any = images
        outputs: list[Any] = []
        for layer in self.model:
            if layer.f != -1:
                inputs = [layer.f] if isinstance(layer.f, int) else layer.f
                taken = [value if i == -1 else outputs[i] for i in inputs]
                value = taken[0] if isinstance(layer.f, int) else taken
            if self.headless and layer is self.model[-1]:
                break
            value = self.call(layer, value, images)
            outputs.append(value)
        return value

    def call(self, layer: nn.Module, value: Any, images: Tensor) -> Any:
        return layer(value)


class WorldWalk(LayerWalk):
    """`WorldModel.predict`: attention layers read the text, which an image pooling layer may change."""

    def __init__(self, model: Any, headless: bool = False) -> None:
        super().__init__(model, headless)
        self.register_buffer("prompts", _constant(model.txt_feats), persistent=False)

    def forward(self, images: Tensor) -> Any:
        self._prompts = self._text = _for_each(self.prompts, images)  # type: ignore[arg-type]
        return super().forward(images)

    def call(self, layer: nn.Module, value: Any, images: Tensor) -> Any:
        if isinstance(layer, ImagePoolingAttn):
            self._text = layer(value, self._text)
            return value
        if isinstance(layer, C2fAttn):
            return layer(value, self._text)
        return layer(value, self._prompts) if isinstance(layer, WorldDetect) else layer(value)


class PromptWalk(LayerWalk):
    """`YOLOEModel.predict`: the head reads the embeddings of the classes behind its levels."""

    def __init__(self, model: Any, headless: bool = False) -> None:
        super().__init__(model, headless)
        prompts = _constant(model.get_cls_pe(None, None))
        model.model[-1].nc = prompts.shape[1]  # as its forward does
        self.register_buffer("prompts", prompts, persistent=False)

    def call(self, layer: nn.Module, value: Any, images: Tensor) -> Any:
        if isinstance(layer, YOLOEDetect):
            value = [*value, _for_each(self.prompts, images)]  # type: ignore[arg-type]
        return layer(value)


def walk_of(model: Any, headless: bool = False) -> LayerWalk:
    """The walk that gives what the model itself gives."""
    if hasattr(model, "txt_feats"):
        return WorldWalk(model, headless)
    if isinstance(model.model[-1], YOLOEDetect):
        return PromptWalk(model, headless)
    return LayerWalk(model, headless)


def unprompted(model: Any) -> bool:
    """Whether a YOLOE was never told its classes: its scores then mean nothing."""
    head = model.model[-1]
    return isinstance(head, YOLOEDetect) and not hasattr(model, "pe") and not hasattr(head, "lrpc")


def is_layered(model: nn.Module) -> bool:
    """Whether a module is an Ultralytics model: a sequence of layers that know what they read."""
    layers = getattr(model, "model", None)
    return isinstance(layers, nn.Sequential) and all(hasattr(layer, "f") for layer in layers)


def unwrapped(model: nn.Module) -> nn.Module:
    """The network in a `YOLO`, whose own `train` would start a training."""
    engine = sys.modules.get("ultralytics.engine.model")
    inner: Any = model.model if engine is not None and isinstance(model, engine.Model) else model
    return inner  # type: ignore[no-any-return]


def input_channels(model: nn.Module) -> int:
    """The channels of the images that a model takes, 0 where no convolution tells."""
    first = next((module for module in model.modules() if isinstance(module, nn.Conv2d)), None)
    return first.in_channels if first is not None else 0


def last_path(model: nn.Module) -> str:
    """The raw path of the last layer."""
    return f"model.{len(model.model) - 1}"  # type: ignore[arg-type]


def sources(model: Any) -> tuple[str, ...]:
    """Raw paths of the layers that the last layer reads; none where it reads but the one before it."""
    read, place = model.model[-1].f, len(model.model) - 1
    return () if isinstance(read, int) else tuple(f"model.{i if i >= 0 else place + i}" for i in read)


def _constant(prompts: Tensor) -> Tensor:
    """A tensor of its own: text encoders run in inference mode."""
    return torch.empty_like(prompts).copy_(prompts.detach())


def _for_each(prompts: Tensor, images: Tensor) -> Tensor:
    """The prompts [1,N,D] for each image. How many they are is known, and a head asks for it."""
    expanded = prompts.type_as(images).expand(images.shape[0], -1, -1)
    return with_sizes(expanded, {1: prompts.shape[1]})
