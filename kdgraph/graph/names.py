"""Tap names: what a spec may write for the nodes of a model, and how patterns find them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

import torch.fx as fx

from kdgraph.graph.yolo import TracedModel, level_name
from kdgraph.spec.components import Layout

__all__ = ["Named", "find", "is_raw", "level_of", "tap_names"]

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Named:
    """One tap of one model: its name as written or found, its node, and what the node's value is."""

    name: str
    node: fx.Node
    layout: Layout
    level: str | None
    shape: Shape | None


def tap_names(
    model: TracedModel, shape_of: Callable[[fx.Node], Shape | None], image_size: tuple[int, int]
) -> dict[str, Named]:
    """Every name of `model`, semantic names first, with the P-level that its shape gives it.

    `shape_of` answers the inferred shape of a node; `image_size` is the (height, width) in pixels behind
    those shapes. Levels of maps come from their stride, so they hold for any family.
    """
    nodes = {**model.names, **_backbone_levels(model, shape_of, image_size)}
    layouts = _layouts(model)
    names = {
        name: Named(
            name, node, layouts.get(node, "features"), level_of(shape_of(node), image_size), shape_of(node)
        )
        for name, node in nodes.items()
    }
    return dict(sorted(names.items(), key=lambda item: is_raw(item[0])))


def level_of(shape: Shape | None, image_size: tuple[int, int]) -> str | None:
    """The P-level of a map [B,C,H,W]: log2 of its stride; None for other shapes and odd strides."""
    if shape is None or len(shape) != 4 or not shape[2] or image_size[0] % shape[2]:
        return None
    stride = image_size[0] // shape[2]
    return level_name(stride) if stride & (stride - 1) == 0 else None


def is_raw(name: str) -> bool:
    """Whether a name is a module path rather than a semantic name."""
    return name.split(".")[0] not in ("backbone", "neck", "head")


def find(pattern: str, names: Iterable[str]) -> list[str]:
    """The names that `pattern` means, in their order. `*` stays within one dotted part.

    A semantic pattern that matches is not looked up among module paths. Nothing in a pattern but `*`,
    `?` and `[...]` is special.
    """
    parts = pattern.split(".")
    found = [name for name in names if _matches(name.split("."), parts)]
    semantic = [name for name in found if not is_raw(name)]
    return semantic or found


def _matches(name: list[str], pattern: list[str]) -> bool:
    return len(name) == len(pattern) and all(fnmatchcase(n, p) for n, p in zip(name, pattern, strict=True))


def _backbone_levels(
    model: TracedModel, shape_of: Callable[[fx.Node], Shape | None], image_size: tuple[int, int]
) -> dict[str, fx.Node]:
    """`backbone.p3` is the last layer of the backbone at stride 8, and so on."""
    levels: dict[str, fx.Node] = {}
    for path in model.backbone:
        node = model.names.get(path)
        level = level_of(shape_of(node), image_size) if node is not None else None
        if node is not None and level is not None:
            levels[f"backbone.{level}"] = node
    return levels


def _layouts(model: TracedModel) -> Mapping[fx.Node, Layout]:
    """What the head's outputs are; every other node holds features."""
    layouts: dict[fx.Node, Layout] = {}
    for name, node in model.names.items():
        kind = _output_kind(name)
        if kind is not None:
            layouts.setdefault(node, kind)
    return layouts


def _output_kind(name: str) -> Literal["cls", "dfl", "box"] | None:
    """`head.cls`, `head.cls.p3`, `head.o2o.cls.p3` are class logits; `head.cls.p3.0` is a hidden stage."""
    parts = [part for part in name.split(".") if part != "o2o"]
    if parts[0] != "head" or len(parts) not in (2, 3):
        return None
    kinds: tuple[Literal["cls", "dfl", "box"], ...] = ("cls", "dfl", "box")
    return next((kind for kind in kinds if parts[1] == kind), None)
