"""What the compiler's IR is made of: operations, taps, alignments, adapters, signals, terms.

Frozen dataclasses; what they read is in the graph, by port (`kdgraph.graph.ir`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch.fx as fx
from torch import nn

from kdgraph.graph.shapes import Facts
from kdgraph.spec.components import Layout
from kdgraph.spec.schema import Component, EdgeSpec

__all__ = [
    "LISTS",
    "Adapter",
    "Align",
    "Input",
    "Op",
    "Role",
    "Signal",
    "Splice",
    "Tap",
    "Term",
    "V",
    "Vertex",
    "View",
    "named",
    "op_key",
]

Role = str
"""`student`, or the name of a teacher: `teacher` where there is one."""

LISTS = frozenset({"feats", "like", "maps", "masks", "objects", "splice", "teacher_branches", "several"})
"""Ports of terms, signals and alignments that take several values; the others take one."""


@dataclass(frozen=True)
class View:
    """The images as a model sees them: (height, width) in pixels, and its channels.

    `pick` are the channels of the batch's images that it sees; None lets their number decide. `scale` is its
    size over the student's, `stride` what its sides must be multiples of.
    """

    size: tuple[int, int]
    channels: int = 3
    pick: tuple[int, ...] | None = None
    scale: float = 1.0
    stride: int = 32


@dataclass(frozen=True)
class Op:
    """One node of a traced model.

    `folded` is the batch norm that fold_teacher moved into it. `splice` names the splice for which the node
    is computed once more, on what comes from the student; None is the model's own. `inplace`: its module may
    overwrite its input. `norm`: the path of the batch norm that fuse_student joined with it.
    """

    role: Role
    node: fx.Node = field(repr=False)
    module: nn.Module | None = field(default=None, repr=False)
    facts: Facts = field(default_factory=Facts)
    folded: nn.Module | None = field(default=None, repr=False)
    splice: str | None = None
    inplace: bool = False
    norm: str | None = None

    @property
    def path(self) -> str:
        return str(self.node.meta.get("path", self.node.name))


@dataclass(frozen=True)
class Input:
    """A part of the batch other than the images: `batch_idx`, `cls` or `bboxes`."""

    name: str


@dataclass(frozen=True)
class Tap:
    """A named point of one model that an edge reads; `level` is its P-level, where it has one."""

    role: Role
    name: str
    layout: Layout
    level: str | None


@dataclass(frozen=True)
class Align:
    """Brings a model's tensor to where it can be compared: the levels, classes, bins and cells in common.

    `name` is that of the term it is for, `shape` the result's. `kind` is one of `classes`, `gathered`
    (anchors of some levels), `regridded` (one level in other cells), `rebinned`, `scaled`,
    `scaled_keypoints`, `averaged` (several teachers): functions of `kdgraph.nn.align`, whose arguments are
    the ports `values`, `maps`, `like`, `target`, `several` and the options.
    """

    name: str
    kind: str
    options: tuple[tuple[str, Any], ...]
    shape: tuple[int, ...] | None


@dataclass(frozen=True)
class Adapter:
    """Takes the student's tensor to the teacher's shape. Ports: `student`, `teacher` (its size only)."""

    name: str
    kind: str
    options: tuple[tuple[str, Any], ...]
    channels: tuple[int, int]  # student, teacher


@dataclass(frozen=True)
class Signal:
    """A value made of the heads' outputs and the labels, for criteria and masks to read; a mask is one.

    `kind` is the name of a mask, or `assign`, `label`, `target_box`, `instances`, `level` (the piece of one
    level), `product`, `gathered` (the anchors of some levels), `remapped` (classes under other numbers),
    `enclosing` (boxes around rotated ones). Its ports are the arguments it is computed from. `cells` are the
    positions it has a value for: (A,) along the anchor axis, (H, W) at a level, None where it is not by
    position. `strides` are those of the levels that its maps are of, finest first.
    """

    name: str
    kind: str
    options: tuple[tuple[str, Any], ...] = ()
    cells: tuple[int, ...] | None = None
    strides: tuple[int, ...] = ()


@dataclass(frozen=True)
class Splice:
    """Where the student's tensor enters the teacher's graph. Ports: `student`, `teacher`.

    It gives the student's tensor, with the teacher's mean and deviation per channel if `standardise`.
    """

    edge: EdgeSpec = field(repr=False)
    name: str
    standardise: bool


@dataclass(frozen=True)
class Term:
    """One criterion between two taps: an edge at one level.

    Ports: `student`, `teacher`, `mask`, and the signals that the criterion reads; `splice` in place of
    `student` until splice_teacher has run. `taps` are the names that the edge gives its two taps (merged taps
    forget all but the first); what comes through a splice goes by `entry>tap`.
    """

    edge: EdgeSpec = field(repr=False)
    name: str
    level: str | None
    criterion: Component
    taps: tuple[str, str]  # student, teacher


Vertex = Op | Input | Tap | Align | Adapter | Signal | Splice | Term
V = TypeVar("V", Op, Input, Tap, Align, Adapter, Signal, Splice, Term)


def named(role: Role) -> str:
    """A role as messages call it: `student`, `teacher`, `teacher 'big'`."""
    return role if role in ("student", "teacher") else f"teacher '{role}'"


def op_key(role: Role, node: fx.Node, splice: str | None = None) -> str:
    return f"{splice or role}:{node.name}"
