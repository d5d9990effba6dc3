"""Models without memory: parameters and buffers on the meta device, where only shapes are computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from kdgraph.graph.shape_rules import ShapeRules

_FACTORIES = frozenset(
    {torch.empty, torch.zeros, torch.ones, torch.full, torch.arange, torch.rand, torch.randn}
)


class MetaFactories(ShapeRules):
    """Tensors made in this block are on the meta device, unless `torch.tensor` makes them.

    `torch.device("meta")` would take the values of the strides as well, and the bias of a detection head is
    computed from them.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        options = dict(kwargs or {})
        if func is torch.nn.functional.batch_norm:  # keeps its shape, and is slow on meta tensors
            return args[0].clone()
        if func in _FACTORIES:
            options["device"] = "meta"
        return super().__torch_function__(func, types, args, options)


def to_meta(model: Any) -> nn.Module:
    """Move a model to the meta device in place, keeping the values of its strides, where it has any."""
    layers = getattr(model, "model", None)
    holders = [model, *([layers[-1]] if isinstance(layers, nn.Sequential) else [])]
    strides = [(holder, holder.stride) for holder in holders if hasattr(holder, "stride")]
    model.to("meta")
    for holder, stride in strides:
        holder.stride = stride
    if hasattr(model, "txt_feats"):  # YOLO-World's prompts are no buffer
        model.txt_feats = model.txt_feats.to("meta")
    moved: nn.Module = model
    return moved
