"""The adapters that a spec may name."""

from __future__ import annotations

from kdgraph.spec.components import options
from kdgraph.spec.components.base import ComponentInfo, table

ADAPTERS = table(
    ComponentInfo("auto", "what the shapes need, and nothing when they agree"),
    ComponentInfo("identity", "nothing: the shapes must agree"),
    ComponentInfo("conv1x1", "a 1x1 convolution to the teacher's width", options.Conv1x1),
    ComponentInfo("mlp", "two 1x1 convolutions with a ReLU between them", source="Ultralytics 8.4"),
    ComponentInfo("resize", "interpolation to the teacher's height and width", options.Resize),
)
