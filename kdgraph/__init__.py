"""kdgraph: a declarative, graph-based distillation compiler for Ultralytics YOLO.

    spec = kdgraph.load("my-spec.yaml")    # a Spec, checked
    distiller = kdgraph.compile(spec)      # student, frozen teacher and losses as one module
    out = distiller(batch)                 # out.predictions, out.losses, out.loss

Names are loaded on first use, so that importing kdgraph does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kdgraph.compiler.api import compile
    from kdgraph.compiler.distiller import Distiller, DistillOutput
    from kdgraph.errors import KdgraphError
    from kdgraph.graph.yolo import trace
    from kdgraph.nn import register
    from kdgraph.nn.criteria.base import Criterion
    from kdgraph.nn.registry import criterion
    from kdgraph.spec.parse import load
    from kdgraph.spec.schema import Spec

__version__ = "0.1.0"
__all__ = [
    "Criterion",
    "DistillOutput",
    "Distiller",
    "KdgraphError",
    "Spec",
    "compile",
    "criterion",
    "load",
    "register",
    "trace",
]

_HOMES = {
    "Criterion": "kdgraph.nn.criteria.base",
    "DistillOutput": "kdgraph.compiler.distiller",
    "Distiller": "kdgraph.compiler.distiller",
    "KdgraphError": "kdgraph.errors",
    "Spec": "kdgraph.spec.schema",
    "compile": "kdgraph.compiler.api",
    "criterion": "kdgraph.nn.registry",
    "load": "kdgraph.spec.parse",
    "register": "kdgraph.nn.register",
    "trace": "kdgraph.graph.yolo",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'kdgraph' has no attribute '{name}'")
    home = import_module(_HOMES[name])
    return home if home.__name__.endswith(f".{name}") else getattr(home, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
