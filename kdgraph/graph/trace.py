"""nn.Module -> fx graph whose nodes know the module path they come from.

A plain `fx.Tracer` stops at `list(x.chunk(2, 1))`, which every YOLO since v8 uses, and names the nodes
of a shared module (one SiLU serves all convolutions) after its first owner. `PathTracer` mends both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch.fx as fx
from torch import nn

from kdgraph.errors import Diagnostic, GraphError

__all__ = ["PathTracer", "trace_module"]


class SizedProxy(fx.Proxy):
    """A Proxy of a tuple whose length is known while tracing: the result of `chunk` or `split`."""

    def __len__(self) -> int:
        return int(self.node.meta["length"])


class PathTracer(fx.Tracer):
    """Symbolic tracer that records, for every node and every module call, its dotted module path.

    After `trace`, `paths` maps each path to the node that holds its value. A module called again, or a
    second operation of one kind in a module, gets the suffix `_1`, `_2`, as in torchvision. The path of
    a container is the node of its output: `model.16` is the value that layer 16 returns.
    """

    def __init__(self) -> None:
        super().__init__()
        self.paths: dict[str, fx.Node] = {}
        self._stack: list[tuple[str, nn.Module]] = []
        self._children: dict[int, dict[int, str]] = {}

    def trace(self, root: Any, concrete_args: dict[str, Any] | None = None) -> fx.Graph:
        self._stack = [("", root)]
        return super().trace(root, concrete_args)

    def path_of_module(self, mod: nn.Module) -> str:
        path, owner = self._stack[-1]
        if mod is owner:
            return path
        name = self._names_below(owner).get(id(mod))
        return super().path_of_module(mod) if name is None else _join(path, name)

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        path = self.path_of_module(m)
        self._stack.append((path, m))
        result = super().call_module(m, forward, args, kwargs)  # on an error, the stack tells where it was
        self._stack.pop()
        if isinstance(result, fx.Proxy):
            self._record(path, result.node)
        return result

    def create_node(self, kind: str, target: Any, *args: Any, **kwargs: Any) -> fx.Node:
        node = super().create_node(kind, target, *args, **kwargs)
        if kind in ("call_function", "call_method"):
            label = target if isinstance(target, str) else target.__name__
            self._record(_join(self._stack[-1][0], label), node)
        elif kind == "placeholder":
            self._record(str(target), node)
        length = _static_length(node)
        if length is not None:
            node.meta["length"] = length
        return node

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return SizedProxy(node, self) if "length" in node.meta else super().proxy(node)

    def iter(self, obj: fx.Proxy) -> Iterator[Any]:
        if isinstance(obj, SizedProxy):
            return iter([obj[i] for i in range(len(obj))])  # type: ignore[index]
        return super().iter(obj)

    def _names_below(self, owner: nn.Module) -> dict[int, str]:
        if id(owner) not in self._children:
            names: dict[int, str] = {}
            for name, module in owner.named_modules(remove_duplicate=False):
                names.setdefault(id(module), name)
            self._children[id(owner)] = names
        return self._children[id(owner)]

    def _record(self, path: str, node: fx.Node) -> None:
        unique, count = path, 0
        while unique in self.paths:
            if self.paths[unique] is node:  # a leaf call is seen by create_node's caller and by call_module
                return
            count += 1
            unique = f"{path}_{count}"
        self.paths[unique] = node
        node.meta.setdefault("path", unique)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path and name else path or name


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


def trace_module(root: nn.Module, what: str) -> tuple[fx.GraphModule, Mapping[str, fx.Node]]:
    """Trace `root`; returns the GraphModule, sharing every parameter, and the nodes by module path.

    Raises GraphError (KD205), naming `what`, when `root` has control flow that depends on data.
    """
    tracer = PathTracer()
    try:
        graph = tracer.trace(root)
    except Exception as error:  # a model that meets a Proxy fails in whatever way its code does
        where = tracer._stack[-1][0] or "its forward"
        raise GraphError(
            Diagnostic(
                "KD205",
                f"{what} cannot be traced: {where} stops torch.fx ({error})",
                hint="a model whose control flow depends on data has no fixed graph; taps need one",
            )
        ) from error
    return fx.GraphModule(root, graph, class_name="Traced"), tracer.paths
