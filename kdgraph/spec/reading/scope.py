"""What the parts of a spec may refer to, beyond what stands in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kdgraph.errors import Diagnostic
from kdgraph.spec import plugins
from kdgraph.spec.components import ComponentInfo, Kind
from kdgraph.spec.nodes import Node


@dataclass(frozen=True)
class Scope:
    """The entries of `taps:`, the length of the run, and the plugins."""

    named: Mapping[str, Node] = field(default_factory=dict)
    epochs: int = 1
    plugins: tuple[str, ...] = ()
    lost: tuple[Diagnostic, ...] = ()
    """Why plugins could not be loaded: an unknown component may have been theirs."""

    def components(self, kind: Kind) -> Mapping[str, ComponentInfo]:
        """The components that the spec may name."""
        return plugins.known(kind, self.plugins)
