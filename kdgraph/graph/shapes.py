"""Shapes, dtypes, parameters and FLOPs of every node, from meta tensors: no memory, no data, no kernels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
import torch.fx as fx
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._pytree import tree_map_only

from kdgraph.graph.shape_rules import ShapeRules
from kdgraph.graph.trace import unchanged

__all__ = ["Facts", "infer_facts"]

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Facts:
    """What is known of a node's value: `shape` and `dtype` (None when it is no tensor) and its cost.

    `params` counts the module's own numbers (parameters, not buffers); `flops` counts a multiply and an
    add as two, for one batch of the shape that was propagated.
    """

    shape: Shape | None = None
    dtype: torch.dtype | None = None
    params: int = 0
    flops: int = 0


def infer_facts(
    module: fx.GraphModule, image_size: tuple[int, int], batch: int = 2, channels: int = 3
) -> Mapping[fx.Node, Facts]:
    """Propagate meta images [batch, channels, *image_size] (height, width in pixels) through `module`.

    The images have the precision of the parameters. Neither parameters nor batch-norm statistics are read
    or written. Raises what the first operator raises that cannot take its inputs, for example an image size
    that the strides do not divide.
    """
    dtype = next((p.dtype for p in module.parameters() if p.is_floating_point()), None)
    with ShapeRules(), torch.device("meta"), torch.no_grad():
        probe = _Probe(module)
        probe.run(torch.empty(batch, channels, *image_size, dtype=dtype))
    return probe.facts


class _Probe(fx.Interpreter):
    """Runs a graph on meta tensors and writes down what each node is."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.facts: dict[fx.Node, Facts] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        shape = tuple(value.shape) if isinstance(value, Tensor) else None
        dtype = value.dtype if isinstance(value, Tensor) else None
        params, flops = self._cost(n, shape)
        self.facts[n] = Facts(shape, dtype, params, flops)
        return value

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        leaf = self.fetch_attr(target)
        if isinstance(leaf, nn.BatchNorm2d):  # keeps its shape; on meta tensors it is a slow decomposition
            return args[0].clone()
        with unchanged(leaf):  # it may keep what it computes, and would keep meta tensors
            try:
                return functional_call(leaf, _state(leaf, "meta"), args, kwargs)
            except (RuntimeError, NotImplementedError):  # what it does depends on values: try zeros
                with torch.device("cpu"):
                    given = tree_map_only(Tensor, _zeros, (args, kwargs))
                    result = functional_call(leaf, _state(leaf, "cpu"), *given)
                return tree_map_only(Tensor, _fake, result)

    def get_attr(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        value = self.fetch_attr(target)
        return _fake(value) if isinstance(value, Tensor) else value

    def _cost(self, node: fx.Node, shape: Shape | None) -> tuple[int, int]:
        if node.op == "get_attr":
            value = self.fetch_attr(str(node.target))
            return (value.numel() if isinstance(value, nn.Parameter) else 0), 0
        if node.op == "call_module":
            leaf = self.fetch_attr(str(node.target))
            return sum(p.numel() for p in leaf.parameters()), _module_flops(leaf, shape)
        if shape and getattr(node.target, "__name__", node.target) in ("matmul", "bmm", "__matmul__"):
            first = node.args[0]
            inner = self.facts[first].shape if isinstance(first, fx.Node) else None
            return 0, 2 * prod(shape) * inner[-1] if inner else 0
        return 0, 0


def _state(leaf: nn.Module, device: str) -> dict[str, Tensor]:
    make = _fake if device == "meta" else _zeros
    return {name: make(t) for name, t in [*leaf.named_parameters(), *leaf.named_buffers()]}


def _fake(tensor: Tensor) -> Tensor:
    return torch.empty(tensor.shape, dtype=tensor.dtype)


def _zeros(tensor: Tensor) -> Tensor:
    return torch.zeros(tensor.shape, dtype=tensor.dtype)


def _module_flops(leaf: nn.Module, shape: Shape | None) -> int:
    if not shape:
        return 0
    if isinstance(leaf, (nn.Conv2d, nn.Linear)):  # multiplications for each value of the output
        return 2 * prod(shape) * (leaf.weight.numel() // leaf.weight.shape[0])
    if isinstance(leaf, nn.ConvTranspose2d):
        return 2 * prod(shape) * (leaf.weight.numel() // leaf.weight.shape[1]) // prod(leaf.stride)
    return 0
