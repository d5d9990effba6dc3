"""What a criterion or a mask reads besides the two taps, as vertices of the graph.

`kdgraph.spec.components.base.Signal` lists the signals. Whatever several edges read is built several times
here and merged later (merge_taps): one assignment per model and batch, however many edges ask for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
from typing import Any, Literal

from kdgraph.compiler.taps import Unresolved
from kdgraph.errors import Diagnostic
from kdgraph.graph.ir import DistillGraph, Input, Op, Role, Signal, Term, op_key
from kdgraph.graph.yolo import Head
from kdgraph.spec.plugins import find
from kdgraph.spec.schema import Component

__all__ = ["LABELS", "Site", "connect_signals", "labelled"]

LABELS = ("batch_idx", "cls", "bboxes")
"""The parts of an Ultralytics batch that `objects` are."""

Cells = tuple[int, ...]

_AT_HEADS = frozenset(
    {"student_cls", "teacher_cls", "teacher_branches", "student_box", "teacher_box", "target"}
)
"""Signals that only a head's levels have; the others have the cells of any map."""


@dataclass(frozen=True)
class Site:
    """The cells at which a term wants its signals, and whose assignment it goes by.

    `anchors`: along the anchor axis of the whole head, [B,C,A]; else at the level of the term, [B,C,H,W].
    Methods add what they need to the graph. They raise Unresolved (KD203) where a model has no head, or the
    head no such level; `part` and `component` are what the signals are for: the edge's mask or criterion.
    """

    graph: DistillGraph
    term: str
    anchors: bool
    part: Literal["mask", "criterion"]
    component: Component
    of: Role
    topk: int

    @property
    def name(self) -> str:
        return self.component.name

    @property
    def vertex(self) -> Term:
        vertex = self.graph[self.term]
        assert isinstance(vertex, Term)
        return vertex

    def whole(self) -> Site:
        """The same along the anchor axis."""
        return replace(self, anchors=True)

    def head(self, role: Role) -> Head:
        head = self.graph.models[role].head
        if head is None:
            raise self.misfit(f"needs a detection head, which the {role} does not have")
        return head

    def level(self, role: Role) -> str:
        level, levels = self.vertex.level, self.head(role).levels
        if level not in levels:
            at = f"a tap at {level}" if level else "a tap that is no level"
            raise self.misfit(f"is given for {', '.join(levels)}, and this edge has {at}")
        return level

    def output(self, role: Role, name: str) -> str:
        """The key of an output of the head: `head.cls` of all anchors, or `head.cls.p3` of the level."""
        full = name if self.anchors else f"{name}.{self.level(role)}"
        self.head(role)
        return op_key(role, self.graph.models[role].names[full])

    def levels(self, role: Role) -> list[str]:
        """The class logits of each level of the head: maps of its sizes."""
        names = self.graph.models[role].names
        return [op_key(role, names[f"head.cls.{level}"]) for level in self.head(role).levels]

    def cells(self, role: Role) -> Cells | None:
        op = self.graph[self.output(role, "head.cls")]
        return op.facts.shape[2:] if isinstance(op, Op) and op.facts.shape else None

    def owner(self, reads: Sequence[str]) -> Role:
        """Whose levels and strides a mask goes by: those of its assignment, else the teacher's."""
        return self.of if "target" in reads else "teacher"

    def mask_cells(self, reads: Sequence[str]) -> Cells | None:
        if self.anchors or set(reads) & _AT_HEADS:
            return self.cells(self.owner(reads))
        shape = self.graph.tapped(self.graph.source(self.term, "teacher") or "").facts.shape
        return shape[2:] if shape else None

    def add(self, kind: str, cells: Cells | None, role: Role | None = None, **options: Any) -> str:
        """A signal vertex, yet without inputs."""
        term = self.vertex.name
        signal = Signal(f"{kind}_{term}", kind, tuple(sorted(options.items())), cells, role)
        keys = chain([f"{kind}:{term}"], (f"{kind}:{term}:{number}" for number in count(2)))
        return self.graph.add(next(key for key in keys if key not in self.graph), signal)

    def misfit(self, what: str) -> Unresolved:
        edge = self.vertex.edge
        span = edge.span(self.part) or edge.span("criterion")
        mend = "use `mask: all`" if self.part == "mask" else "use a criterion that needs no head"
        message = f"edge '{edge.name}': {self.part} '{self.name}' {what}"
        return Unresolved(Diagnostic("KD203", message, span, f"{mend}, or tap levels that the head has"))


def connect_signals(graph: DistillGraph, term: str, anchors: bool) -> None:
    """Add and connect the mask of a term, and the signals that its criterion reads.

    `anchors`: the term compares tensors [B,C,A] along the anchor axis; else maps of its level. Raises
    Unresolved (KD203) where a model has no head, or the head no such level.
    """
    vertex = graph[term]
    assert isinstance(vertex, Term)
    edge = vertex.edge
    assignment = _assignment_of(edge.criterion, *edge.mask)
    criterion = Site(graph, term, anchors, "criterion", edge.criterion, *assignment)
    weights = []
    for mask in edge.mask:
        if mask.name != "all":
            of, topk = _assignment_of(mask, edge.criterion, *edge.mask)
            weights.append(_mask(replace(criterion, part="mask", component=mask, of=of, topk=topk)))
    if len(weights) > 1:
        weights = [_product(criterion, weights)]
    for weight in weights:
        graph.connect(weight, term, "mask")
    _read(criterion, term, find("criterion", criterion.name).reads)


def labelled(graph: DistillGraph) -> tuple[str, ...]:
    """The edges that read labels."""
    inputs = set(graph.of(Input))
    terms = graph.of(Term).items()
    return tuple(dict.fromkeys(t.edge.name for key, t in terms if graph.ancestors([key]) & inputs))


def _assignment_of(*components: Component) -> tuple[Role, int]:
    """Whose assignment counts, and its `topk`: what the first of the components that knows of one says."""
    for component in components:
        if "of" in component.options:
            return component.options["of"], component.options["topk"]
    return "student", 10


def _mask(site: Site) -> str:
    info = find("mask", site.name)
    place = site.whole() if info.whole else site
    cells, owner = place.mask_cells(info.reads), place.owner(info.reads)
    key = place.add(site.name, cells, owner, **site.component.options)
    _read(place, key, info.reads)
    return _piece(site, key) if info.whole else key


def _product(site: Site, masks: Sequence[str]) -> str:
    first = site.graph[masks[0]]
    key = site.add("product", first.cells if isinstance(first, Signal) else None)
    for mask in masks:
        site.graph.connect(mask, key, "masks")
    return key


def _read(site: Site, key: str, reads: Sequence[str]) -> None:
    """Connect each signal that the vertex `key` reads to the port of its name."""
    for name in reads:
        for source in _SOURCES[name](site):
            site.graph.connect(source, key, name)


def _objects(site: Site) -> list[str]:
    return [site.graph.add(f"batch:{label}", Input(label)) for label in LABELS]


def _assign(site: Site) -> str:
    """The object of each anchor, from the head's raw boxes and scores and the labels."""
    whole, role = site.whole(), site.of
    boxes = "head.dfl" if site.head(role).reg_max > 1 else "head.box"
    key = whole.add("assign", whole.cells(role), role, topk=site.topk)
    site.graph.connect(whole.output(role, boxes), key, "boxes")
    site.graph.connect(whole.output(role, "head.cls"), key, "scores")
    for level in site.levels(role):
        site.graph.connect(level, key, "feats")
    for label, source in zip(LABELS, _objects(site), strict=True):
        site.graph.connect(source, key, label)
    return key


def _target(site: Site) -> list[str]:
    return [_piece(site, _assign(site))]


def _label(site: Site) -> list[str]:
    key = site.add("label", site.cells(site.of), site.of)
    for target in _target(site):
        site.graph.connect(target, key, "target")
    site.graph.connect(_objects(site)[LABELS.index("cls")], key, "cls")
    return [key]


def _target_box(site: Site) -> list[str]:
    whole = site.whole()
    key = whole.add("target_box", whole.cells(site.of), site.of)
    site.graph.connect(_assign(site), key, "target")
    site.graph.connect(_objects(site)[LABELS.index("bboxes")], key, "bboxes")
    for level in site.levels(site.of):
        site.graph.connect(level, key, "maps")
    return [_piece(site, key)]


def _instances(site: Site) -> list[str]:
    whole, options = site.whole(), site.component.options
    key = whole.add("instances", None, "teacher", count=options["count"], overlap=options["overlap"])
    _read(whole, key, ("student_cls", "teacher_cls", "student_box", "teacher_box", "maps"))
    return [key]


def _branches(site: Site) -> list[str]:
    names = site.graph.models["teacher"].names
    first = site.output("teacher", "head.cls")
    return [first, *([site.output("teacher", "head.o2o.cls")] if "head.o2o.cls" in names else [])]


def _maps(site: Site) -> list[str]:
    """Maps of the cells' levels: the tapped one, or along the anchor axis those of the head."""
    if site.anchors:
        reads = find("mask", site.name).reads if site.part == "mask" else ()
        return site.levels(site.owner(reads))
    return [site.graph.source(site.term, "teacher") or ""]


def _piece(site: Site, key: str) -> str:
    """The part of a signal of all anchors that lies at the level of the site; along anchors all of it."""
    whole = site.graph[key]
    assert isinstance(whole, Signal)
    if site.anchors or whole.role is None:
        return key
    index = site.head(whole.role).levels.index(site.level(whole.role))
    piece = site.add("level", site.cells(whole.role), whole.role, index=index)
    site.graph.connect(key, piece, "values")
    for level in site.levels(whole.role):
        site.graph.connect(level, piece, "maps")
    return piece


_SOURCES: Mapping[str, Callable[[Site], list[str]]] = {
    "student_cls": lambda site: [site.output("student", "head.cls")],
    "teacher_cls": lambda site: [site.output("teacher", "head.cls")],
    "student_box": lambda site: [site.output("student", "head.box")],
    "teacher_box": lambda site: [site.output("teacher", "head.box")],
    "teacher_branches": _branches,
    "objects": _objects,
    "target": _target,
    "label": _label,
    "target_box": _target_box,
    "instances": _instances,
    "maps": _maps,
}
"""Signal -> the vertices that give it at a site."""
