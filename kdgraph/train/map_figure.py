"""The picture of a term: images, and beside each what teacher and student make of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from torch import Tensor

from kdgraph.train.compared import Side
from kdgraph.train.figures import HEADING, INK, figure
from kdgraph.train.maps import MapPair, Measure

__all__ = ["Row", "map_figure"]

# in inches
_CELL = 1.75  # width of a picture
_GAP, _WIDE_GAP = 0.08, 0.3  # between pictures, and before what belongs together
_EDGE = 0.15
_NUMBERS = 0.26  # below a picture
_HEAD = 1.0  # title of the figure and of the columns
_FOOT = 0.62  # colours

_SMALL = {"fontsize": 7, "color": INK}
_SEQUENTIAL, _DIVERGING = "viridis", "PuOr_r"  # colour-blind people can tell them apart


class Row(NamedTuple):
    """An image [C,H,W] in 0..1 and its maps, one pair per measure."""

    image: Tensor
    pairs: Sequence[MapPair]


def map_figure(rows: Sequence[Row], sides: tuple[Side, Side], title: str) -> Figure:
    """A grid: per image a row, of the image and of two maps per measure, the teacher's and the student's.

    `sides` are the student's and the teacher's. The colours of each map go over its own range, from 0 where
    that has a meaning; the range stands below it.
    """
    lefts, width = _columns(len(rows[0].pairs))
    heights = [_CELL * row.image.shape[1] / row.image.shape[2] for row in rows]
    height = _HEAD + sum(heights) + _NUMBERS * len(rows) + _FOOT
    drawn = figure(width, height)
    drawn.set_layout_engine("none")
    drawn.text(_EDGE / width, 1 - 0.16 / height, title, **HEADING, va="top")
    top = height - _HEAD
    for number, (row, tall) in enumerate(zip(rows, heights, strict=True)):
        axes = [
            drawn.add_axes((x / width, (top - tall) / height, _CELL / width, tall / height)) for x in lefts
        ]
        _draw(axes, row)
        if number == 0:
            _head(axes, row, sides)
        top -= tall + _NUMBERS
    for number, pair in enumerate(rows[0].pairs):
        left, wide = lefts[1 + 2 * number], 2 * _CELL + _GAP
        bar = drawn.add_axes((left / width, (_FOOT - 0.2) / height, wide / width, 0.1 / height))
        _colours(bar, drawn.axes[1 + 2 * number].images[0], pair.measure)
    return drawn


def _columns(measures: int) -> tuple[list[float], float]:
    """Where the columns of the image and of the measures begin, and how wide all is."""
    lefts = [_EDGE]
    for number in range(2 * measures):
        lefts.append(lefts[-1] + _CELL + (_GAP if number % 2 else _WIDE_GAP))
    return lefts, lefts[-1] + _CELL + _EDGE


def _draw(axes: Sequence[Any], row: Row) -> None:
    _image(axes[0], row.image)
    height, width = row.image.shape[1:]
    for each, (measure, values) in zip(axes[1:], _maps(row), strict=True):
        low, high = _scale(measure, values)
        colours = _DIVERGING if measure.signed else _SEQUENTIAL
        each.imshow(
            values.numpy(), cmap=colours, vmin=low, vmax=high, extent=(0, width, height, 0), aspect="auto",
            interpolation="nearest",
        )  # fmt: skip
        each.set_xlabel(_told(values), **_SMALL, labelpad=3)
    for each in axes:
        each.set(xticks=[], yticks=[])
        each.spines[:].set_visible(False)


def _maps(row: Row) -> Iterator[tuple[Measure, Tensor]]:
    """In the order of the columns."""
    for pair in row.pairs:
        yield pair.measure, pair.teacher
        yield pair.measure, pair.student


def _image(axes: Any, image: Tensor) -> None:
    pixels = image[:3] if len(image) >= 3 else image[:1].expand(3, -1, -1)
    axes.imshow(pixels.permute(1, 2, 0).clamp(0, 1).numpy(), aspect="auto")
    axes.set_xlabel(f"{image.shape[2]}×{image.shape[1]} pixels", **_SMALL, labelpad=3)


def _scale(measure: Measure, values: Tensor) -> tuple[float, float]:
    """The values at the two ends of the colours."""
    least, most = float(values.min()), float(values.max())
    if measure.signed:
        most = max(-least, most)
        least = -most
    elif measure.from_zero:
        least = 0.0
    return least, most if most > least else least + 1.0


def _told(values: Tensor) -> str:
    least, most = float(values.min()), float(values.max())
    digits = 3 if f"{least:.3g}" != f"{most:.3g}" else 5
    return f"{least:.{digits}g} … {most:.{digits}g}"


def _head(axes: Sequence[Any], row: Row, sides: tuple[Side, Side]) -> None:
    axes[0].set_title("image", fontsize=8, color=INK)
    for number, pair in enumerate(row.pairs):
        for place, side in ((1, 1), (2, 0)):
            title = _titled(sides[side], "teacher" if side else "student", pair.shapes[side])
            axes[2 * number + place].set_title(title, fontsize=8, color=INK)


def _titled(side: Side, part: str, shape: tuple[int, ...]) -> str:
    """Whose tensor it is, where it is tapped, and what its shape is."""
    known = side.role in (part, "student")  # a student that teaches is one
    who = part if known else f"{part} '{_cut(side.role, 14)}'"
    who = f"{part} (the student itself)" if part == "teacher" and side.role == "student" else who
    size = "×".join(map(str, shape))
    return f"{who}\n{_cut(side.tap, 24)}\n{size}{', adapted' if side.adapted else ''}"


def _cut(name: str, longest: int) -> str:
    return name if len(name) <= longest else f"…{name[1 - longest :]}"


def _colours(axes: Any, shown: Any, measure: Measure) -> None:
    """The colours of two columns; one bar serves all of their maps, each of which has its own range."""
    bar = axes.figure.colorbar(shown, cax=axes, orientation="horizontal")
    low, high = shown.get_clim()
    if measure.signed:
        bar.set_ticks([low, 0, high], labels=["-max", "0", "max"])
    else:
        bar.set_ticks([low, high], labels=["0" if measure.from_zero else "min", "max"])
    axes.tick_params(labelsize=7, colors=INK, length=0)
    bar.set_label(measure.name, fontsize=8, color=INK, labelpad=0)
    bar.outline.set_visible(False)
