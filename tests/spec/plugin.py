"""A plugin that registers without torch, for specs of the tests."""

from __future__ import annotations

from pydantic import Field

from kdgraph.spec.components import ComponentInfo, Layout, Options
from kdgraph.spec.components.options import Share
from kdgraph.spec.plugins import add


class L1(Options):
    share: Share = Field(1.0, description="how much of it")


FEATURES: frozenset[Layout] = frozenset({"features"})

add("criterion", ComponentInfo("corpus_l1", "absolute", L1, plugin=__name__, takes=FEATURES, masked=True))
add("mask", ComponentInfo("corpus_half", "half of the cells", plugin=__name__))


def teacher() -> object:
    """What a spec with `python:` names; reading the spec does not call it."""
    raise NotImplementedError("reading a spec calls no function")
