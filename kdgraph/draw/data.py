"""A scene as plain data, for the interactive page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch.fx as fx

from kdgraph.draw.boxes import Box, node_key, part_key
from kdgraph.draw.compose import label_of
from kdgraph.draw.grid import Rect
from kdgraph.draw.insides import NODE_HEIGHT, Inside
from kdgraph.draw.lanes import band_name, band_stride
from kdgraph.draw.routes import Point
from kdgraph.draw.scene import MIDDLE, Detail, Pair, Scene, Subject, View
from kdgraph.draw.terms import Mark

__all__ = ["SUGGESTED", "scene_data"]

SUGGESTED = {
    "features": "{cwd: {norm: batch}}",
    "cls": "qfl",
    "dfl": "kl",
    "box": "iou",
    "mask": "masks",
    "kpt": "keypoints",
    "angle": "angle",
}
"""The criterion that an edge starts with, by what its taps are: those of `edges: default`."""


def scene_data(scene: Scene, detail: Detail) -> dict[str, Any]:
    """What the page reads; lengths are in points, and rounded."""
    alike = {key: paths for role, inside in _insides(scene) for key, paths in _alike(role, inside)}
    return {
        "title": scene.title,
        "subtitle": scene.subtitle,
        "kind": scene.kind,
        "detail": detail,
        "models": [_model(subject) for subject in scene.subjects],
        "boxes": {key: {**_box(scene, box), "alike": alike.get(key, ())} for key, box in scene.boxes.items()},
        "views": {name: _view(scene, scene.views[name]) for name in ("stages", "layers")},
        "insides": {key: _inside(scene, key, inside) for key, inside in scene.insides.items()},
        "terms": {mark.name: _term(scene, mark) for mark in scene.marks},
        "legend": [{"criterion": name, "colour": i} for i, name in enumerate(scene.criteria)],
        "pairs": [
            {
                "name": pair.name,
                "student": pair.boxes[0],
                "teacher": pair.boxes[1],
                "level": pair.level,
                "stride": pair.stride,
                "channels": pair.channels,
                "taps": pair.taps,
            }
            for pair in scene.pairs
        ],
        "notes": scene.notes,
        "criteria": SUGGESTED,
    }


def _insides(scene: Scene) -> Iterator[tuple[str, Inside]]:
    """Each inside, and the role of its model."""
    for key, inside in scene.insides.items():
        yield scene.boxes[key].role, inside


def _alike(role: str, inside: Inside) -> Iterator[tuple[str, list[str]]]:
    """The paths of the nodes of repeated blocks that a box stands for."""
    for node, others in inside.alike.items():
        yield node_key(role, node), [str(other.meta.get("path", other.name)) for other in others]


def _model(subject: Subject) -> dict[str, Any]:
    facts = subject.anatomy.facts.values()
    params, flops, nodes = subject.size or (0, 0, 0)
    return {
        "role": subject.role,
        "name": subject.name,
        "task": subject.anatomy.model.task,
        "imgsz": subject.anatomy.image_size,
        "params": sum(fact.params for fact in facts),
        "flops": sum(fact.flops for fact in facts),
        "nodes": len(facts),
        "kept": {"params": params, "flops": flops, "nodes": nodes} if subject.size else None,
    }


def _box(scene: Scene, box: Box) -> dict[str, Any]:
    return {
        "role": box.role,
        "part": box.kind,
        "title": box.title,
        "type": box.type,
        "path": box.path,
        "names": box.names,
        "layout": box.layout,
        "level": box.level,
        "shape": box.shape,
        "stride": box.stride,
        "params": box.params,
        "flops": box.flops,
        "nodes": box.nodes,
        "pruned": box.key in scene.pruned,
        "terms": scene.tapped.get(box.key, ()),
        "parent": box.parent,
    }


def _term(scene: Scene, mark: Mark) -> dict[str, Any]:
    return {
        "edge": mark.edge,
        "name": mark.name,
        "criterion": mark.criterion,
        "options": mark.options,
        "title": mark.title,
        "weight": mark.weight,
        "span": mark.span,
        "mask": mark.mask,
        "adapter": mark.adapter,
        "adapter_params": mark.adapter_params,
        "adapter_flops": mark.adapter_flops,
        "level": mark.level,
        "taps": [tap.name for tap in mark.taps],
        "sides": [tap.side for tap in mark.taps],
        "boxes": [_shown(scene, tap.role, tap.node) for tap in mark.taps],
        "colour": scene.colour(mark),
    }


def _shown(scene: Scene, role: str, node: fx.Node) -> str:
    """The innermost box that holds a node: its own, or that of a part without an inside."""
    own = node_key(role, node)
    subject = next(each for each in scene.subjects if each.role == role)
    part = subject.anatomy.part_of(node)
    return own if own in scene.boxes or part is None else part_key(role, part)


def _view(scene: Scene, view: View) -> dict[str, Any]:
    between: list[Mark | Pair] = [*scene.marks, *scene.pairs]
    labels = [(label_of(each), each.name) for each in between]
    boxes = view.plane.boxes
    lanes = [
        {"role": column.role, "label": column.title, "x": round(left), "w": round(right - left)}
        for column, (left, right) in zip(view.columns, view.plane.columns, strict=True)
        if column.role != MIDDLE
    ]
    return {
        "width": round(view.plane.width),
        "height": round(view.height),
        "bands": [
            {"label": band_name(b.row), "stride": band_stride(b.row), "y": round(b.y), "h": round(b.h)}
            for b in view.bands
        ],
        "lanes": lanes,
        "boxes": [{"key": key, **_rect(rect)} for key, rect in boxes.items() if key in scene.boxes],
        "wires": [
            {
                "from": wire.source,
                "to": wire.target,
                "points": _points(points),
                "pruned": wire.source in scene.pruned or wire.target in scene.pruned,
            }
            for wire, points in view.plane.wires.items()
        ],
        "marks": [{"term": name, **_rect(boxes[key])} for key, name in labels],
        "edges": [
            {"term": link.mark.removeprefix("mark:"), "side": link.side, "points": _points(link.points)}
            for link in view.links
        ],
    }


def _inside(scene: Scene, key: str, inside: Inside) -> dict[str, Any]:
    role = key.split(":", 1)[0]
    return {
        "width": round(inside.width),
        "height": round(inside.height),
        "boxes": [
            {
                "key": node_key(role, node),
                "x": round(x, 1),
                "y": round(y, 1),
                "w": round(w),
                "h": NODE_HEIGHT,
            }
            for node, ((x, y), w) in inside.nodes.items()
        ],
        "wires": [
            {"from": node_key(role, a), "to": node_key(role, b), "points": _points(points)}
            for a, b, points in inside.wires
        ],
        "frames": [
            {"x": round(f.x), "y": round(f.y), "w": round(f.w), "h": round(f.h), "label": f"×{f.count}"}
            for f in inside.frames
        ],
    }


def _rect(rect: Rect) -> dict[str, float]:
    return {"x": round(rect.x, 1), "y": round(rect.y, 1), "w": round(rect.w, 1), "h": round(rect.h, 1)}


def _points(points: Iterable[Point]) -> list[list[float]]:
    return [[round(x, 1), round(y, 1)] for x, y in points]
