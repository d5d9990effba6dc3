"""Where two heads can be compared: the levels, classes, bins and cells that they have in common.

Everything is brought to the student: its cells, its strides, its bins and its numbers of the classes. Where
both heads are alike, nothing is inserted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from math import prod
from typing import Any

from kdgraph.compiler.classes import Classes, classes_in_common
from kdgraph.graph.ir import Align, DistillGraph, Op, Role, Tap, op_key
from kdgraph.graph.yolo import Head, level_name
from kdgraph.spec.components import Layout

__all__ = ["Frame", "before", "frame_of", "shape_of"]

Shape = tuple[int, ...]

_KINDS: Mapping[Layout, str] = {"dfl": "log", "angle": "angle"}
"""How what is between two cells is found; all else is interpolated as it is."""


def shape_of(graph: DistillGraph, key: str) -> Shape | None:
    """The shape of what an operation, a tap or an alignment gives."""
    vertex = graph[key]
    if isinstance(vertex, Tap):
        return graph.tapped(key).facts.shape
    if isinstance(vertex, Op):
        return vertex.facts.shape
    return vertex.shape if isinstance(vertex, Align) else None


def before(graph: DistillGraph, align: str) -> str:
    """What an alignment reads; an average the first of what it is of."""
    return graph.source(align, "values") or graph.sources(align, "several")[0]


def frame_of(graph: DistillGraph, teachers: Sequence[Role]) -> Frame:
    """The frame in which the student is compared with these teachers."""
    heads = [head for role in ("student", *teachers) if (head := graph.models[role].head) is not None]
    strides = [
        stride for stride in (heads[0].strides if heads else ()) if all(stride in h.strides for h in heads)
    ]
    return Frame(graph, tuple(teachers), tuple(strides), classes_in_common(graph, teachers))


@dataclass(frozen=True)
class Frame:
    """The common ground of a student and one teacher, or several whose average teaches.

    `strides` of the levels in common, in pixels, finest first; `classes` in common, None where a model has
    none.
    """

    graph: DistillGraph
    teachers: tuple[Role, ...]
    strides: tuple[int, ...]
    classes: Classes | None

    @property
    def levels(self) -> tuple[str, ...]:
        return tuple(level_name(stride) for stride in self.strides)

    @property
    def apart(self) -> bool:
        """Whether there are heads of which no level is the same."""
        return not self.strides and any(self.graph.models[r].head for r in ("student", *self.teachers))

    def maps(self, levels: Sequence[str] | None = None) -> list[str]:
        """Maps whose sizes are those of the levels: class logits of the student, else of a teacher's head."""
        roles = [role for role in ("student", *self.teachers) if self.graph.models[role].head is not None]
        names = self.graph.models[roles[0]].names if roles else {}
        return [op_key(roles[0], names[f"head.cls.{level}"]) for level in levels or self.levels if roles]

    def cells(self, level: str | None) -> Shape | None:
        """(H, W) of a level, or (A,) of the anchors of all."""
        shapes = [shape_of(self.graph, key) for key in self.maps([level] if level else None)]
        if not shapes or None in shapes:
            return None
        sizes = [shape[2:] for shape in shapes if shape]
        return sizes[0] if level else (sum(map(prod, sizes)),)

    def bring(self, role: Role, value: str, layout: Layout, level: str | None, name: str) -> str:
        """The key of `value`, a tensor of the model `role` in a `layout`, where it can be compared.

        `level` is None for what lies along the anchor axis. `name` is what alignments are called by.
        """
        if layout == "cls":
            value = self._with_classes(role, value, name)
        if role != "student":
            value = self._in_strides(role, value, layout, name)
        return self._in_cells(role, value, layout, level, name)

    def average(self, values: Sequence[str], layout: Layout, name: str) -> str:
        """One value of those of several teachers."""
        if len(values) == 1:
            return values[0]
        shapes = {shape_of(self.graph, value) for value in values}
        shape = shapes.pop() if len(shapes) == 1 else None
        return self._add(
            "averaged", shape, name, {"kind": "angle" if layout == "angle" else "linear"}, several=values
        )

    def _with_classes(self, role: Role, value: str, name: str) -> str:
        shape = shape_of(self.graph, value)
        groups = self.classes.groups(role) if self.classes else ()
        if not shape or not groups or groups == tuple((number,) for number in range(shape[1])):
            return value
        shape = (shape[0], len(groups), *shape[2:])
        return self._add("classes", shape, name, {"groups": groups}, values=[value])

    def _in_strides(self, role: Role, value: str, layout: Layout, name: str) -> str:
        """Distances in the student's strides, distributions over its bins."""
        scale, shape = 1 / self.graph.views[role].scale, shape_of(self.graph, value)
        ours, theirs = self.graph.models["student"].head, self.graph.models[role].head
        if layout == "dfl" and shape and ours and theirs and ours.reg_max > 1:
            if (ours.reg_max, 1.0) == (theirs.reg_max, scale):
                return value
            bins = {"source": theirs.reg_max, "target": ours.reg_max, "scale": scale}
            shape = (shape[0], 4 * ours.reg_max, *shape[2:])
            return self._add("rebinned", shape, name, bins, values=[value])
        if scale == 1 or layout not in ("box", "kpt"):
            return value
        if layout == "box":
            return self._add("scaled", shape, name, {"scale": scale}, values=[value])
        numbers = {"ndim": theirs.keypoints[1] if theirs and theirs.keypoints else 2, "scale": scale}
        return self._add("scaled_keypoints", shape, name, numbers, values=[value])

    def _in_cells(self, role: Role, value: str, layout: Layout, level: str | None, name: str) -> str:
        head, shape = self.graph.models[role].head, shape_of(self.graph, value)
        resized = self._resized(role)
        kind = _KINDS.get(layout, "linear")
        if level is not None or layout == "features":
            target = self.maps([level])[0] if level in self.levels else ""
            size = shape_of(self.graph, target) if resized and target else None
            if not size or not shape or len(shape) != 4:
                return value
            return self._add(
                "regridded", (*shape[:2], *size[2:]), name, {"kind": kind}, values=[value], target=[target]
            )
        if head is None or (head.strides == self.strides and not resized):
            return value
        return self._gathered(role, value, head, kind, name, resized)

    def _resized(self, role: Role) -> bool:
        """Whether a model's cells are not, or with another batch may not be, those of the student."""
        view, ours = self.graph.views[role], self.graph.views["student"]
        return view.size != ours.size or view.stride > ours.stride

    def _gathered(self, role: Role, value: str, head: Head, kind: str, name: str, resized: bool) -> str:
        """The anchors of the levels in common, in the student's cells."""
        shape, cells = shape_of(self.graph, value), self.cells(None)
        options = {"indices": tuple(head.strides.index(stride) for stride in self.strides), "kind": kind}
        like = {"like": self.maps()} if resized else {}
        size = (*shape[:2], *cells) if shape and cells else None
        return self._add("gathered", size, name, options, values=[value], maps=self._own_maps(role), **like)

    def _own_maps(self, role: Role) -> list[str]:
        """Maps of all levels of one model: what its head reads, which is there whatever is pruned."""
        model = self.graph.models[role]
        return [op_key(role, model.names[path]) for path in model.neck]

    def _add(
        self,
        kind: str,
        shape: Shape | None,
        name: str,
        options: dict[str, Any] | None = None,
        **ports: Sequence[str],
    ) -> str:
        keys = (f"align:{name}.{number}" for number in count(1))
        key = next(key for key in keys if key not in self.graph)
        self.graph.add(key, Align(name, kind, tuple((options or {}).items()), shape))
        for port, sources in ports.items():
            for source in sources:
                self.graph.connect(source, key, port)
        return key
