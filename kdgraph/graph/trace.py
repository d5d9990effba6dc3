"""nn.Module -> fx graph whose nodes know the module path they come from.

A plain `fx.Tracer` stops at `list(x.chunk(2, 1))`, which every YOLO since v8 uses, and names the nodes
of a shared module (one SiLU serves all convolutions) after its first owner. `PathTracer` mends both.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch.fx as fx
from torch import nn

from kdgraph.errors import Diagnostic, GraphError
from kdgraph.graph.proxies import SizedProxy, known_of, proxy_of

__all__ = ["PathTracer", "Stopped", "trace_module", "unchanged"]


class PathTracer(fx.Tracer):
    """Symbolic tracer that records, for every node and every module call, its dotted module path.

    After `trace`, `paths` maps each path to the node that holds its value. A module called again, or a
    second operation of one kind in a module, gets the suffix `_1`, `_2`, as in torchvision. The path of
    a container is the node of its output: `model.16` is the value that layer 16 returns. Modules in `leaves`
    (by id) become one node each.
    """

    def __init__(self, leaves: frozenset[int] = frozenset()) -> None:
        super().__init__()
        self.paths: dict[str, fx.Node] = {}
        self._leaves = leaves
        self._stack: list[tuple[str, nn.Module]] = []
        self._children: dict[int, dict[int, str]] = {}

    @property
    def place(self) -> tuple[str, nn.Module]:
        """Path and module of what is being called; after an error, of what stopped the trace."""
        return self._stack[-1]

    def trace(self, root: Any, concrete_args: dict[str, Any] | None = None) -> fx.Graph:
        self._stack = [("", root)]
        return super().trace(root, concrete_args)

    def create_args_for_root(
        self, root_fn: Callable[..., Any], is_module: bool, concrete_args: Any = None
    ) -> tuple[Callable[..., Any], list[Any]]:
        """The first argument is the graph's input; the others keep their defaults."""
        arguments = [*inspect.signature(root_fn).parameters, "images"]
        return root_fn, [self.root, self.create_proxy("placeholder", arguments[1], (), {})]

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return id(m) in self._leaves or super().is_leaf_module(m, module_qualified_name)

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
        node.meta.update(known_of(node))
        return node

    def proxy(self, node: fx.Node) -> fx.Proxy:
        known = proxy_of(node, self)
        return super().proxy(node) if known is None else known

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


class Stopped(GraphError):
    """A module (`where`, its path; empty for the root) whose control flow no symbolic trace can follow."""

    def __init__(self, diagnostic: Diagnostic, where: str) -> None:
        super().__init__(diagnostic)
        self.where = where


def trace_module(
    root: nn.Module, what: str, whole: Callable[[str], bool] = lambda path: False
) -> tuple[fx.GraphModule, Mapping[str, fx.Node]]:
    """Trace `root`; returns the GraphModule, sharing every parameter, and the nodes by module path.

    A module inside that depends on data is one node where `whole` says so of its path: taps then work around
    it, not in it. Raises Stopped (KD205), naming `what`, at any other, and when `root` itself is one.
    """
    leaves: frozenset[int] = frozenset()
    while True:
        tracer = PathTracer(leaves)
        try:
            with unchanged(root):
                graph = tracer.trace(root)
                return fx.GraphModule(root, graph, class_name="Traced"), tracer.paths
        except Exception as error:  # a model that meets a Proxy fails in whatever way its code does
            where, module = tracer.place
            if not where or not whole(where) or id(module) in leaves:
                raise Stopped(_untraceable(what, where, error), where) from error
            leaves |= {id(module)}


def _untraceable(what: str, where: str, error: Exception) -> Diagnostic:
    reason = str(error).split(". ")[0].splitlines() or [type(error).__name__]
    return Diagnostic(
        "KD205",
        f"{what} cannot be traced: {where or 'its forward'} stops torch.fx ({reason[0]})",
        hint="control flow that depends on data has no fixed graph, and taps need one: "
        "give a part of the model that has, such as its backbone",
    )


@contextmanager
def unchanged(root: nn.Module) -> Iterator[None]:
    """A forward may keep what it computes, and would then keep Proxies."""
    before = [(module, dict(vars(module))) for module in root.modules()]
    try:
        yield
    finally:
        for module, attributes in before:
            vars(module).clear()
            vars(module).update(attributes)
