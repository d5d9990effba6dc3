"""Draws the pictures of `builtin:glyphs`: letters and shapes on a photograph, each with its exact place.

Everything is computed here, in numpy, from a seed with a frozen random stream: a scene depends on no font, on
no version of a drawing library, and not on the scenes before it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

Array = NDArray[np.float64]
Image = Array  # [H, W, 3], 0..255
Alpha = Array  # [H, W], 0..1: how much of each pixel an object covers
Point = tuple[float, float]
Contour = list[Point]

SIZE = 160
"""Width and height of a scene, in pixels."""

_SAMPLES = 3  # per pixel and axis, for smooth edges
_SEEN = 0.35  # an object is seen in a pixel if it covers more of it than this
_LEFT = 0.65  # of an object, at least this much is left in sight by those above it


def _circle(radius: float, corners: int = 28) -> Contour:
    angles = [2 * math.pi * k / corners for k in range(corners)]
    return [(radius * math.cos(a), radius * math.sin(a)) for a in angles]


def _mirrored(right: Contour) -> Contour:
    """A contour symmetric about the vertical axis from its right half, top to bottom."""
    return right + [(-x, y) for x, y in reversed(right)]


def _star(points: int, inner: float) -> Contour:
    corners = [(1.0, math.pi * 2 * k / points) for k in range(points)]
    notches = [(inner, math.pi * (2 * k + 1) / points) for k in range(points)]
    both = [corner for pair in zip(corners, notches, strict=True) for corner in pair]
    return [(radius * math.sin(angle), -radius * math.cos(angle)) for radius, angle in both]


_E: Contour = [
    *((-0.8, -1), (0.8, -1), (0.8, -0.6), (-0.3, -0.6), (-0.3, -0.2), (0.6, -0.2)),
    *((0.6, 0.2), (-0.3, 0.2), (-0.3, 0.6), (0.8, 0.6), (0.8, 1), (-0.8, 1)),
]
_ARROW: Contour = [(-1, -0.28), (0.15, -0.28), (0.15, -0.8), (1, 0), (0.15, 0.8), (0.15, 0.28), (-1, 0.28)]

GLYPHS: dict[str, list[Contour]] = {
    "A": [_mirrored([(0.28, -1), (1, 1), (0.5, 1), (0.3, 0.45)]), [(0, -0.55), (0.22, 0.1), (-0.22, 0.1)]],
    "E": [_E],
    "H": [_mirrored([(0.35, -0.22), (0.35, -1), (0.85, -1), (0.85, 1), (0.35, 1), (0.35, 0.22)])],
    "T": [_mirrored([(0.95, -1), (0.95, -0.5), (0.25, -0.5), (0.25, 1)])],
    "star": [_star(5, 0.45)],
    "ring": [_circle(1.0), _circle(0.55)],
    "triangle": [[(0, -1), (0.95, 0.75), (-0.95, 0.75)]],
    "arrow": [_ARROW],
}
"""Contours in a box of -1..1, y downwards; a point inside an odd number of them is inside the glyph."""


@dataclass(frozen=True)
class Glyph:
    """An object of class `label` in the picture; pixels and their edges are counted from 0.

    left, top, right, bottom: what can be seen of it. contours: the whole of it, also what others cover and
    what lies beyond the picture. frame: the corners of its box before it was turned, turned with it: upper
    left, upper right, lower right, lower left.
    """

    label: int
    left: int
    top: int
    right: int
    bottom: int
    contours: tuple[tuple[Point, ...], ...]
    frame: tuple[Point, ...]


@dataclass(frozen=True)
class _Form:
    """A glyph in its place: its contours and its turned box, in pixels."""

    label: int
    contours: list[Array]
    frame: Array


@dataclass(frozen=True)
class _Shown:
    """An object in the picture: its form, what is left to see of it, and how much of it there was."""

    form: _Form
    alpha: Alpha
    area: float


def draw_scene(
    photos: Sequence[NDArray[np.uint8]], seed: Sequence[int]
) -> tuple[NDArray[np.uint8], list[Glyph]]:
    """A picture [SIZE, SIZE, 3] in the photographs' channel order and what can be seen in it."""
    random = RandomState(list(seed))
    image = _background(photos[random.randint(len(photos))], random)
    shown: list[_Shown] = []
    for _ in range(random.randint(3, 10) if random.uniform() > 0.04 else 0):
        form, alpha = _pick(random)
        left = [each.alpha * (1 - alpha) for each in shown]
        if all(rest.sum() > _LEFT * each.area for rest, each in zip(left, shown, strict=True)):
            image = _paint(image, alpha, random)
            shown = [replace(each, alpha=rest) for rest, each in zip(left, shown, strict=True)]
            shown.append(_Shown(form, alpha, float(alpha.sum())))
    image = image + random.normal(0, random.uniform(0, 3), image.shape)
    return np.clip(image, 0, 255).astype(np.uint8), [_glyph(each.form, each.alpha) for each in shown]


def _background(photo: NDArray[np.uint8], random: RandomState) -> Image:
    """A crop of the photograph, shrunk by a whole factor and with its contrast and brightness changed."""
    factor = random.randint(1, 1 + min(photo.shape[:2]) // SIZE)
    side = factor * SIZE
    top, left = (random.randint(0, length - side + 1) for length in photo.shape[:2])
    small = _shrink(photo[top : top + side, left : left + side], factor)
    return small * random.uniform(0.55, 1.0) + random.uniform(0, 30)


def _shrink(fine: NDArray[Any], factor: int) -> Array:
    """The mean of each block of factor x factor values."""
    total = np.zeros((fine.shape[0] // factor, fine.shape[1] // factor, *fine.shape[2:]))
    for row in range(factor):
        for column in range(factor):
            total += fine[row::factor, column::factor]
    return total / factor**2


def _pick(random: RandomState) -> tuple[_Form, Alpha]:
    """A glyph of any class, size and place, and the pixels that it covers."""
    label = random.randint(len(GLYPHS))
    drawn = list(GLYPHS.values())[label]
    *contours, frame = _pose([*drawn, _frame(drawn)], random)
    return _Form(label, contours, frame), _cover(contours, blur=random.randint(0, 3))


def _frame(contours: list[Contour]) -> Contour:
    """The corners of the box around a glyph, clockwise from the upper left."""
    x, y = zip(*(point for contour in contours for point in contour), strict=True)
    left, top, right, bottom = min(x), min(y), max(x), max(y)
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def _pose(contours: list[Contour], random: RandomState) -> list[Array]:
    """The contours in pixels: sized, stretched, turned and moved, their centre well inside the picture."""
    radius = math.exp(random.uniform(math.log(15), math.log(36)))
    stretch = math.sqrt(random.uniform(0.8, 1.25))
    angle = random.uniform(-math.pi / 6, math.pi / 6)
    centre = random.uniform(0.7 * radius, SIZE - 0.7 * radius, 2)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    scale = np.array([radius * stretch, radius / stretch])
    return [np.array(contour) * scale @ turn + centre for contour in contours]


def _cover(contours: list[Array], blur: int) -> Alpha:
    """How much of each pixel of the picture the glyph covers, smoothed `blur` times."""
    corners = np.concatenate(contours)
    (left, top) = np.clip(np.floor(corners.min(0)) - 3, 0, SIZE).astype(int)
    (right, bottom) = np.clip(np.ceil(corners.max(0)) + 3, 0, SIZE).astype(int)
    inside = _inside(contours, _grid(left, right), _grid(top, bottom))
    patch = _shrink(inside, _SAMPLES)
    for _ in range(blur):
        for axis in (0, 1):
            patch = _smooth(patch, axis)
    alpha = np.zeros((SIZE, SIZE))
    alpha[top:bottom, left:right] = patch
    return alpha


def _grid(start: int, stop: int) -> Array:
    """The sample positions between two pixel edges, `_SAMPLES` for each pixel."""
    return start + (np.arange((stop - start) * _SAMPLES) + 0.5) / _SAMPLES


def _inside(contours: list[Array], x: Array, y: Array) -> NDArray[np.bool_]:
    """Even-odd rule at the points of a grid, [len(y), len(x)]: count the edges to the right of each point."""
    odd = np.zeros((len(y), len(x)), bool)
    for contour in contours:
        for (x0, y0), (x1, y1) in zip(contour, np.roll(contour, -1, 0), strict=True):
            rows = (y0 <= y) != (y1 <= y)
            crossing = x0 + (y[rows] - y0) * (x1 - x0) / (y1 - y0 or 1)
            odd[rows] ^= x < crossing[:, None]
    return odd


def _smooth(patch: Array, axis: int) -> Array:
    """The binomial filter 1-2-1 along one axis; beyond the edge there is nothing."""
    padded = np.pad(patch, [(1, 1) if axis == each else (0, 0) for each in (0, 1)])
    before, after = np.delete(padded, (-2, -1), axis), np.delete(padded, (0, 1), axis)
    return (before + 2 * patch + after) / 4


def _paint(image: Image, alpha: Alpha, random: RandomState) -> Image:
    """Lay a colour that stands out from what is below it over the picture, a little lighter to one side."""
    below = image[alpha > _SEEN].mean(0)
    colour = below
    while np.abs(colour - below).sum() < 240:
        colour = random.uniform(0, 255, 3)
    shade = 1 + random.uniform(-0.25, 0.25) * np.linspace(-1, 1, SIZE)
    shade = shade[:, None] if random.randint(2) else shade[None, :]
    weight = (alpha * random.uniform(0.9, 1.0))[..., None]
    painted: Image = image * (1 - weight) + colour * shade[..., None] * weight
    return painted


def _glyph(form: _Form, visible: Alpha) -> Glyph:
    seen = visible > _SEEN
    columns, rows = np.flatnonzero(seen.any(0)), np.flatnonzero(seen.any(1))
    extent = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
    return Glyph(form.label, *extent, tuple(map(_points, form.contours)), _points(form.frame))


def _points(contour: Array) -> tuple[Point, ...]:
    return tuple((float(x), float(y)) for x, y in contour)
