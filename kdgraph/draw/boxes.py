"""What a box of a picture says: names to tap, type, shape, stride, parameters and operations."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import torch.fx as fx
from torch import nn

from kdgraph.draw.parts import Anatomy, Kind, Part
from kdgraph.graph.names import level_of

__all__ = ["Box", "box_of_node", "box_of_part", "branch_order", "node_key", "part_key"]


@dataclass(frozen=True)
class Box:
    """One box. `shape` is without the batch, `flops` for one image, a multiply and an add counted as two.

    names: what a spec may call it, the name to write first; none where it cannot be tapped.
    layout: what its value is (`features`, `cls`, `dfl`, …), empty where it cannot be tapped.
    """

    key: str
    role: str
    kind: Kind
    title: str
    type: str
    path: str
    names: tuple[str, ...] = ()
    layout: str = ""
    level: str | None = None
    shape: tuple[int, ...] | None = None
    stride: int | None = None
    params: int = 0
    flops: int = 0
    nodes: int = 1
    parent: str | None = None


_BRANCHES = ("cls", "dfl", "box", "mask", "kpt", "angle", "proto")


def branch_order(box: Box) -> tuple[bool, int]:
    """The one-to-many branches first, each kind in the order in which a spec usually names them."""
    names = box.names[0].split(".") if box.names else []
    kind = next((i for i, name in enumerate(_BRANCHES) if name in names), len(_BRANCHES))
    return "o2o" in names, kind


def part_key(role: str, part: Part) -> str:
    return f"{role}:{part.path}"


def node_key(role: str, node: fx.Node) -> str:
    return f"{role}:node:{node.name}"


def box_of_part(anatomy: Anatomy, role: str, part: Part, parent: str | None = None) -> Box:
    """The box of a row of the model's yaml, or of a branch of its head."""
    names = _names(anatomy, part.value)
    facts = [anatomy.facts[node] for node in part.nodes]
    kind, module = _type(anatomy, part.path)
    shape, stride = _measures(anatomy, part.value)
    return Box(
        key=part_key(role, part),
        role=role,
        kind=part.kind,
        title=_title(anatomy, part, kind, module, names),
        type=kind,
        path=part.path,
        names=names,
        layout=_layout(anatomy, names),
        level=part.level,
        shape=shape,
        stride=stride,
        params=sum(fact.params for fact in facts),
        flops=sum(fact.flops for fact in facts),
        nodes=len(part.nodes),
        parent=parent,
    )


def box_of_node(anatomy: Anatomy, role: str, node: fx.Node, part: Part) -> Box:
    """The box of a node of the fx graph, in the box of its part."""
    path = str(node.meta.get("path", node.name))
    names = _names(anatomy, node)
    module = anatomy.model.module.get_submodule(str(node.target)) if node.op == "call_module" else None
    kind = type(module).__name__ if module is not None else str(getattr(node.target, "__name__", node.target))
    facts = anatomy.facts[node]
    shape, stride = _measures(anatomy, node)
    return Box(
        key=node_key(role, node),
        role=role,
        kind=part.kind,
        title=path.removeprefix(f"{part.path}."),
        type=kind + _kernel(module),
        path=path,
        names=names,
        layout=_layout(anatomy, names),
        level=level_of(facts.shape, anatomy.image_size),
        shape=shape,
        stride=stride,
        params=facts.params,
        flops=facts.flops,
        parent=part_key(role, part),
    )


def _names(anatomy: Anatomy, node: fx.Node) -> tuple[str, ...]:
    """The names of a node: those of meaning first, then module paths, the shorter first.

    None for the images, and for what is no tensor: edges cannot tap them.
    """
    if node.op == "placeholder" or anatomy.facts[node].shape is None:
        return ()
    named = [each for each in anatomy.names.values() if each.node is node]
    semantic = [each.name for each in named if not each.raw]
    raw = sorted((each.name for each in named if each.raw), key=len)
    return (*sorted(semantic, key=_plainness), *raw)


def _plainness(name: str) -> tuple[bool, bool, int, str]:
    """The neck's name before the backbone's for the same node, and an output's before a hidden stage's."""
    return (name.startswith("backbone"), name.startswith("head.box"), len(name), name)


def _layout(anatomy: Anatomy, names: tuple[str, ...]) -> str:
    return anatomy.names[names[0]].layout if names else ""


def _measures(anatomy: Anatomy, node: fx.Node) -> tuple[tuple[int, ...] | None, int | None]:
    """The shape without the batch, and the stride in pixels where it is a map."""
    shape = anatomy.facts[node].shape
    if not shape:
        return None, None
    is_map = level_of(shape, anatomy.image_size) is not None
    return shape[1:], anatomy.image_size[0] // shape[2] if is_map else None


def _type(anatomy: Anatomy, path: str) -> tuple[str, nn.Module | None]:
    if path in ("images", "prompts"):
        return path, None
    if path.startswith("head."):
        return "all levels", None
    found: Any = anatomy.model.source
    try:
        module: nn.Module = found.get_submodule(path)
    except AttributeError:  # an operation between modules
        return path.split(".")[-1], None
    return type(module).__name__, module


def _title(anatomy: Anatomy, part: Part, kind: str, module: nn.Module | None, names: tuple[str, ...]) -> str:
    if part.kind == "input":
        return part.path
    pieces = part.path.split(".")
    if part.kind == "head" and names and names[0].startswith("head."):
        return " ".join(names[0].split(".")[1:])
    if anatomy.model.foreign:
        return part.path
    blocks = getattr(module, "m", None)
    times = (
        f" ×{len(blocks)}" if isinstance(blocks, nn.Sequential | nn.ModuleList) and len(blocks) > 1 else ""
    )
    number = pieces[1] if len(pieces) == 2 else ".".join(pieces[1:])
    return f"{number} {kind}{times}"


def _kernel(module: nn.Module | None) -> str:
    """` 3×3 /2` of a convolution or a pooling."""
    size = getattr(module, "kernel_size", None)
    if size is None:
        return ""
    sides = size if isinstance(size, tuple) else (size, size)
    stride = getattr(module, "stride", 1)
    step = stride[0] if isinstance(stride, tuple) else stride
    groups = getattr(module, "groups", 1)
    depthwise = " depthwise" if groups > 1 and prod(sides) > 1 else ""
    return f" {'×'.join(map(str, sides))}{depthwise}" + (f" /{step}" if step and step > 1 else "")
