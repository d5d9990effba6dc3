"""Tap names: what a spec may write for the nodes of a model, and how patterns find them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch.fx as fx

from kdgraph.graph.heads import level_name
from kdgraph.graph.yolo import TracedModel
from kdgraph.spec.components import Layout

__all__ = ["Named", "find", "is_raw", "level_of", "tap_names"]

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Named:
    """One tap of one model: its name as written or found, its node, and what the node's value is.

    `raw`: the name is a module path, not a semantic name.
    """

    name: str
    node: fx.Node
    layout: Layout
    level: str | None
    shape: Shape | None
    raw: bool = False


def tap_names(
    model: TracedModel, shape_of: Callable[[fx.Node], Shape | None], image_size: tuple[int, int]
) -> dict[str, Named]:
    """Every name of `model`, semantic names first, with the P-level that its shape gives it.

    `shape_of` answers the inferred shape of a node; `image_size` is the (height, width) in pixels behind
    those shapes. Levels of maps come from their stride, so they hold for any family.
    """
    nodes = dict(model.names)
    for part, layers in (("neck", model.neck), ("backbone", model.backbone)):
        nodes.update(_levels(part, layers, model, shape_of, image_size))
    layouts = {} if model.foreign else _layouts(model)
    names = {
        name: Named(
            name,
            node,
            layouts.get(node, "features"),
            level_of(shape_of(node), image_size),
            shape_of(node),
            model.foreign or is_raw(name),
        )
        for name, node in nodes.items()
    }
    return dict(sorted(names.items(), key=lambda item: item[1].raw))


def level_of(shape: Shape | None, image_size: tuple[int, int]) -> str | None:
    """The P-level of a map [B,C,H,W]: log2 of its stride; None for other shapes and odd strides."""
    if shape is None or len(shape) != 4 or not shape[2] or image_size[0] % shape[2]:
        return None
    stride = image_size[0] // shape[2]
    widths = (image_size[1] // stride, -(-image_size[1] // stride))
    return level_name(stride) if stride & (stride - 1) == 0 and shape[3] in widths else None


def is_raw(name: str) -> bool:
    """Whether a name or pattern means module paths of an Ultralytics model rather than semantic names."""
    return name.split(".")[0] not in ("backbone", "neck", "head")


def find(pattern: str, names: Mapping[str, Named]) -> list[str]:
    """The names that `pattern` means, in their order. `*` stays within one dotted part.

    A semantic pattern that matches is not looked up among module paths. Nothing in a pattern but `*`,
    `?` and `[...]` is special.
    """
    parts = pattern.split(".")
    found = [name for name in names if _matches(name.split("."), parts)]
    semantic = [name for name in found if not names[name].raw]
    return semantic or found


def _matches(name: list[str], pattern: list[str]) -> bool:
    return len(name) == len(pattern) and all(fnmatchcase(n, p) for n, p in zip(name, pattern, strict=True))


def _levels(
    part: str,
    layers: Iterable[str],
    model: TracedModel,
    shape_of: Callable[[fx.Node], Shape | None],
    image_size: tuple[int, int],
) -> dict[str, fx.Node]:
    """`backbone.p3` is the last layer of the backbone at stride 8, and so on."""
    levels: dict[str, fx.Node] = {}
    for path in layers:
        node = model.names.get(path)
        level = level_of(shape_of(node), image_size) if node is not None else None
        if node is not None and level is not None:
            levels[f"{part}.{level}"] = node
    return levels


def _layouts(model: TracedModel) -> Mapping[fx.Node, Layout]:
    """What the head's outputs are; every other node holds features."""
    layouts: dict[fx.Node, Layout] = {}
    for name, node in model.names.items():
        kind = _output_kind(name)
        if kind is not None:
            layouts.setdefault(node, kind)
    return layouts


def _output_kind(name: str) -> Layout | None:
    """`head.cls`, `head.cls.p3`, `head.o2o.cls.p3` are class logits; `head.cls.p3.0` is a hidden stage."""
    parts = [part for part in name.split(".") if part != "o2o"]
    if parts[0] != "head" or len(parts) not in (2, 3):
        return None
    kinds: tuple[Layout, ...] = ("cls", "dfl", "box", "mask", "kpt", "angle")
    return next((kind for kind in kinds if parts[1] == kind), None)
