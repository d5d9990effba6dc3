"""The compiler's passes, in order, and why each stands where it does."""

from __future__ import annotations

from kdgraph.compiler.passes.base import Account, Pass, Sequential
from kdgraph.compiler.passes.check_edges import CheckEdges
from kdgraph.compiler.passes.fold_teacher import FoldTeacher
from kdgraph.compiler.passes.fuse_student import FuseStudent
from kdgraph.compiler.passes.infer_shapes import InferShapes
from kdgraph.compiler.passes.insert_adapters import InsertAdapters
from kdgraph.compiler.passes.merge_taps import MergeTaps
from kdgraph.compiler.passes.overwrite_teacher import OverwriteTeacher
from kdgraph.compiler.passes.place import Place
from kdgraph.compiler.passes.prune import Prune
from kdgraph.compiler.passes.resolve_taps import ResolveTaps
from kdgraph.compiler.passes.splice_teacher import SpliceTeacher
from kdgraph.graph.ir import DistillGraph

__all__ = ["PIPELINE", "run_passes"]

PIPELINE: tuple[Pass, ...] = (
    InferShapes(),  # first: a level's name comes from its stride, and everything below reads shapes
    ResolveTaps(),  # names become nodes
    SpliceTeacher(),  # what a term compares behind a splice exists only now; its shapes are the teacher's
    InsertAdapters(),  # needs both shapes of a pair
    CheckEdges(),  # judges what the criteria will really get, so after adapters; the user's mistakes end here
    MergeTaps(),  # before prune, so that a twin does not keep anything alive
    Prune(),  # before folding, so that no work goes into what is dropped
    FoldTeacher(),  # after all taps: one between a convolution and its batch norm must keep them apart
    OverwriteTeacher(),  # after folding, which puts convolutions right before activations
    FuseStudent(),  # after all taps too, for the same reason
    Place(),  # last: nothing below asks where numbers lie
)


def run_passes(graph: DistillGraph) -> tuple[DistillGraph, tuple[Account, ...]]:
    """All passes over a fresh graph, with an account of each. Raises GraphError with every mistake found."""
    return Sequential(PIPELINE).run(graph)
