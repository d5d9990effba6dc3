"""The ways of weighing edges against each other that a spec may name, for its `balance:`."""

from __future__ import annotations

from kdgraph.spec.components import options
from kdgraph.spec.components.base import ComponentInfo, table

BALANCERS = table(
    ComponentInfo(
        "gradient_norm",
        "a weight of 1 gives an edge's gradient at a shared tap the norm that the detection loss has there",
        options.GradientNorm,
        source="Chen et al., GradNorm, ICML 2018",
    ),
    ComponentInfo(
        "uncertainty",
        "each edge's weight is divided by a variance that is learnt with the student",
        source="Kendall et al., Multi-Task Learning Using Uncertainty, CVPR 2018",
    ),
)
