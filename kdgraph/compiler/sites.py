"""Where a term wants what it reads: at which cells, of which branch of which heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, count
from typing import Any, Literal

from kdgraph.compiler.frames import Frame, shape_of
from kdgraph.compiler.taps import Unresolved
from kdgraph.errors import Diagnostic
from kdgraph.graph.ir import DistillGraph, Role, Signal, Term, named, op_key
from kdgraph.graph.yolo import Head
from kdgraph.spec.components import Layout
from kdgraph.spec.plugins import find
from kdgraph.spec.schema import Component

__all__ = ["Branch", "Side", "Site"]

Cells = tuple[int, ...]
Side = Literal["student", "teacher"]
Branch = tuple[Side, Role]
"""A model as one side of a term: the student may be both sides."""

_AT_HEADS = frozenset(
    {"student_cls", "teacher_cls", "teacher_branches", "student_box", "teacher_box", "target"}
)
"""Signals that only a head's levels have; the others have the cells of any map."""


@dataclass(frozen=True)
class Site:
    """The cells at which a term wants its signals, and whose assignment it goes by.

    `anchors`: along the anchor axis of the levels in common, [B,C,A]; else at the level of the term,
    [B,C,H,W]. `branches` are the models whose one-to-one branch the term taps, with its name. `part` and
    `component` are what the signals are for: the edge's mask or criterion.

    Methods add what they need to the graph. They raise Unresolved (KD203, KD204) where a model has no head,
    or the heads have no such level or no class in common.
    """

    graph: DistillGraph
    term: str
    frame: Frame
    anchors: bool
    part: Literal["mask", "criterion"]
    component: Component
    of: Side
    topk: int
    branches: Mapping[Branch, str] = field(default_factory=dict)

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
            raise self.misfit(f"needs a detection head, which the {named(role)} does not have")
        return head

    @property
    def level(self) -> str | None:
        """The term's level, which all heads have; None along the anchor axis."""
        if self.anchors:
            return None
        level, levels = self.vertex.level, self.frame.levels
        if self.frame.apart:
            raise self.misfit("needs a level that both heads have, and there is none")
        if level not in levels:
            at = f"a tap at {level}" if level else "a tap that is no level"
            raise self.misfit(f"is given for {', '.join(levels)}, and this edge has {at}")
        return level

    # What heads put out

    def raw(self, side: Side, role: Role, name: str) -> str:
        """An output of one model: `head.cls` of all its anchors, or at the level `head.cls.p3`."""
        self.head(role)
        names = self.graph.models[role].names
        full = name if self.level is None else f"{name}.{self.level}"
        branched = full.replace("head", self.branches.get((side, role), "head"), 1)
        if full not in names and branched not in names:
            raise self.misfit(f"needs {full}, which the {named(role)} does not have")
        return op_key(role, names[branched if branched in names else full])

    def output(self, side: Side, name: str, layout: Layout) -> str:
        """The same of the student, or the average of its teachers, where the two can be compared."""
        roles = ("student",) if side == "student" else self.frame.teachers
        classes = self.frame.classes
        if layout == "cls" and len(roles) > 1 and classes is not None and not classes.student:
            raise self.misfit(
                "averages the scores of several teachers, which have no class in common", "KD204"
            )
        brought = [self.bring(role, self.raw(side, role, name), layout) for role in roles]
        return self.frame.average(brought, layout, self.vertex.name)

    def bring(self, role: Role, value: str, layout: Layout) -> str:
        # what reads the teacher's scores alone takes them whatever its classes are
        compares = set(find(self.part, self.name).reads) & {"student_cls", "instances"}
        if layout == "cls" and compares and self.frame.classes and not self.frame.classes.student:
            raise self.misfit("compares classes, and the two models have none in common", "KD204")
        return self.frame.bring(role, value, layout, self.level, self.vertex.name)

    def maps(self) -> list[str]:
        """A map of each level in common."""
        if not self.frame.strides:
            raise self.misfit("compares heads, and the two have no level in common", "KD202")
        return self.frame.maps()

    # The cells of a signal

    def cells(self) -> Cells | None:
        return self.frame.cells(self.level)

    def mask_cells(self, reads: Sequence[str]) -> Cells | None:
        if self.anchors or set(reads) & _AT_HEADS:
            return self.cells()
        shape = shape_of(self.graph, self.teacher)
        return shape[2:] if shape else None

    @property
    def teacher(self) -> str:
        """The teacher's side of the term."""
        return self.graph.source(self.term, "teacher") or ""

    def add(
        self, kind: str, cells: Cells | None, ports: Mapping[str, Sequence[str]], /, **options: Any
    ) -> str:
        """A signal vertex that reads what is named, by port."""
        term = self.vertex.name
        signal = Signal(f"{kind}_{term}", kind, tuple(sorted(options.items())), cells, self.frame.strides)
        keys = chain([f"{kind}:{term}"], (f"{kind}:{term}:{number}" for number in count(2)))
        key = self.graph.add(next(key for key in keys if key not in self.graph), signal)
        for port, sources in ports.items():
            for source in sources:
                self.graph.connect(source, key, port)
        return key

    def misfit(self, what: str, code: str = "KD203") -> Unresolved:
        edge = self.vertex.edge
        span = edge.span(self.part) or edge.span("criterion") or edge.span("taps")
        mend = "use `mask: all`" if self.part == "mask" else "use a criterion that needs no head"
        mend += ", or tap levels that the heads have"
        if code == "KD204":
            mend = (
                "say which classes are the same: `teacher: {model: …, classes: {teacher_name: student_name}}`"
            )
        message = f"edge '{edge.name}': {self.part} '{self.name}' {what}"
        return Unresolved(Diagnostic(code, message, span, mend))
