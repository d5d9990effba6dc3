"""What a criterion or a mask reads besides the two taps, as vertices of the graph.

`kdgraph.spec.components.base.Signal` lists the signals. Whatever several edges read is built several times
here and merged later (merge_taps): one assignment per model and batch, however many edges ask for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from math import prod
from typing import Literal

from kdgraph.compiler.frames import Frame, shape_of
from kdgraph.compiler.sites import Branch, Side, Site
from kdgraph.graph.ir import DistillGraph, Input, Signal, Term, op_key
from kdgraph.spec.plugins import find
from kdgraph.spec.schema import Component

__all__ = ["LABELS", "connect_signals", "labelled"]

LABELS = ("batch_idx", "cls", "bboxes")
"""The parts of an Ultralytics batch that `objects` are."""


def connect_signals(
    graph: DistillGraph, term: str, frame: Frame, anchors: bool, branches: Mapping[Branch, str]
) -> None:
    """Add and connect the mask of a term, and the signals that its criterion reads.

    `anchors`: the term compares tensors [B,C,A] along the anchor axis; else maps of its level. `branches`:
    the models whose one-to-one branch is tapped. Raises Unresolved (KD203, KD204) as `Site` does.
    """
    vertex = graph[term]
    assert isinstance(vertex, Term)
    edge = vertex.edge
    of, topk = _assignment_of(edge.criterion, *edge.mask)
    criterion = Site(graph, term, frame, anchors, "criterion", edge.criterion, of, topk, branches)
    weights = []
    for mask in edge.mask:
        if mask.name != "all":
            of, topk = _assignment_of(mask, edge.criterion, *edge.mask)
            weights.append(_mask(replace(criterion, part="mask", component=mask, of=of, topk=topk)))
    if len(weights) > 1:
        weights = [_product(criterion, weights)]
    for weight in weights:
        graph.connect(weight, term, "mask")
    for port, sources in _read(criterion, find("criterion", criterion.name).reads).items():
        for source in sources:
            graph.connect(source, term, port)


def labelled(graph: DistillGraph) -> tuple[str, ...]:
    """The edges that read labels."""
    inputs = set(graph.of(Input))
    terms = graph.of(Term).items()
    return tuple(dict.fromkeys(t.edge.name for key, t in terms if graph.ancestors([key]) & inputs))


def _assignment_of(*components: Component) -> tuple[Side, int]:
    """Whose assignment counts, and its `topk`: what the first of the components that knows of one says."""
    for component in components:
        if "of" in component.options:
            return component.options["of"], component.options["topk"]
    return "student", 10


def _mask(site: Site) -> str:
    info = find("mask", site.name)
    place = site.whole() if info.whole else site
    cells, ports = place.mask_cells(info.reads), _read(place, info.reads)
    key = place.add(site.name, cells, ports, **site.component.options)
    return _piece(site, key) if info.whole else key


def _product(site: Site, masks: Sequence[str]) -> str:
    first = site.graph[masks[0]]
    return site.add("product", first.cells if isinstance(first, Signal) else None, {"masks": masks})


def _read(site: Site, reads: Sequence[str]) -> dict[str, list[str]]:
    """What gives each of the signals, by the port of its name."""
    return {name: _SOURCES[name](site) for name in reads}


def _inputs(site: Site) -> dict[str, list[str]]:
    return {label: [site.graph.add(f"batch:{label}", Input(label))] for label in LABELS}


def _objects(site: Site) -> list[str]:
    """The labels; of rotated boxes those around them."""
    inputs, head = _inputs(site), site.graph.models["student"].head
    if head is not None and head.task == "obb":
        inputs["bboxes"] = [site.add("enclosing", None, {"bboxes": inputs["bboxes"], "image": _images(site)})]
    return list(chain(*inputs.values()))


def _images(site: Site) -> list[str]:
    return [key for key, op in site.graph.ops("student").items() if op.node.op == "placeholder"]


def _assign(site: Site) -> str:
    """The object of each anchor in common, from a head's boxes and scores and the labels."""
    return _gathered(site, _own_assignment(site)) if site.of == "student" else _their_assignment(site)


def _own_assignment(site: Site) -> str:
    """Over all anchors of the student, by its own predictions."""
    whole, head, graph = site.whole(), site.head("student"), site.graph
    names = graph.models["student"].names
    maps = [op_key("student", names[f"head.cls.{level}"]) for level in head.levels]
    sizes = [shape[2:] for key in maps if (shape := shape_of(graph, key))]
    boxes = "head.dfl" if head.reg_max > 1 else "head.box"
    outputs = {
        "boxes": [whole.raw("student", "student", boxes)],
        "scores": [whole.raw("student", "student", "head.cls")],
    }
    if head.task == "obb":
        outputs["angles"] = [whole.raw("student", "student", "head.angle")]
    ports = {**outputs, "feats": maps, **_inputs(site)}
    facts = _facts(head.classes, head.reg_max, head.task)
    key = whole.add("assign", (sum(map(prod, sizes)),), ports, topk=site.topk, **facts)
    graph.update(key, strides=head.strides)
    return key


def _their_assignment(site: Site) -> str:
    """Over the anchors in common, by what the teachers say there of the student's classes."""
    whole, head = site.whole(), site.head("student")
    theirs = [site.head(role) for role in site.frame.teachers]
    if site.frame.classes is None or not site.frame.classes.whole:
        what = "assigns labels by the teacher's scores, and the teacher does not know all classes"
        raise site.misfit(what, "KD204")
    bins = all(each.reg_max > 1 for each in (head, *theirs))
    kind: Literal["dfl", "box"] = "dfl" if bins else "box"
    outputs = {
        "boxes": [whole.output("teacher", f"head.{kind}", kind)],
        "scores": [whole.output("teacher", "head.cls", "cls")],
    }
    if head.task == "obb":
        outputs["angles"] = [whole.output("teacher", "head.angle", "angle")]
    ports = {**outputs, "feats": site.maps(), **_inputs(site)}
    facts = _facts(head.classes, head.reg_max if bins else 1, head.task)
    return whole.add("assign", whole.cells(), ports, topk=site.topk, **facts)


def _facts(classes: int, reg_max: int, task: str) -> dict[str, int | bool]:
    """What an assigner is told of a head."""
    return {"nc": classes, "reg_max": reg_max, "rotated": task == "obb"}


def _gathered(site: Site, key: str) -> str:
    """An assignment over all anchors of the student, at those in common."""
    head = site.head("student")
    if head.strides == site.frame.strides:
        return key
    indices = tuple(head.strides.index(stride) for stride in site.frame.strides)
    ports = {"values": [key], "maps": site.graph.sources(key, "feats")}
    return site.add("gathered", site.whole().cells(), ports, indices=indices, kind="nearest")


def _target(site: Site) -> list[str]:
    return [_piece(site, _assign(site))]


def _label(site: Site) -> list[str]:
    """The classes as they are numbered in common."""
    ports = {"target": _target(site), "cls": _inputs(site)["cls"]}
    labels, table = [site.add("label", site.cells(), ports)], _numbers(site)
    if table is None or table == tuple(range(len(table))):
        return labels
    return [site.add("remapped", site.cells(), {"labels": labels}, table=table)]


def _numbers(site: Site) -> tuple[int, ...] | None:
    """For each class of the student its number where logits are compared, -1 for none; None: no classes.

    Behind a splice both sides are the teacher's, under its own numbers.
    """
    classes = site.frame.classes
    if classes is None:
        return None
    numbers = tuple(range(len(classes.student)))
    if site.vertex.edge.splice is not None:
        if not classes.student:
            raise site.misfit("reads labelled classes, and the two models have none in common", "KD204")
        numbers = tuple(group[0] for group in classes.groups(site.frame.teachers[0]))
    found = dict(zip(classes.student, numbers, strict=True))
    return tuple(found.get(number, -1) for number in range(classes.count))


def _target_box(site: Site) -> list[str]:
    whole = site.whole()
    [bboxes] = _inputs(site)["bboxes"]
    ports = {"target": [_assign(site)], "bboxes": [bboxes], "maps": site.maps()}
    return [_piece(site, whole.add("target_box", whole.cells(), ports))]


def _instances(site: Site) -> list[str]:
    whole, options = site.whole(), site.component.options
    ports = _read(whole, ("student_cls", "teacher_cls", "student_box", "teacher_box", "maps"))
    return [whole.add("instances", None, ports, count=options["count"], overlap=options["overlap"])]


def _branches(site: Site) -> list[str]:
    """What each branch of the teacher's head says; of several teachers their average."""
    one = [site.output("teacher", "head.cls", "cls")]
    role = site.frame.teachers[0]
    if len(site.frame.teachers) > 1 or "head.o2o.cls" not in site.graph.models[role].names:
        return one
    plain = replace(site, branches={})
    return [
        *one,
        plain.output("teacher", "head.cls" if ("teacher", role) in site.branches else "head.o2o.cls", "cls"),
    ]


def _maps(site: Site) -> list[str]:
    """Maps of the cells' levels: the tapped one, or along the anchor axis those in common."""
    return site.maps() if site.anchors else [site.teacher]


def _piece(site: Site, key: str) -> str:
    """The part of a signal of all anchors that lies at the level of the site; along anchors all of it."""
    if site.anchors or site.level is None:
        return key
    index = site.frame.levels.index(site.level)
    return site.add("level", site.cells(), {"values": [key], "maps": site.maps()}, index=index)


def _proto(side: Side) -> Callable[[Site], list[str]]:
    def prototypes(site: Site) -> list[str]:
        role = "student" if side == "student" else site.frame.teachers[0]
        if side == "teacher" and len(site.frame.teachers) > 1:
            raise site.misfit("compares prototypes, and those of several teachers have no common meaning")
        return [site.whole().raw(side, role, "head.proto")]

    return prototypes


_SOURCES: Mapping[str, Callable[[Site], list[str]]] = {
    "student_cls": lambda site: [site.output("student", "head.cls", "cls")],
    "teacher_cls": lambda site: [site.output("teacher", "head.cls", "cls")],
    "student_box": lambda site: [site.output("student", "head.box", "box")],
    "teacher_box": lambda site: [site.output("teacher", "head.box", "box")],
    "teacher_branches": _branches,
    "objects": _objects,
    "target": _target,
    "label": _label,
    "target_box": _target_box,
    "instances": _instances,
    "student_proto": _proto("student"),
    "teacher_proto": _proto("teacher"),
    "maps": _maps,
}
"""Signal -> the vertices that give it at a site."""
