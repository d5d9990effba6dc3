"""The parts of a model that have a box: the rows of its yaml, and the branches of its head by level."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch.fx as fx
from torch import nn

from kdgraph.graph.names import Named, level_of, tap_names
from kdgraph.graph.shapes import Facts, infer_facts
from kdgraph.graph.yolo import TracedModel

__all__ = ["Anatomy", "Kind", "Part", "anatomy_of", "carries", "pieces"]

Kind = Literal["input", "backbone", "neck", "head"]


_PROMPTS = "prompts"
"""The part of what is given to an open-vocabulary model beside the images: its classes in words."""


@dataclass(frozen=True)
class Part:
    """Nodes of a model that are one box: a row of the model's yaml, or a branch of its head at one level.

    path: its module path; `images` for the input, a tap's name for what the head joins over all levels.
    level: the P-level of its value, None for what is of all levels.
    value: the node whose value leaves the part.
    """

    path: str
    kind: Kind
    level: str | None
    nodes: tuple[fx.Node, ...] = field(repr=False)
    value: fx.Node = field(repr=False)


@dataclass(frozen=True)
class Anatomy:
    """A model in parts, in the order in which they are computed, and what is known of its nodes and names."""

    model: TracedModel
    image_size: tuple[int, int]
    facts: Mapping[fx.Node, Facts] = field(repr=False)
    names: Mapping[str, Named] = field(repr=False)
    parts: tuple[Part, ...]

    def part_of(self, node: fx.Node) -> Part | None:
        """The part that a node is in."""
        return next((part for part in self.parts if node in part.nodes), None)


def anatomy_of(model: TracedModel, image_size: tuple[int, int], channels: int | None = None) -> Anatomy:
    """The parts of a model, for images of `image_size` (height, width) in pixels."""
    facts = infer_facts(model.module, image_size, batch=1, channels=channels or model.channels or 3)
    names = tap_names(model, lambda node: facts[node].shape, image_size)
    groups: dict[str, list[fx.Node]] = {}
    paths = _paths(model)
    for node, path in paths.items():
        groups.setdefault(path, []).append(node)
    parts: list[Part] = []
    for path, nodes in groups.items():
        kind, value = _kind(model, path), _value(nodes, names)
        shape = facts[value].shape
        level = level_of(shape, image_size)
        if level is None and kind != "head" and not model.foreign and parts:
            level = parts[-1].level  # several maps at once, or tokens: it stands with what it came from
        parts.append(Part(path, kind, level, tuple(nodes), value))
    return Anatomy(model, image_size, facts, names, tuple(parts))


def _value(nodes: Sequence[fx.Node], names: Mapping[str, Named]) -> fx.Node:
    """The node with a name of meaning, one that is read outside before one that is computed to be tapped.

    Without any, the last that is read outside.
    """
    inside = set(nodes)
    leaving = [node for node in nodes if any(user not in inside for user in node.users)] or list(nodes)
    ends = [node for node in nodes if not node.users]
    named = {each.node for name, each in names.items() if not each.raw and not pieces(name)[-1].isdigit()}
    return next((node for node in (*leaving, *ends) if node in named), leaving[-1])


def carries(facts: Mapping[fx.Node, Facts], node: fx.Node) -> bool:
    """Whether a node's value is a tensor, or several; sizes that are read off a tensor are neither."""
    if facts[node].shape is not None:
        return True
    return any(user.target is operator.getitem and facts[user].shape is not None for user in node.users)


def pieces(path: str) -> list[str]:
    return path.split(".")


def _paths(model: TracedModel) -> dict[fx.Node, str]:
    """The part that each node belongs to, by its path; the output node belongs to none."""
    paths: dict[fx.Node, str] = {}
    nodes: list[fx.Node] = [node for node in model.module.graph.nodes if node.op != "output"]
    for node in nodes:
        paths[node] = "images" if node.op == "placeholder" else _path(model, node)
    head = _head_path(model)
    for node in reversed(nodes):  # a parameter stands with what reads it
        if node.op == "get_attr" and node.users:
            paths[node] = paths[next(iter(node.users))]
    for node in nodes:  # where gradients stop, nothing else happens
        if paths[node] == head and node.target == "detach":
            paths[node] = paths[node.all_input_nodes[0]]
    for node in reversed(nodes):  # what joins the levels goes by the tap it ends in
        if paths[node] == head:
            paths[node] = _joined(model, node, paths) or head
    return paths


def _path(model: TracedModel, node: fx.Node) -> str:
    names = pieces(str(node.meta.get("path", node.name)))
    if names[0] == "head":  # computed for a tap, from a branch: it stands with what it is computed from
        source = node.all_input_nodes[0]
        return ".".join(names) if len(names) < 3 or names[-1][1:].isdigit() is False else _path(model, source)
    if not model.foreign and names[0] != "model":
        return _PROMPTS
    return ".".join(names[: _depth(model, names)])


def _depth(model: TracedModel, names: Sequence[str]) -> int:
    """How many pieces of a node's path name the part that it is in."""
    root: nn.Module = model.module
    if model.foreign:
        return _foreign_depth(root, names)
    if ".".join(names[:2]) != _head_path(model) or model.head is None or len(names) < 4:
        return 2
    return 4 if _child(root, names[:3], numbered=names[3]) else 3


def _child(root: nn.Module, names: Sequence[str], numbered: str) -> bool:
    """Whether a module is a list, one of whose members is meant."""
    return numbered.isdigit() and _is_list(_module(root, names))


def _is_list(module: nn.Module | None) -> bool:
    """Whether a module holds its children under numbers: the graph's modules are no lists any more."""
    children = dict(module.named_children()) if module is not None else {}
    return bool(children) and all(name.isdigit() for name in children)


def _foreign_depth(root: nn.Module, names: Sequence[str]) -> int:
    """The first module that has brothers, and within a list its member."""
    depth = 1
    while depth < len(names):
        siblings = dict((_module(root, names[: depth - 1]) or root).named_children())
        module = _module(root, names[:depth])
        if len(siblings) > 1 and not _is_list(module):
            break
        depth += 1
    return depth


def _module(root: nn.Module, names: Sequence[str]) -> nn.Module | None:
    found: Any = root
    for name in names:
        found = dict(found.named_children()).get(name)
        if found is None:
            return None
    return found  # type: ignore[no-any-return]


def _head_path(model: TracedModel) -> str:
    """The path of the last layer, where it is in the graph."""
    count = len(getattr(model.source, "model", ())) if not model.foreign else 0
    return f"model.{count - 1}" if count and not model.beheaded else ""


def _joined(model: TracedModel, node: fx.Node, paths: Mapping[fx.Node, str]) -> str | None:
    """The name of what a node of the head joins, or of what its first user does."""
    for name, named in model.names.items():
        if named is node and name.startswith("head."):
            return name
    return _first(paths[user] for user in node.users if user in paths)


def _first(paths: Iterable[str]) -> str | None:
    return next(iter(paths), None)


def _kind(model: TracedModel, path: str) -> Kind:
    if path in ("images", _PROMPTS):
        return "input"
    if model.foreign:
        return "backbone"
    head = _head_path(model)
    if path == head or path.startswith(("head", f"{head}.")):
        return "head"
    return "backbone" if path in model.backbone else "neck"
