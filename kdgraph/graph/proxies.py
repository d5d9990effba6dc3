"""Proxies that know something of their value while a model is traced, where its code asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import torch.fx as fx

__all__ = ["SizedProxy", "known_of", "proxy_of", "with_sizes"]

T = TypeVar("T")


class SizedProxy(fx.Proxy):
    """A Proxy of a tuple whose length is known while tracing: the result of `chunk` or `split`."""

    def __len__(self) -> int:
        return int(self.node.meta["length"])


class ShapedProxy(fx.Proxy):
    """A Proxy of a tensor some of whose sizes are known while tracing."""

    @property
    def shape(self) -> _Shape:
        return _Shape(self, self.node.meta["sizes"])


class _Shape:
    """Sizes by dimension: numbers where they are known, Proxies elsewhere."""

    def __init__(self, tensor: fx.Proxy, known: Mapping[int, int]) -> None:
        self._tensor, self._known = tensor, known

    def __getitem__(self, dimension: int) -> Any:
        return self._known[dimension] if dimension in self._known else self._tensor.size(dimension)


def with_sizes(value: T, sizes: Mapping[int, int]) -> T:
    """`value`, of which a trace then knows the sizes of these dimensions as numbers."""
    if not isinstance(value, fx.Proxy):
        return value
    value.node.meta["sizes"] = sizes
    return value.tracer.proxy(value.node)  # type: ignore[return-value]


def proxy_of(node: fx.Node, tracer: fx.Tracer) -> fx.Proxy | None:
    """The Proxy of a node of which something is known."""
    if "sizes" in node.meta:
        return ShapedProxy(node, tracer)
    return SizedProxy(node, tracer) if "length" in node.meta else None


def known_of(node: fx.Node) -> dict[str, Any]:
    """What the arguments of a new node tell of its value, for its `meta`."""
    length = _static_length(node)
    if length is not None:
        return {"length": length}
    if node.op == "call_method" and node.target == "detach":
        return {key: value for key, value in node.all_input_nodes[0].meta.items() if key == "sizes"}
    return {}


def _static_length(node: fx.Node) -> int | None:
    """The number of parts that a chunk or split node returns, where its arguments tell."""
    if node.op not in ("call_method", "call_function"):
        return None
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    named = node.kwargs.get(
        "chunks", node.kwargs.get("split_size", node.kwargs.get("split_size_or_sections"))
    )
    parts = node.args[1] if len(node.args) > 1 else named
    if name == "chunk" and isinstance(parts, int):
        return parts
    if name == "split" and isinstance(parts, (tuple, list)):
        return len(parts)
    return None
