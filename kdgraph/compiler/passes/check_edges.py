"""Whether each edge can mean what it says, told before anything runs."""

from __future__ import annotations

from collections.abc import Iterator

from kdgraph.compiler.passes.base import Pass, PassResult
from kdgraph.compiler.passes.insert_adapters import tap_of, tap_shape
from kdgraph.errors import Diagnostic
from kdgraph.graph.ir import Adapter, DistillGraph, Mask, Op, Tap, Term
from kdgraph.spec.components import CRITERIA
from kdgraph.spec.schema import EdgeSpec, LevelWeight

Shape = tuple[int, ...]


class CheckEdges(Pass):
    """Holds each criterion against what it is given: layout, classes, bins, shapes, mask, weights by level.

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
    layouts = _layout_faults(term, student, teacher)
    if layouts:
        yield layouts
        return
    shapes = _shape_faults(graph, key, term, student) or _mask_faults(graph, key, term)
    if shapes:
        yield shapes


def _learns(graph: DistillGraph, tap: str) -> bool:
    """Whether any student parameter lies before the tap: otherwise its loss could teach nothing."""
    before = (graph[key] for key in graph.ancestors([tap]))
    return any(isinstance(v, Op) and v.role == "student" and v.facts.params for v in before)


def _layout_faults(term: Term, student: Tap, teacher: Tap) -> Diagnostic | None:
    if student.layout != teacher.layout:
        return _fault(
            "KD203",
            term,
            f"'{student.name}' holds {_LAYOUTS[student.layout]}, '{teacher.name}' {_LAYOUTS[teacher.layout]}",
            "tap the same kind of tensor on both sides",
        )
    takes = CRITERIA[term.criterion.name].takes
    if student.layout in takes:
        return None
    others = sorted(name for name, info in CRITERIA.items() if student.layout in info.takes)
    return _fault(
        "KD203",
        term,
        f"criterion '{term.criterion.name}' does not compare {_LAYOUTS[student.layout]}, "
        f"which '{student.name}' is",
        f"criteria for it: {', '.join(others)}",
        "criterion",
    )


_LAYOUTS = {"features": "features", "cls": "class logits", "dfl": "DFL logits", "box": "box distances"}
_NEEDS_MAPS = frozenset({"cwd", "pkd", "sl2"})


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
        return _head_fault(graph, term, tap)
    if tap.layout == "features" and term.criterion.name in _NEEDS_MAPS and len(ours) != 4:
        return _fault(
            "KD203",
            term,
            f"'{tap.name}' is {_shown(ours)}, and {term.criterion.name} compares maps C×H×W",
            "",
        )
    adapted = _adapted(graph, key, ours, theirs)
    if adapted[1:] != theirs[1:]:
        return _fault(
            "KD203",
            term,
            f"the student's {_shown(ours)} at '{tap.name}' does not become the teacher's {_shown(theirs)} "
            f"with adapter '{term.edge.adapter.name}'",
            "use `adapter: auto`, or tap tensors of one shape",
            "adapter",
        )
    return None


# Kind of mask -> the port whose size it has.
_CELLS = {"teacher_score": "logits", "foreground": "scores", "level": "maps"}


def _mask_faults(graph: DistillGraph, key: str, term: Term) -> Diagnostic | None:
    """A mask has the cells of one level, or of all anchors; what it weighs must have the same."""
    source, theirs = graph.source(key, "mask"), tap_shape(graph, key, "teacher")
    mask = graph[source] if source else None
    if not isinstance(mask, Mask) or source is None or theirs is None:
        return None
    sized = graph[[s for port, s in graph.inputs(source) if port == _CELLS[mask.kind]][mask.level or 0]]
    cells = sized.facts.shape if isinstance(sized, Op) else None
    if cells is None or cells[2:] == theirs[2:]:
        return None
    name = term.edge.mask.name
    what = f"mask '{name}' weighs {_shown(cells[1:])} cells, and the teacher's tap is {_shown(theirs)}"
    return _fault(
        "KD203", term, what, "use `mask: all`, or tap maps of the head's levels on both sides", "mask"
    )


def _head_fault(graph: DistillGraph, term: Term, tap: Tap) -> Diagnostic:
    heads = [graph.models["student"].head, graph.models["teacher"].head]
    if tap.layout == "cls":
        counts = [head.classes if head else 0 for head in heads]
        what = f"the student has {counts[0]} classes, the teacher {counts[1]}"
        mend = (
            "train the teacher on the same data (`teacher: {model: …, train: {epochs: …}}`), "
            "or use edges of the neck"
        )
    else:
        counts = [head.reg_max if head else 0 for head in heads]
        what = f"the student has {counts[0]} DFL bins, the teacher {counts[1]}"
        mend = "compare decoded distances instead: `taps: head.box.*` with `criterion: box_l2`"
    return _fault("KD204", term, what, mend)


def _adapted(graph: DistillGraph, key: str, ours: Shape, theirs: Shape) -> Shape:
    """The student's shape behind its adapters."""
    source, kinds = graph.source(key, "student"), []
    while source is not None and isinstance(vertex := graph[source], Adapter):
        kinds.append(vertex.kind)
        source = graph.source(source, "student")
    if len(ours) == len(theirs) == 4:
        channels = theirs[1] if {"conv1x1", "mlp"} & set(kinds) else ours[1]
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


def _fault(code: str, term: Term, what: str, mend: str, key: str = "taps") -> Diagnostic:
    span = term.edge.span(key) or term.edge.span("taps") or term.edge.span()
    return Diagnostic(code, f"edge '{term.edge.name}': {what}", span, hint=mend or None)


def _shown(shape: Shape) -> str:
    return "×".join(str(size) for size in shape[1:])
