"""A scene: all that a picture shows, with its place, ready to be drawn by any means."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch.fx as fx

from kdgraph.draw.boxes import Box
from kdgraph.draw.grid import Band, Column
from kdgraph.draw.insides import Inside
from kdgraph.draw.parts import Anatomy
from kdgraph.draw.routes import Plane, Point
from kdgraph.draw.terms import Mark

__all__ = ["DETAILS", "MIDDLE", "Detail", "Kind", "Link", "Pair", "Scene", "Subject", "View"]

Detail = Literal["stages", "layers", "nodes"]
DETAILS: tuple[Detail, ...] = ("stages", "layers", "nodes")
"""From the picture that a paper has to the nodes of the fx graph."""
Kind = Literal["model", "spec", "diff"]
MIDDLE = "between"
"""The role of the column in which the labels of terms stand."""


@dataclass(frozen=True)
class Subject:
    """A model in a picture.

    left: the nodes that the compiler kept, None where nothing was compiled; size: their parameters,
    operations for one image, and number.
    """

    role: str
    name: str
    anatomy: Anatomy
    left: Collection[fx.Node] | None = field(default=None, repr=False)
    size: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class Pair:
    """Two boxes of one level, stride and meaning, the student's and the teacher's, and what to call them."""

    name: str
    boxes: tuple[str, str]
    taps: tuple[str, str]
    level: str | None
    stride: int | None
    channels: tuple[int, int]


@dataclass(frozen=True)
class Link:
    """A line from a box to the label of a term or of a pair; `side` is the role of the box's model."""

    box: str
    mark: str
    side: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class View:
    """A picture at one level of detail: rows, columns, boxes, wires, and the lines between the models."""

    bands: tuple[Band, ...]
    columns: tuple[Column, ...]
    plane: Plane
    height: float
    links: tuple[Link, ...]


@dataclass(frozen=True)
class Scene:
    """A picture of one model, of a spec, or of two models that are compared.

    tapped: the names of the terms that tap a box or something in it. pruned: boxes of which the compiled
    module has nothing left. insides: what the box of a layer opens into.
    """

    kind: Kind
    title: str
    subjects: tuple[Subject, ...]
    boxes: Mapping[str, Box] = field(repr=False)
    tapped: Mapping[str, tuple[str, ...]] = field(repr=False)
    pruned: frozenset[str] = field(repr=False)
    views: Mapping[Detail, View] = field(repr=False)
    insides: Mapping[str, Inside] = field(repr=False)
    marks: tuple[Mark, ...] = ()
    pairs: tuple[Pair, ...] = ()
    notes: tuple[str, ...] = ()
    subtitle: str = ""

    @property
    def criteria(self) -> tuple[str, ...]:
        """The criteria of its terms, in the order in which they are coloured."""
        return tuple(dict.fromkeys(mark.criterion for mark in self.marks))

    def colour(self, mark: Mark) -> int:
        """Which of the colours of criteria a term has."""
        return self.criteria.index(mark.criterion)
