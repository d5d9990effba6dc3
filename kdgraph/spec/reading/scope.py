"""What the parts of a spec may refer to, beyond what stands in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kdgraph.errors import Diagnostic
from kdgraph.spec import plugins
from kdgraph.spec.components import ComponentInfo, Kind
from kdgraph.spec.nodes import Node
from kdgraph.spec.schema import STUDENT


@dataclass(frozen=True)
class Scope:
    """The entries of `taps:`, the length of the run, the plugins and the teachers."""

    named: Mapping[str, Node] = field(default_factory=dict)
    epochs: int = 1
    plugins: tuple[str, ...] = ()
    lost: tuple[Diagnostic, ...] = ()
    """Why plugins could not be loaded: an unknown component may have been theirs."""

    teachers: tuple[str, ...] = ("teacher",)
    """The names of the teachers; none where the student teaches itself."""
    teachers_known: bool = True
    """Whether these names could be read: else any other may have been meant."""

    @property
    def default_teacher(self) -> tuple[str, ...]:
        """The teacher of an edge that names none; empty where it has to."""
        if not self.teachers:
            return (STUDENT,)
        return self.teachers if len(self.teachers) == 1 else ()

    def components(self, kind: Kind) -> Mapping[str, ComponentInfo]:
        """The components that the spec may name."""
        return plugins.known(kind, self.plugins)
