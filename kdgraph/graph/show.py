"""Graphs as rows of text, in an order that never changes; how they are set is the caller's business."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from kdgraph.graph.names import Named, find, is_raw, tap_names
from kdgraph.graph.shapes import infer_facts
from kdgraph.graph.yolo import TracedModel

__all__ = ["NodeRow", "node_rows"]


@dataclass(frozen=True)
class NodeRow:
    """One name of a model: where it points, and what is there. `params` counts the module's parameters."""

    name: str
    path: str
    shape: tuple[int, ...] | None
    stride: int | None
    params: int


def node_rows(model: TracedModel, image_size: tuple[int, int], match: str | None = None) -> list[NodeRow]:
    """Every tap name of a model, semantic names first; `match` keeps those that a spec's pattern would find.

    Shapes are without the batch, for images of `image_size` (height, width) in pixels.
    """
    facts = infer_facts(model.module, image_size, channels=model.channels or 3)
    names = tap_names(model, lambda node: facts[node].shape, image_size)
    wanted = set(find(match, names)) if match else set(names)
    return list(_rows(model, {name: named for name, named in names.items() if name in wanted}, image_size))


def _rows(model: TracedModel, names: dict[str, Named], image_size: tuple[int, int]) -> Iterator[NodeRow]:
    modules = dict(model.module.named_modules(remove_duplicate=False))
    for name, named in names.items():
        path = _path(model, named)
        shape = named.shape[1:] if named.shape else None
        stride = image_size[0] // shape[1] if shape and len(shape) == 3 and shape[1] else None
        yield NodeRow(name, path, shape, stride, _params(modules.get(path)))


def _path(model: TracedModel, named: Named) -> str:
    """The shortest module path of the node: `model.16` rather than `model.16.cv2.act`."""
    names = (name for name, node in model.names.items() if node is named.node)
    paths = [name for name in names if model.foreign or is_raw(name)]
    return min(paths, key=len) if paths else str(named.node.meta.get("path", named.name))


def _params(module: nn.Module | None) -> int:
    return sum(p.numel() for p in module.parameters()) if module is not None else 0
