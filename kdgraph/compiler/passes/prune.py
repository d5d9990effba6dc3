"""Nothing is computed that nobody reads."""

from __future__ import annotations

from kdgraph.compiler.passes.base import Pass, PassResult
from kdgraph.graph.ir import DistillGraph, Op, Role, Tap, Term


class Prune(Pass):
    """Drops every vertex that no term and no output reaches.

    before: teacher: backbone ─▶ neck ─▶ head        after: teacher: backbone ─▶ neck
                                  └▶ tap                                          └▶ tap

    The student's head always stays, since its predictions are an output; so do images and labels.
    """

    name = "prune"

    def run(self, graph: DistillGraph) -> PassResult:
        pruned = graph.copy()
        needed = graph.ancestors(_roots(graph))
        doomed = {key for key in graph if key not in needed and not _is_images(graph, key)}
        notes = tuple(_told(graph, role, doomed) for role in graph.models if _of(graph, role, doomed))
        pruned.remove(doomed)
        return PassResult(pruned, notes)


def _of(graph: DistillGraph, role: Role, keys: set[str]) -> list[Op]:
    vertices = (graph[key] for key in keys)
    return [v for v in vertices if isinstance(v, Op) and v.role == role]


def _told(graph: DistillGraph, role: Role, doomed: set[str]) -> str:
    """How many operations go, and the layers with parameters that go as a whole."""
    gone = _of(graph, role, doomed)
    kept = {_layer(op) for key, op in graph.ops(role).items() if key not in doomed}
    layers = sorted({_layer(op) for op in gone if op.facts.params} - kept, key=lambda name: (len(name), name))
    return f"{role}: {len(gone)} nodes" + (f", with all of {', '.join(layers)}" if layers else "")


def _layer(op: Op) -> str:
    return ".".join(op.path.split(".")[:3])


def _roots(graph: DistillGraph) -> list[str]:
    roots = [*graph.of(Term), graph.output("student")]
    if "teacher" in graph.spec.outputs:
        roots.extend(graph.output(role) for role in graph.teachers)
    if "taps" in graph.spec.outputs:
        roots.extend(graph.of(Tap))
    return [root for root in roots if root is not None]


def _is_images(graph: DistillGraph, key: str) -> bool:
    vertex = graph[key]
    return isinstance(vertex, Op) and vertex.node.op == "placeholder"
