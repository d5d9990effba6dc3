"""Masks as vertices: what each kind reads, and the piece of it that one term gets."""

from __future__ import annotations

from kdgraph.compiler.taps import Unresolved
from kdgraph.errors import Diagnostic
from kdgraph.graph.ir import DistillGraph, Input, Mask, Role, Term, op_key
from kdgraph.graph.yolo import Head
from kdgraph.spec.schema import EdgeSpec

__all__ = ["LABELS", "connect_mask"]

LABELS = ("batch_idx", "cls", "bboxes")
"""The parts of an Ultralytics batch that an assignment reads."""


def connect_mask(graph: DistillGraph, term: str, anchors: bool) -> None:
    """Add the mask that a term's edge asks for and connect it.

    `anchors`: the term compares tensors [B,C,A] along the anchor axis and wants a mask [B,A]; else it
    compares maps and wants [B,1,H,W] of its level. Raises Unresolved (KD203) when a model has no head,
    or the head no such level.
    """
    vertex = graph[term]
    assert isinstance(vertex, Term)
    kind = vertex.edge.mask.name
    if kind == "teacher_score":
        graph.connect(_teacher_score(graph, vertex, anchors), term, "mask")
    elif kind == "foreground":
        graph.connect(_foreground(graph, vertex, anchors), term, "mask")


def _teacher_score(graph: DistillGraph, term: Term, anchors: bool) -> str:
    part = "" if anchors else f".{_level(graph, term, 'teacher')}"
    options = tuple(sorted(term.edge.mask.options.items()))
    key = graph.add(
        f"mask:{term.name}", Mask(f"score_{term.name}", "teacher_score", options, None, "teacher")
    )
    for branch in ("head.cls", "head.o2o.cls"):
        node = graph.models["teacher"].names.get(branch + part)
        if node is not None:
            graph.connect(op_key("teacher", node), key, "logits")
    return key


def _foreground(graph: DistillGraph, term: Term, anchors: bool) -> str:
    options = dict(term.edge.mask.options)
    role: Role = options.pop("of")
    level = None if anchors else _level(graph, term, role)
    whole = _assignment(graph, term, role, tuple(sorted(options.items())))
    if level is None:
        return whole
    head = _head(graph, term, role)
    index = head.levels.index(level)
    key = graph.add(f"mask:{term.name}", Mask(f"cells_{term.name}", "level", (), index, role), mask=whole)
    _connect_maps(graph, key, role)
    return key


def _assignment(graph: DistillGraph, term: Term, role: Role, options: tuple[tuple[str, object], ...]) -> str:
    """The whole assignment [B,A]: from the head's raw boxes and scores, and the batch's labels."""
    names = graph.models[role].names
    head = _head(graph, term, role)
    boxes = names["head.dfl" if head.reg_max > 1 else "head.box"]
    key = graph.add(f"assign:{term.name}", Mask(f"assign_{term.name}", "foreground", options, None, role))
    graph.connect(op_key(role, boxes), key, "boxes")
    graph.connect(op_key(role, names["head.cls"]), key, "scores")
    _connect_maps(graph, key, role)
    for label in LABELS:
        graph.connect(graph.add(f"batch:{label}", Input(label)), key, label)
    return key


def _connect_maps(graph: DistillGraph, key: str, role: Role) -> None:
    """The maps whose sizes split the anchor axis into levels: the class logits of each level."""
    model = graph.models[role]
    assert model.head is not None
    for level in model.head.levels:
        graph.connect(op_key(role, model.names[f"head.cls.{level}"]), key, "maps")


def _head(graph: DistillGraph, term: Term, role: Role) -> Head:
    head = graph.models[role].head
    if head is None:
        raise Unresolved(_misfit(term.edge, f"needs a detection head, which the {role} does not have"))
    return head


def _level(graph: DistillGraph, term: Term, role: Role) -> str:
    levels = _head(graph, term, role).levels
    if term.level not in levels:
        at = f"a tap at {term.level}" if term.level else "a tap that is no level"
        raise Unresolved(_misfit(term.edge, f"is given for {', '.join(levels)}, and this edge has {at}"))
    return term.level


def _misfit(edge: EdgeSpec, what: str) -> Diagnostic:
    return Diagnostic(
        "KD203",
        f"edge '{edge.name}': mask '{edge.mask.name}' {what}",
        edge.span("mask") or edge.span("criterion"),
        hint="use `mask: all`, or tap levels that the head has",
    )
