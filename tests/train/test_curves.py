"""Curves of the edges over the epochs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from kdgraph.train.curves import gradient_shares, loss_curves
from kdgraph.train.edge_log import TASK, EdgeRow
from kdgraph.train.figures import figure, save


def rows(edges: int, epochs: int, ends: int = 10**6) -> list[EdgeRow]:
    """Edges of which the first ends after epoch `ends`; their losses and shares all differ."""
    made = []
    for epoch in range(1, epochs + 1):
        names = [*(f"edge_{n}" for n in range(edges) if n or epoch <= ends), TASK]
        total = sum(range(1, len(names) + 1))
        for place, name in enumerate(names, 1):
            loss = place + 1 / epoch
            made.append(EdgeRow(epoch, name, loss, loss / 2, float(place), place / total))
    return made


def texts(drawn: Figure) -> list[Text]:
    """All that is written in a figure and can be seen."""
    hidden = {id(text) for axes in drawn.axes if not axes.get_visible() for text in axes.findobj(Text)}
    for axis in (axis for axes in drawn.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
            if not low <= tick.get_loc() <= high:  # beyond the end of the axis nothing is drawn
                hidden |= {id(tick.label1), id(tick.label2)}
    found: list[Any] = drawn.findobj(Text)
    return [
        text for text in found if text.get_visible() and text.get_text().strip() and id(text) not in hidden
    ]


def overlaps(drawn: Figure) -> list[tuple[str, str]]:
    """Pairs of texts of which one stands on the other, and texts that are cut off (paired with nothing)."""
    drawn.draw_without_rendering()
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts(drawn)]
    page = drawn.bbox
    cut = [
        (text, "")
        for text, box in boxes
        if box.x0 < page.x0 - 1 or box.x1 > page.x1 + 1 or box.y0 < page.y0 - 1 or box.y1 > page.y1 + 1
    ]
    met = [
        (one, other)
        for (one, first), (other, second) in itertools.combinations(boxes, 2)
        if min(first.x1, second.x1) - max(first.x0, second.x0) > 1
        and min(first.y1, second.y1) - max(first.y0, second.y0) > 1
    ]
    return cut + met


@pytest.mark.parametrize(("edges", "epochs"), [(0, 1), (1, 1), (3, 40), (8, 3), (30, 300)])
def test_every_edge_can_be_read(edges: int, epochs: int) -> None:
    drawn = loss_curves(rows(edges, epochs))
    titles = [axes.get_title("left") for axes in drawn.axes if axes.get_visible()]
    assert titles == [*(f"edge_{n}" for n in range(edges)), TASK]
    assert overlaps(drawn) == []
    shares = gradient_shares(rows(edges, epochs))
    assert {text.get_text() for text in shares.legends[0].get_texts()} == set(titles)
    assert overlaps(shares) == []


def test_long_names_do_not_meet_and_are_told_apart() -> None:
    names = [f"{'very_' * 12}long_{n}" for n in range(12)]
    made = [EdgeRow(epoch, name, 1, 1, 1, 1 / 12) for epoch in (1, 2) for name in names]
    for drawn in (loss_curves(made), gradient_shares(made)):
        assert overlaps(drawn) == []
        assert sum(text.get_text().endswith("long_7") for text in texts(drawn)) == 1


def test_the_lines_are_the_losses() -> None:
    given = rows(2, 5, ends=3)
    axes = loss_curves(given).axes
    for name, own in zip(("edge_0", "edge_1", TASK), axes, strict=False):
        lines = {str(line.get_label()): line for line in own.get_lines()}
        wanted = [row for row in given if row.edge == name]
        for label in ("task loss",) if name == TASK else ("loss", "weighted"):
            assert list(lines[label].get_xdata()) == [row.epoch for row in wanted]
            values = [row.weighted if label == "weighted" else row.loss for row in wanted]
            assert list(lines[label].get_ydata()) == values


def test_a_loss_that_falls_far_is_on_a_logarithmic_axis() -> None:
    far = [EdgeRow(n, "far", 10.0**-n, 10.0**-n, 1, 1) for n in (1, 2, 3)]
    near = [EdgeRow(n, "near", 1 + n, 0, 1, 1) for n in (1, 2, 3)]
    assert [axes.get_yscale() for axes in loss_curves(far + near).axes[:2]] == ["log", "linear"]


def areas(drawn: Figure, epochs: Sequence[int]) -> list[list[tuple[float, float]]]:
    """(bottom, top) of each area at each epoch, from the first to be stacked."""
    found = []
    for area in drawn.axes[0].collections:
        points: Any = area.get_paths()[0].vertices
        found.append(
            [(float(ys.min()), float(ys.max())) for e in epochs if len(ys := points[points[:, 0] == e, 1])]
        )
    return found


def test_the_areas_are_the_shares_one_on_the_other() -> None:
    given = rows(3, 4, ends=2)
    found = areas(gradient_shares(given), range(1, 5))
    share = {(row.edge, row.epoch): row.share for row in given}
    for epoch in range(1, 5):
        bottom = 0.0
        for name, area in zip(("edge_0", "edge_1", "edge_2", TASK), found, strict=True):
            height = share.get((name, epoch), 0.0)
            assert area[epoch - 1] == pytest.approx((bottom, bottom + height), abs=1e-6)
            bottom += height
        assert bottom == pytest.approx(1)


def test_no_two_areas_look_alike() -> None:
    patches = gradient_shares(rows(30, 2)).legends[0].get_patches()
    looks = {(patch.get_facecolor(), patch.get_hatch()) for patch in patches}
    assert len(looks) == 31


numbers = st.one_of(st.floats(-1e3, 1e9), st.sampled_from([0.0, math.nan, math.inf]))


@settings(max_examples=6, deadline=None)
@given(values=st.lists(st.tuples(numbers, numbers, numbers), min_size=1, max_size=4))
def test_whatever_the_numbers_are_there_is_a_picture(
    values: list[tuple[float, float, float]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    made = [EdgeRow(n, "edge $x_{", *three, 0.5) for n, three in enumerate(values, 1)]
    made += [EdgeRow(n, TASK, *three, three[0]) for n, three in enumerate(values, 1)]
    path = tmp_path_factory.mktemp("pictures") / "one.png"
    for drawn in (loss_curves(made), gradient_shares(made)):
        pixels = save(drawn, path)
        assert pixels is not None
        assert np.array_equal(np.asarray(Image.open(path)), pixels)
        assert pixels.std() > 0


def test_a_picture_that_cannot_be_written_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "maps").write_text("a file, not a folder")
    assert save(figure(1, 1), tmp_path / "maps" / "one.png") is None
    assert save(figure(1e5, 1), tmp_path / "huge.png") is None
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "maps/one.png could not be written (" in caplog.messages[0]
    assert "huge.png could not be written (ValueError: Image size" in caplog.messages[1]
