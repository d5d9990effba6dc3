"""What brings the student's tensors to the teacher's shapes."""

from __future__ import annotations

from kdgraph.compiler.frames import before, shape_of
from kdgraph.compiler.passes.base import Pass, PassResult
from kdgraph.graph.ir import Adapter, Align, DistillGraph, Splice, Tap, Term
from kdgraph.nn.adapters import auto_chain
from kdgraph.spec.plugins import find

Shape = tuple[int, ...]


class InsertAdapters(Pass):
    """Puts an adapter behind a student's tap where shapes differ, or where the edge asks for one.

    before: tap neck.p3 [B,64,H,W] ─▶ term          after: tap neck.p3 ─▶ conv1x1 64→512 ─▶ term
            tap neck.p3 [B,512,H,W] ─▶                     tap neck.p3 ─────────────────▶

    Where the student is spliced into the teacher it stands before the splice.
    """

    name = "insert_adapters"
    needs_valid = False

    def run(self, graph: DistillGraph) -> PassResult:
        graph, notes = graph.copy(), []
        joints: dict[str, Splice | Term] = {**graph.of(Splice), **graph.of(Term)}
        for key, joint in joints.items():
            kinds = _kinds(graph, key, joint)
            for kind in kinds:
                _insert(graph, key, joint, kind)
            if kinds:
                ours, theirs = (tap_shape(graph, key, side) for side in ("student", "teacher"))
                notes.append(f"{joint.name}: {' and '.join(kinds)}, {_shown(ours)} → {_shown(theirs)}")
        return PassResult(graph, tuple(notes))


def tap_shape(graph: DistillGraph, term: str, side: str) -> Shape | None:
    """The shape that one side of a term or splice has before any adapter."""
    return shape_of(graph, side_of(graph, term, side))


def side_of(graph: DistillGraph, term: str, side: str) -> str:
    """What a term reads on one side before any adapter: a tap, or what brought it to where it is compared."""
    key = graph.source(term, side)
    while key is not None and isinstance(graph[key], Adapter):
        key = graph.source(key, "student")
    assert key is not None
    return key


def tap_of(graph: DistillGraph, term: str, side: str) -> str:
    """The tap that a term reads on one side; of several teachers the first's."""
    key = side_of(graph, term, side)
    while isinstance(graph[key], Align):
        key = before(graph, key)
    return key


def _kinds(graph: DistillGraph, key: str, joint: Term | Splice) -> list[str]:
    if isinstance(joint, Term) and joint.edge.splice is not None:
        return []  # both sides are the teacher's
    kind = joint.edge.adapter.name
    ours, theirs = tap_shape(graph, key, "student"), tap_shape(graph, key, "teacher")
    if kind != "auto":
        return [] if kind == "identity" else [kind]
    tap = graph[tap_of(graph, key, "student")]
    if ours is None or theirs is None or not len(ours) == len(theirs) == 4:
        return []  # check_edges says what does not fit
    meant = (
        isinstance(tap, Tap) and tap.layout != "features"
    )  # logits keep their channels: they have a meaning
    if meant or (isinstance(joint, Term) and not find("criterion", joint.criterion.name).channels):
        theirs = (*theirs[:1], ours[1], *theirs[2:])
    return [name for name in auto_chain(ours, theirs) if name != "identity"]


def _insert(graph: DistillGraph, key: str, joint: Term | Splice, kind: str) -> None:
    ours, theirs = tap_shape(graph, key, "student"), tap_shape(graph, key, "teacher")
    source, teacher = graph.source(key, "student"), graph.source(key, "teacher")
    assert source is not None
    assert teacher is not None
    options = joint.edge.adapter.options if joint.edge.adapter.name == kind else {}
    channels = (ours[1], theirs[1]) if ours and theirs and min(len(ours), len(theirs)) > 1 else (0, 0)
    name = f"{joint.name}.{kind}"
    adapter = Adapter(name, kind, tuple(sorted(options.items())), channels)
    graph.add(f"adapter:{name}", adapter, student=source, teacher=teacher)
    graph.disconnect(key, "student")
    graph.connect(f"adapter:{name}", key, "student")


def _shown(shape: Shape | None) -> str:
    return "×".join(str(size) for size in shape[1:]) if shape else "no tensor"
