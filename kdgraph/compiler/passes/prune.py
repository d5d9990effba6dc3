"""Nothing is computed that nobody reads."""

from __future__ import annotations

from kdgraph.compiler.passes.base import Pass, PassResult
from kdgraph.graph.ir import DistillGraph, Op, Tap, Term


class Prune(Pass):
    """Drops every vertex that no term and no output reaches.

    before: teacher: backbone ─▶ neck ─▶ head        after: teacher: backbone ─▶ neck
                                  └▶ tap                                          └▶ tap

    The student's head always stays, since its predictions are an output; so do images and labels.
    """

    name = "prune"

    def run(self, graph: DistillGraph) -> PassResult:
        graph = graph.copy()
        needed = graph.ancestors(_roots(graph))
        doomed = [key for key in graph.order() if key not in needed and not _is_images(graph, key)]
        graph.remove(doomed)
        return PassResult(graph, (f"{len(doomed)} vertices removed",) if doomed else ())


def _roots(graph: DistillGraph) -> list[str]:
    roots = [*graph.of(Term), graph.output("student")]
    if "teacher" in graph.spec.outputs:
        roots.append(graph.output("teacher"))
    if "taps" in graph.spec.outputs:
        roots.extend(graph.of(Tap))
    return [root for root in roots if root is not None]


def _is_images(graph: DistillGraph, key: str) -> bool:
    vertex = graph[key]
    return isinstance(vertex, Op) and vertex.node.op == "placeholder"
