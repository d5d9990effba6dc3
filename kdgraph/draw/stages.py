"""A model as boxes at each level of detail: its lanes with their stages, the parts in them, and the wires."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch.fx as fx

from kdgraph.draw.boxes import Box, box_of_node, box_of_part, branch_order, node_key, part_key
from kdgraph.draw.grid import Column
from kdgraph.draw.insides import Inside, inside_of
from kdgraph.draw.lanes import Lane, lanes_of, place_of_level
from kdgraph.draw.numbers import sized
from kdgraph.draw.parts import Part, carries
from kdgraph.draw.routes import Wire
from kdgraph.draw.scene import Subject
from kdgraph.graph.names import is_raw

__all__ = ["Model", "model_of"]


@dataclass(frozen=True)
class Model:
    """The boxes of one model, its columns by detail (`stages`, `layers`), its wires, and what is pruned."""

    subject: Subject
    boxes: Mapping[str, Box] = field(repr=False)
    columns: Mapping[str, tuple[Column, ...]] = field(repr=False)
    wires: Mapping[str, tuple[Wire, ...]] = field(repr=False)
    insides: Mapping[str, Inside] = field(repr=False)
    pruned: frozenset[str]
    holders: Mapping[fx.Node, tuple[str, ...]] = field(repr=False)
    """For each node the boxes that hold it: its own, its part's, its stage's."""


def model_of(subject: Subject, tapped: Collection[fx.Node]) -> Model:
    """A model in boxes; repeated blocks are drawn once, unless that would hide a tapped node."""
    anatomy, role = subject.anatomy, subject.role
    lanes = lanes_of(anatomy.parts)
    stages = {part.path: _stage_key(role, i, part) for i, lane in enumerate(lanes) for part in lane.parts}
    boxes = {part_key(role, p): box_of_part(anatomy, role, p, stages[p.path]) for p in anatomy.parts}
    for i, lane in enumerate(lanes):
        boxes.update(_stage_boxes(role, i, lane, boxes))
    insides = {}
    named = {each.node for each in anatomy.names.values() if not each.raw}
    for part in anatomy.parts:
        nodes = {node: box_of_node(anatomy, role, node, part) for node in part.nodes}
        if len(part.nodes) > 1:
            widths = {node: _width(box) for node, box in nodes.items()}
            inside = insides[part_key(role, part)] = inside_of(anatomy, part, widths, {*tapped, *named})
            boxes.update((box.key, box) for node, box in nodes.items() if node in inside.nodes)
    columns = {
        "layers": tuple(_column(role, lane, boxes) for lane in lanes),
        "stages": tuple(_stage_column(role, i, lane) for i, lane in enumerate(lanes)),
    }
    wires = tuple(dict.fromkeys(_wires(subject)))
    return Model(
        subject, boxes, columns, {"layers": wires, "stages": _between(wires, boxes)},
        insides, frozenset(_pruned(subject, stages)), _holders(subject, boxes, stages),
    )  # fmt: skip


def _stage_key(role: str, lane: int, part: Part) -> str:
    return f"{role}:stage.{lane}.{part.level or 'all'}"


def _stage_boxes(role: str, number: int, lane: Lane, boxes: Mapping[str, Box]) -> Iterator[tuple[str, Box]]:
    """One box for each level of a lane."""
    members: dict[str, list[Part]] = {}
    for part in lane.parts:
        members.setdefault(_stage_key(role, number, part), []).append(part)
    for key, parts in members.items():
        inside = [boxes[part_key(role, part)] for part in _ordered(lane, parts, boxes, role)]
        yield key, _stage(key, lane, inside, boxes[part_key(role, parts[-1])])


def _stage(key: str, lane: Lane, inside: Sequence[Box], last: Box) -> Box:
    """A stage: what its boxes are together. Its value is that of the last; a head's has one a branch."""
    names = [box.names[0] for box in inside if box.names and not is_raw(box.names[0])]
    one = lane.kind != "head" or len(inside) == 1
    level = last.level.upper() if last.level else "all levels"
    return Box(
        key,
        last.role,
        last.kind,
        last.title if last.kind == "input" else f"{lane.kind} {level}{lane.way}",
        ", ".join(box.title for box in inside),
        "",
        tuple(names) or last.names[:1],
        last.layout if one else inside[0].layout,
        last.level,
        last.shape if one else None,
        last.stride,
        sum(box.params for box in inside),
        sum(box.flops for box in inside),
        sum(box.nodes for box in inside),
    )


def _column(role: str, lane: Lane, boxes: Mapping[str, Box]) -> Column:
    cells: dict[int, list[str]] = {}
    for part in _ordered(lane, lane.parts, boxes, role):
        cells.setdefault(place_of_level(part.level), []).append(part_key(role, part))
    return Column(lane.title, role, cells, 10 if lane.kind == "head" else 22)


def _stage_column(role: str, number: int, lane: Lane) -> Column:
    cells = {place_of_level(part.level): [_stage_key(role, number, part)] for part in lane.parts}
    return Column(lane.title, role, cells)


def _ordered(lane: Lane, parts: Sequence[Part], boxes: Mapping[str, Box], role: str) -> list[Part]:
    """From above: as it is computed, from below in a lane that goes upwards, the head's branches by name."""
    if lane.kind == "head":
        return sorted(parts, key=lambda part: branch_order(boxes[part_key(role, part)]))
    return list(reversed(parts)) if lane.upwards else list(parts)


def _wires(subject: Subject) -> Iterator[Wire]:
    """What reads what among the parts; sizes that are read off a tensor are no wires."""
    anatomy, role = subject.anatomy, subject.role
    home = {node: part for part in anatomy.parts for node in part.nodes}
    for node, part in home.items():
        for source in node.all_input_nodes:
            if home[source] is part or not (carries(anatomy.facts, source) and carries(anatomy.facts, node)):
                continue
            joined = part.path.startswith("head.")  # wires that end in one box run together
            net = f"{role}:>{part.path}" if joined else f"{role}:{home[source].path}"
            yield Wire(part_key(role, home[source]), part_key(role, part), net)


def _between(wires: Collection[Wire], boxes: Mapping[str, Box]) -> tuple[Wire, ...]:
    """The wires between stages."""
    ends = ((boxes[wire.source].parent or "", boxes[wire.target].parent or "") for wire in wires)
    return tuple(Wire(source, target, source) for source, target in dict.fromkeys(ends) if source != target)


def _pruned(subject: Subject, stages: Mapping[str, str]) -> Iterator[str]:
    """Boxes of which nothing was kept but sizes that are read off a tensor."""
    if subject.left is None:
        return
    role, alive = subject.role, set[str]()
    for part in subject.anatomy.parts:
        values = [node for node in part.nodes if carries(subject.anatomy.facts, node)]
        if any(node in subject.left for node in values or part.nodes):
            alive.add(stages[part.path])
        else:
            yield part_key(role, part)
        yield from (node_key(role, node) for node in part.nodes if node not in subject.left)
    yield from set(stages.values()) - alive


def _holders(
    subject: Subject, boxes: Mapping[str, Box], stages: Mapping[str, str]
) -> dict[fx.Node, tuple[str, ...]]:
    role = subject.role
    return {
        node: tuple(
            key for key in (node_key(role, node), part_key(role, part), stages[part.path]) if key in boxes
        )
        for part in subject.anatomy.parts
        for node in part.nodes
    }


def _width(box: Box) -> float:
    """Wide enough for what a node's box says, in points."""
    return max(92.0, 6.9 * len(box.title) + 18, 5.9 * (len(box.type) + len(sized(box.shape)) + 3) + 18)
