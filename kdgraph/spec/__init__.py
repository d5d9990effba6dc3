"""The spec language: text -> `Spec`. Nothing here imports torch."""

from __future__ import annotations

from kdgraph.spec.parse import load, parse
from kdgraph.spec.schema import Spec

__all__ = ["Spec", "load", "parse"]
