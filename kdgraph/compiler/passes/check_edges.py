"""Whether each edge can mean what it says, told before anything runs."""

from __future__ import annotations

from collections.abc import Iterator

from kdgraph.compiler.passes.base import Pass, PassResult
from kdgraph.compiler.passes.insert_adapters import tap_of, tap_shape
from kdgraph.compiler.signal_faults import signal_fault
from kdgraph.errors import Diagnostic
from kdgraph.graph.ir import Adapter, DistillGraph, Op, Splice, Tap, Term, Vertex
from kdgraph.spec.plugins import find, known
from kdgraph.spec.schema import EdgeSpec, LevelWeight

Shape = tuple[int, ...]


class CheckEdges(Pass):
    """Holds each criterion against what it is given: layout, classes, bins, shapes, signals, weights.

    Changes nothing.
    """

    name = "check_edges"
    needs_valid = False

    def run(self, graph: DistillGraph) -> PassResult:
        faults: dict[str, Diagnostic] = {}  # one for each edge and fault, not one for each level
        for key, term in graph.of(Term).items():
            for fault in _term_faults(graph, key, term):
                faults.setdefault(f"{term.edge.name}: {fault.code}", fault)
        for edge in graph.spec.edges.values():
            levels = [t.level for t in graph.of(Term).values() if t.edge is edge]
            for fault in _weight_faults(edge, levels):
                faults.setdefault(f"{edge.name}: weight", fault)
        for name, fault in _splice_faults(graph):
            faults.setdefault(f"{name}: splice", fault)
        for fault in _balance_faults(graph):
            faults.setdefault(fault.message, fault)
        terms = len(graph.of(Term))
        note = (
            f"{terms} terms of {len(graph.spec.edges)} edges fit" if not faults else f"{len(faults)} faults"
        )
        return PassResult(graph, (note,), tuple(faults.values()))


def _term_faults(graph: DistillGraph, key: str, term: Term) -> Iterator[Diagnostic]:
    student, teacher = (graph[tap_of(graph, key, role)] for role in ("student", "teacher"))
    assert isinstance(student, Tap)
    assert isinstance(teacher, Tap)
    if not _learns(graph, tap_of(graph, key, "student")):
        yield _fault(
            "KD203", term, f"nothing that learns comes before the tap '{student.name}'", "tap a later node"
        )
    fault = (
        _self_fault(graph, key, term, student)
        or _layout_faults(graph, term, student, teacher)
        or _meaning_fault(graph, term, student)
        or _shape_faults(graph, key, term, student)
        or signal_fault(graph, key, term)
    )
    if fault:
        yield fault


def _learns(graph: DistillGraph, tap: str) -> bool:
    """Whether any student parameter lies before the tap: otherwise its loss could teach nothing."""
    before = (graph[key] for key in graph.ancestors([tap]))
    return any(isinstance(v, Op) and v.role == "student" and v.facts.params for v in before)


def _self_fault(graph: DistillGraph, key: str, term: Term, student: Tap) -> Diagnostic | None:
    """A tensor compared with itself: its loss is 0 for ever."""
    ours, theirs = (graph.tapped(tap_of(graph, key, side)) for side in ("student", "teacher"))
    if ours != theirs:
        return None
    what = f"'{student.name}' is compared with itself"
    return _fault(
        "KD203", term, what, "let a deeper tap teach: `taps: {student: backbone.p4, teacher: neck.p4}`"
    )


def _meaning_fault(graph: DistillGraph, term: Term, student: Tap) -> Diagnostic | None:
    """Numbers of one shape that mean something else in each head."""
    if term.edge.splice is not None or student.layout not in ("dfl", "box", "kpt"):
        return None
    heads = [head for role in ("student", *term.edge.teacher) if (head := graph.models[role].head)]
    if student.layout == "kpt":
        points = ["×".join(map(str, head.keypoints or ())) for head in heads]
        what = f"keypoints are {points[0]} numbers in the student, {points[-1]} in the teacher"
        mend = "only models of the same keypoints can be compared"
        return _fault("KD204", term, what, mend) if len(set(points)) > 1 else None
    turned = {head.task == "obb" for head in heads}
    what = f"'{student.name}' is along turned sides in one model, along upright ones in the other"
    mend = "compare oriented boxes with oriented ones, or use edges of the classes and the neck"
    return _fault("KD204", term, what, mend) if len(turned) > 1 else None


def _layout_faults(graph: DistillGraph, term: Term, student: Tap, teacher: Tap) -> Diagnostic | None:
    if student.layout != teacher.layout:
        return _fault(
            "KD203",
            term,
            f"'{student.name}' holds {_LAYOUTS[student.layout]}, '{teacher.name}' {_LAYOUTS[teacher.layout]}",
            "tap the same kind of tensor on both sides",
        )
    if student.layout in find("criterion", term.criterion.name).takes:
        return None
    criteria = known("criterion", graph.spec.plugins)
    others = sorted(name for name, info in criteria.items() if student.layout in info.takes)
    return _fault(
        "KD203",
        term,
        f"criterion '{term.criterion.name}' does not compare {_LAYOUTS[student.layout]}, "
        f"which '{student.name}' is",
        f"criteria for it: {', '.join(others)}",
        "criterion",
    )


_LAYOUTS = {
    "features": "features",
    "cls": "class logits",
    "dfl": "DFL logits",
    "box": "box distances",
    "mask": "mask coefficients",
    "kpt": "keypoints",
    "angle": "angles",
}


def _shape_faults(graph: DistillGraph, key: str, term: Term, tap: Tap) -> Diagnostic | None:
    ours, theirs = tap_shape(graph, key, "student"), tap_shape(graph, key, "teacher")
    if ours is None or theirs is None:
        side = "student" if ours is None else "teacher"
        return _fault(
            "KD203",
            term,
            f"the {side}'s tap is no tensor",
            "tap a node that `kdgraph nodes` shows a shape for",
        )
    if tap.layout in ("cls", "dfl") and ours[1] != theirs[1]:
        return _head_fault(term, tap, ours[1], theirs[1])
    info = find("criterion", term.criterion.name)
    if tap.layout == "cls" and theirs[1] < info.classes:
        what = f"{term.criterion.name} compares classes with one another, and there is only one"
        return _fault("KD203", term, what, "use bce or qfl, which take each class by itself", "criterion")
    if info.maps and tap.layout in ("features", "dfl") and len(ours) != 4:
        what = f"'{tap.name}' is {_shown(ours)}, and {term.criterion.name} compares maps C×H×W"
        levels = f"tap the levels instead: `taps: {tap.name}.*`" if tap.layout == "dfl" else ""
        return _fault("KD203", term, what, levels)
    for side, shape in (("student", ours), ("teacher", theirs)):
        if _channels_last(graph, graph[tap_of(graph, key, side)], shape):
            what = f"the {side}'s {_shown(shape)} has its channels last"
            mend = "tap a layer that has them first, or let its module permute them"
            return _fault("KD203", term, what, mend)
    adapted = _adapted(graph, key, ours, theirs)
    same = adapted[2:] == theirs[2:] if not info.channels else adapted[1:] == theirs[1:]
    if not same or len(adapted) != len(theirs):
        return _fault(
            "KD203",
            term,
            f"the student's {_shown(ours)} at '{tap.name}' does not become the teacher's {_shown(theirs)} "
            f"with adapter '{term.edge.adapter.name}'",
            _other_shape(graph, term, len(ours), len(theirs)),
            "adapter",
        )
    return None


def _other_shape(graph: DistillGraph, term: Term, ours: int, theirs: int) -> str:
    """The way out where an adapter does not bring one shape to the other."""
    if any(graph.models[role].task == "classify" for role in term.edge.teacher):
        return "an image classifier scores whole images: tap maps of its layers, such as backbone.*"
    if ours != theirs or term.edge.adapter.name == "auto":
        return "no adapter does: tap layers that have a height and a width"
    return "use `adapter: auto`, or tap tensors of one shape"


def _channels_last(graph: DistillGraph, tap: Vertex, shape: Shape) -> bool:
    """Whether a map is [B,H,W,C], as transformers have it: the image's shape is before the last size."""
    if not isinstance(tap, Tap) or tap.layout != "features" or len(shape) != 4:
        return False
    height, width = graph.views[tap.role].size
    rows, columns, last = shape[1:]
    scaled = height % rows == 0 and width % columns == 0 and height // rows == width // columns
    first = height % columns == 0 and width % last == 0 and height // columns == width // last
    return scaled and not first


def _head_fault(term: Term, tap: Tap, ours: int, theirs: int) -> Diagnostic:
    """Channels that have a meaning, and cannot be brought together."""
    what, mend = {
        "cls": ("class logits", "tap the heads' outputs by name: `taps: head.cls`"),
        "dfl": ("DFL logits", "compare decoded distances instead: `taps: head.box` with `criterion: box_l2`"),
    }[tap.layout]
    return _fault("KD204", term, f"the student has {ours} {what} at a cell, the teacher {theirs}", mend)


def _adapted(graph: DistillGraph, key: str, ours: Shape, theirs: Shape) -> Shape:
    """The student's shape behind its adapters."""
    source, kinds = graph.source(key, "student"), []
    while source is not None and isinstance(vertex := graph[source], Adapter):
        kinds.append(vertex.kind)
        source = graph.source(source, "student")
    if len(ours) == len(theirs) == 4:
        channels = theirs[1] if set(kinds) - {"identity", "resize"} else ours[1]
        return (ours[0], channels, *(theirs[2:] if "resize" in kinds else ours[2:]))
    return ours


def _weight_faults(edge: EdgeSpec, levels: list[str | None]) -> Iterator[Diagnostic]:
    weight = edge.weight
    if not isinstance(weight, LevelWeight) or not levels:
        return
    if weight.values is not None and len(weight.values) != len(levels):
        yield Diagnostic(
            "KD202",
            f"edge '{edge.name}': {len(weight.values)} weights for {len(levels)} levels",
            edge.span("weight"),
            hint=f"its levels are {', '.join(level or 'unnamed' for level in levels)}",
        )
    if weight.by_level is not None and set(weight.by_level) != set(levels):
        yield Diagnostic(
            "KD202",
            f"edge '{edge.name}': weights for {', '.join(weight.by_level)}, "
            f"and levels {', '.join(level or 'unnamed' for level in levels)}",
            edge.span("weight"),
            hint="give each level of the edge a weight, and no other",
        )


def _splice_faults(graph: DistillGraph) -> Iterator[tuple[str, Diagnostic]]:
    """By edge, a student's tensor without the shape of the one whose place it takes in the teacher."""
    for key, splice in graph.of(Splice).items():
        ours, theirs = tap_shape(graph, key, "student"), tap_shape(graph, key, "teacher")
        adapted = _adapted(graph, key, ours, theirs) if ours and theirs else None
        if theirs is None or adapted is None or adapted[1:] != theirs[1:] or len(theirs) < 3:
            shapes = [_shown(shape) if shape else "no tensor" for shape in (ours, theirs)]
            fault = Diagnostic(
                "KD203",
                f"edge '{splice.edge.name}': the student's {shapes[0]} cannot take the place of the "
                f"teacher's {shapes[1]} with adapter '{splice.edge.adapter.name}'",
                splice.edge.span("adapter") or splice.edge.span("splice"),
                hint="use `adapter: auto`, and splice at maps C×H×W",
            )
            yield splice.edge.name, fault


def _balance_faults(graph: DistillGraph) -> Iterator[Diagnostic]:
    """An edge whose gradient does not pass the tensors at which edges are balanced."""
    balance = graph.spec.balance
    for key, term in graph.of(Term).items() if graph.shared else ():
        if balance is not None and not graph.ancestors([tap_of(graph, key, "student")]) & set(graph.shared):
            yield _fault(
                "KD203",
                term,
                f"its gradient does not pass '{balance.options['at']}', where the edges are balanced",
                f"balance at taps before it, `balance: {{{balance.name}: {{at: …}}}}`, or tap behind them",
            )


def _fault(code: str, term: Term, what: str, mend: str, key: str = "taps") -> Diagnostic:
    span = term.edge.span(key) or term.edge.span("taps") or term.edge.span()
    return Diagnostic(code, f"edge '{term.edge.name}': {what}", span, hint=mend or None)


def _shown(shape: Shape) -> str:
    return "×".join(str(size) for size in shape[1:])
