"""Small scenes written by hand, for tests of the page that need no model."""

from __future__ import annotations

from typing import Any

LEVELS = ("p3", "p4")
STRIDES = {"p3": 8, "p4": 16}
HEADS = {"neck": "features", "cls": "cls"}


def scene(nodes: int = 5, roles: tuple[str, ...] = ("student", "teacher")) -> dict[str, Any]:
    """Layers `neck` and `cls` on two levels for each role, each with `nodes` nodes; an edge on neck.p3."""
    made: dict[str, Any] = {
        "title": "big.yaml → small.yaml",
        "subtitle": "specs/one.yaml",
        "kind": "spec" if len(roles) > 1 else "model",
        "detail": "layers",
        "models": [_model(role) for role in roles],
        "boxes": {},
        "views": {name: _view(roles) for name in ("stages", "layers")},
        "insides": {},
        "terms": {},
        "legend": [{"criterion": "cwd", "colour": 0}],
        "pairs": [],
        "notes": ["Written by hand."],
        "criteria": {"features": "{cwd: {norm: batch}}", "cls": "qfl"},
    }
    for i, role in enumerate(roles):
        _add_model(made, role, i, nodes)
    if len(roles) > 1:
        _add_edge(made)
    return made


def _model(role: str) -> dict[str, Any]:
    size = {"params": 2_500_000, "flops": 6_500_000_000, "nodes": 40}
    return {"role": role, "name": f"{role}.yaml", "task": "detect", "imgsz": [640, 640], "kept": None, **size}


def _view(roles: tuple[str, ...]) -> dict[str, Any]:
    bands = [
        {"label": level.upper(), "stride": STRIDES[level], "y": 200 * i, "h": 200}
        for i, level in enumerate(LEVELS)
    ]
    lanes = [{"role": role, "label": "neck", "x": 20 + 700 * i, "w": 400} for i, role in enumerate(roles)]
    empty: dict[str, Any] = {"boxes": [], "wires": [], "marks": [], "edges": []}
    return {"width": 700 * len(roles), "height": 400, "bands": bands, "lanes": lanes, **empty}


def _add_model(made: dict[str, Any], role: str, i: int, nodes: int) -> None:
    width = 64 if role == "student" else 256
    for row, level in enumerate(LEVELS):
        for column, (name, layout) in enumerate(HEADS.items()):
            key, stage = f"{role}:model.{name}.{level}", f"{role}:stage.{name}.{level}"
            shape = [width if layout == "features" else 80, 640 // STRIDES[level], 640 // STRIDES[level]]
            box = _box(role, f"{name}.{level}", f"model.{name}.{level}", layout, level, shape)
            made["boxes"][stage] = {**box, "title": f"stage {name} {level}", "path": f"stage.{name}.{level}"}
            made["boxes"][key] = {**box, "nodes": nodes, "parent": stage}
            place = {"x": 120 + 700 * i + 220 * column, "y": 100 + 200 * row, "w": 156, "h": 66}
            made["views"]["layers"]["boxes"].append({"key": key, **place})
            made["views"]["stages"]["boxes"].append({"key": stage, **place})
            made["insides"][key] = _inside(made, role, key, nodes, box)
        _add_wire(made, role, level, 120 + 700 * i, 100 + 200 * row)


def _box(role: str, name: str, path: str, layout: str, level: str, shape: list[int]) -> dict[str, Any]:
    return {
        "role": role,
        "part": "neck" if layout == "features" else "head",
        "title": f"16 {name}",
        "type": "C3k2",
        "path": path,
        "names": [name, path],
        "layout": layout,
        "level": level,
        "shape": shape,
        "stride": STRIDES[level],
        "params": 32_096,
        "flops": 406_000_000,
        "repeats": 1,
        "nodes": 1,
        "pruned": False,
        "terms": [],
        "parent": None,
    }


def _inside(made: dict[str, Any], role: str, key: str, nodes: int, layer: dict[str, Any]) -> dict[str, Any]:
    placed = []
    for n in range(nodes):
        path = f"{layer['path']}.a_rather_long_block_name.{n}.attention.projection.conv"
        node = {**layer, "title": path, "type": "Conv2d", "path": path, "names": [path], "parent": key}
        made["boxes"][f"{role}:node:{path}"] = node
        placed.append(
            {
                "key": f"{role}:node:{path}",
                "x": 90 + 180 * (n % 8),
                "y": 30 + 60 * (n // 8),
                "w": 150,
                "h": 36,
            }
        )
    wires = [_wire(a, b) for a, b in zip(placed, placed[8:], strict=False)]
    columns, rows = min(nodes, 8), -(-nodes // 8)
    return {"width": 180 * columns, "height": 60 * rows, "boxes": placed, "wires": wires, "frames": []}


def _wire(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    y, end = a["y"] + 18, b["y"] - 18
    return {
        "from": a["key"],
        "to": b["key"],
        "points": [[a["x"], y], [a["x"], y + 8], [b["x"], end - 8], [b["x"], end]],
    }


def _add_wire(made: dict[str, Any], role: str, level: str, x: float, y: float) -> None:
    """From the neck to the classes beside it, and from neck.p3 down to neck.p4."""
    keys = [f"{role}:model.{name}.{level}" for name in HEADS]
    across = {"from": keys[0], "to": keys[1], "points": [[x + 78, y], [x + 142, y]], "pruned": False}
    wires = made["views"]["layers"]["wires"]
    wires.append(across)
    if level == "p3":
        down = {
            "from": keys[0],
            "to": f"{role}:model.neck.p4",
            "points": [[x, y + 33], [x, y + 167]],
            "pruned": False,
        }
        wires.append(down)


def _add_edge(made: dict[str, Any]) -> None:
    teacher = made["models"][1]["role"]
    taps = [f"{role}:model.neck.p3" for role in ("student", teacher)]
    made["terms"]["neck.p3"] = {
        "edge": "neck",
        "name": "neck.p3",
        "criterion": "cwd",
        "options": "norm: batch",
        "weight": "0.4",
        "mask": "foreground",
        "adapter": "conv1x1 64 → 256",
        "adapter_params": 16_640,
        "adapter_flops": 106_496_000,
        "level": "p3",
        "taps": ["neck.p3", "neck.p3"],
        "boxes": taps,
        "colour": 0,
    }
    for tap in taps:
        made["boxes"][tap]["terms"] = ["neck.p3"]
    view = made["views"]["layers"]
    view["marks"].append({"term": "neck.p3", "x": 580, "y": 30, "w": 150, "h": 50})
    view["edges"] += [
        {"term": "neck.p3", "side": "student", "points": [[120, 67], [120, 30], [505, 30]]},
        {"term": "neck.p3", "side": teacher, "points": [[820, 67], [820, 30], [655, 30]]},
    ]
