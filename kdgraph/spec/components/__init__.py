"""The criteria, masks, adapters and balancers that a spec may name, with their options, without any tensor.

The modules themselves live in `kdgraph.nn`, under the same names. A spec is checked against this list alone,
so `kdgraph check` and an editor need no torch.
"""

from __future__ import annotations

from kdgraph.spec.components.adapters import ADAPTERS
from kdgraph.spec.components.balancers import BALANCERS
from kdgraph.spec.components.base import ComponentInfo, Kind, Layout, NoOptions, Options, Signal, Wire
from kdgraph.spec.components.criteria import CRITERIA
from kdgraph.spec.components.masks import MASKS

__all__ = [
    "ADAPTERS",
    "BALANCERS",
    "COMPONENTS",
    "CRITERIA",
    "MASKS",
    "ComponentInfo",
    "Kind",
    "Layout",
    "NoOptions",
    "Options",
    "Signal",
    "Wire",
]

COMPONENTS: dict[Kind, dict[str, ComponentInfo]] = {
    "criterion": CRITERIA,
    "mask": MASKS,
    "adapter": ADAPTERS,
    "balance": BALANCERS,
}
"""Kind -> name -> component: everything a spec may name."""
