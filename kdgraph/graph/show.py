"""Graphs as rows of text, in an order that never changes; how they are set is the caller's business."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch.fx as fx
from torch import nn

from kdgraph.graph.names import Named, find, is_raw, tap_names
from kdgraph.graph.shapes import Facts, infer_facts
from kdgraph.graph.walk import last_path
from kdgraph.graph.yolo import TracedModel

__all__ = ["NodeRow", "node_rows", "stride_of"]


@dataclass(frozen=True)
class NodeRow:
    """One name of a model: where it points, and what is there.

    `shape` is without the batch, `stride` None for what is no map of the image. `params` counts the
    parameters of the module that `name` is, or of that at `path` where it is none; `flops` is what one image
    costs in it, a multiply and an add counted as two. `kind` is the type of that module, or the function that
    the node calls. `part` is `backbone`, `neck` or `head`, empty for what belongs to none of them.
    """

    name: str
    path: str
    shape: tuple[int, ...] | None
    stride: int | None
    params: int
    flops: int = 0
    kind: str = ""
    part: str = ""


def node_rows(model: TracedModel, image_size: tuple[int, int], match: str | None = None) -> list[NodeRow]:
    """Every tap name of a model, semantic names first; `match` keeps those that a spec's pattern would find.

    Shapes are without the batch, for images of `image_size` (height, width) in pixels.
    """
    facts = infer_facts(model.module, image_size, batch=_BATCH, channels=model.channels or 3)
    names = tap_names(model, lambda node: facts[node].shape, image_size)
    wanted = find(match, names) if match else names
    return list(_rows(model, {name: names[name] for name in wanted}, facts, image_size))


_BATCH = 2  # one image would make batch statistics of 1×1 maps undefined


def _rows(
    model: TracedModel,
    names: Mapping[str, Named],
    facts: Mapping[fx.Node, Facts],
    image_size: tuple[int, int],
) -> Iterator[NodeRow]:
    modules = dict(model.module.named_modules(remove_duplicate=False))
    sources = dict(model.source.named_modules(remove_duplicate=False))  # the graph's forget their types
    flops = _flops_by_path(facts)
    for name, named in names.items():
        path = _path(model, named)
        place = name if name in flops and named.raw else path
        shape = named.shape[1:] if named.shape else None
        yield NodeRow(
            name,
            path,
            shape,
            stride_of(shape, image_size),
            _params(modules.get(place)),
            flops.get(place, 0) // _BATCH,
            _kind(sources.get(place), named.node, modules),
            _part(model, name),
        )


def _path(model: TracedModel, named: Named) -> str:
    """The shortest module path of the node: `model.16` rather than `model.16.cv2.act`."""
    names = (name for name, node in model.names.items() if node is named.node)
    paths = [name for name in names if model.foreign or is_raw(name)]
    return min(paths, key=len) if paths else str(named.node.meta.get("path", named.name))


def _flops_by_path(facts: Mapping[fx.Node, Facts]) -> dict[str, int]:
    """What the nodes at and below each path cost, of one batch."""
    total: dict[str, int] = {}
    for node, known in facts.items():
        parts = str(node.meta.get("path", node.name)).split(".")
        for length in range(1, len(parts) + 1):
            path = ".".join(parts[:length])
            total[path] = total.get(path, 0) + known.flops
    return total


def stride_of(shape: tuple[int, ...] | None, image_size: tuple[int, int]) -> int | None:
    """Pixels per cell of a map [C,H,W]; None for other shapes, such as the attention of cells to cells."""
    if shape is None or len(shape) != 3 or not shape[1]:
        return None
    stride = image_size[0] // shape[1]
    cells = [{side // stride, -(-side // stride)} if stride else set() for side in image_size]
    return stride if shape[1] in cells[0] and shape[2] in cells[1] else None


def _params(module: nn.Module | None) -> int:
    return sum(p.numel() for p in module.parameters()) if module is not None else 0


def _kind(module: nn.Module | None, node: fx.Node, modules: Mapping[str, nn.Module]) -> str:
    called = module or (modules.get(str(node.target)) if node.op == "call_module" else None)
    if called is not None:
        return type(called).__name__
    if node.op == "placeholder":
        return ""
    return node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))


def _part(model: TracedModel, name: str) -> str:
    first = name.split(".")[0]
    if model.foreign or first == name:  # the images, or a text prompt
        return ""
    if not is_raw(name):
        return first
    layer = ".".join(name.split(".")[:2])
    if layer in model.backbone:
        return "backbone"
    return "head" if layer == last_path(model.source) else "neck"
