"""Charts, coloured YAML and pictures of a run's page, each against what is read back from its markup."""

from __future__ import annotations

import math
import os
import re
import struct
import zlib
from base64 import b64decode
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from kdgraph.train.page.axes import epochs_axis, values_axis
from kdgraph.train.page.charts import Series, areas, lines
from kdgraph.train.page.highlight import highlighted
from kdgraph.train.page.pictures import BUDGET, WIDTH, Pictures, maps, plots
from tests.train.pages import Element, read

numbers = st.floats(0, 1e6, allow_nan=False).filter(lambda value: value == 0 or value > 1e-6)
curves = st.dictionaries(st.integers(1, 300), numbers, min_size=1, max_size=12)


def points(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+) (-?[\d.]+)", path)]


def scale(svg: Element, kind: str, at: str) -> list[tuple[float, float]]:
    """(what an axis says, where it says it), for all its texts."""
    texts = [each for each in svg.one("g", "grid").all("text") if each.attrs["class"] == kind]
    shift = 3.5 if at == "y" else 0.0
    return [(_value(each.text), float(each.attrs[at]) - shift) for each in texts]


def _value(text: str) -> float:
    return float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)


@given(curves, st.booleans())
def test_a_curve_goes_where_its_axes_say(values: dict[int, float], log: bool) -> None:
    """Read back by the first and the last tick of the axis, as a reader with a ruler would."""
    figure = read(lines("losses", [Series("one", values)], log=log))
    svg = figure.one("svg")
    (low, bottom), *_, (high, top) = scale(svg, "end", "y")
    drawn = points(svg.one("g", "line").one("path").attrs["d"])
    is_log = figure.one("figcaption").text.endswith("(log scale)")
    assert len(drawn) == len(values)
    for (_, place), (_, value) in zip(drawn, sorted(values.items()), strict=True):
        part = (place - bottom) / (top - bottom)
        if not is_log:
            assert low + part * (high - low) == pytest.approx(value, abs=(high - low) / 1000)
        elif value >= low:
            read_back = math.log10(low) + part * math.log10(high / low)
            assert read_back == pytest.approx(math.log10(value), abs=math.log10(high / low) / 1000)


@given(st.sets(st.integers(1, 1000), min_size=2, max_size=20))
def test_epochs_stand_in_their_places(epochs: set[int]) -> None:
    svg = read(lines("a", [Series("one", dict.fromkeys(epochs, 1.0))])).one("svg")
    named = dict(scale(svg, "mid", "x"))
    drawn = points(svg.one("g", "line").one("path").attrs["d"])
    left, right = drawn[0][0], drawn[-1][0]
    assert min(named) == min(epochs)
    for epoch, place in named.items():
        part = (epoch - min(epochs)) / (max(epochs) - min(epochs))
        assert place == pytest.approx(left + part * (right - left), abs=0.2)


@given(st.lists(numbers, min_size=1), st.booleans())
def test_an_axis_holds_its_values_and_few_ticks(values: list[float], log: bool) -> None:
    axis = values_axis(values, 100, 0, log)
    assert axis.low <= min(values) or axis.log
    assert axis.high >= max(values) * (1 - 1e-6)
    assert 2 <= len(axis.ticks) <= 8
    assert list(axis.ticks) == sorted(set(axis.ticks))
    assert all(-1e-6 <= axis.at(value) <= 100 + 1e-6 for value in values)


@given(st.integers(1, 500), st.integers(0, 500))
def test_epochs_are_named_at_whole_numbers_far_enough_apart(first: int, more: int) -> None:
    ticks = epochs_axis(range(first, first + more + 1), 0, 400).ticks
    assert all(tick == int(tick) and first <= tick <= first + more for tick in ticks)
    assert len(ticks) <= 8


@given(st.lists(st.lists(st.integers(1, 50), min_size=3, max_size=3), min_size=2, max_size=6))
def test_stacked_areas_are_as_high_as_their_shares(weights: list[list[int]]) -> None:
    shares = [[each / sum(row) for each in row] for row in weights]
    series = [Series(str(i), {epoch: row[i] for epoch, row in enumerate(shares, 1)}, i + 1) for i in range(3)]
    svg = read(areas("shares", series)).one("svg")
    (none, bottom), *_, (whole, top) = scale(svg, "end", "y")
    assert (none, whole) == (0, 1)
    for index, area in enumerate(svg.all("path", "area")):
        corners = [y for _, y in points(area.attrs["d"])]
        roof, floor = corners[: len(shares)], corners[len(shares) :][::-1]
        for epoch, row in enumerate(shares):
            height = (floor[epoch] - roof[epoch]) / (bottom - top)
            assert height == pytest.approx(row[index], abs=1e-3)
            assert (bottom - floor[epoch]) / (bottom - top) == pytest.approx(sum(row[:index]), abs=1e-3)


def test_one_epoch_is_a_dot_and_a_bar() -> None:
    assert len(read(lines("a", [Series("one", {4: 2.0})])).one("g", "line").all("circle")) == 1
    corners = points(read(areas("a", [Series("one", {4: 1.0})])).one("path", "area").attrs["d"])
    assert len({x for x, _ in corners}) == len({y for _, y in corners}) == 2


def test_nothing_to_draw_is_no_chart() -> None:
    assert lines("a", []) == areas("a", []) == lines("a", [Series("one", {})]) == ""


def test_names_are_escaped() -> None:
    figure = read(lines('<i>"a"', [Series("<script>", {1: 1.0})]))
    assert figure.one("figcaption").text == '<i>"a"'
    assert figure.one("title").text == "epoch 1\n<script>: 1"


@given(st.text(st.characters(exclude_categories=("Cc", "Cs"), include_characters="\n\t")))
def test_colour_changes_no_character(text: str) -> None:
    shown = read(highlighted(text)).one("pre")
    assert shown.text == text.rstrip()


def test_what_is_coloured() -> None:
    text = "a.b: {c: 1.5, 'd': \"x: y\", e-2: [-3e-4, p3, yolo11n.pt, true]}  # f: 1\nurl: http://x#y\n"
    shown = read(highlighted(text)).one("pre")
    kinds = ("key", "number", "string", "word", "comment")
    found = {kind: [each.text for each in shown.all("b", kind)] for kind in kinds}
    assert found["key"] == ["a.b", "c", "e-2", "url"]
    assert found["number"] == ["1.5", "-3e-4"]
    assert found["string"] == ["'d'", '"x: y"']
    assert found["word"] == ["true"]
    assert found["comment"] == ["# f: 1"]


def picture(file: Path, size: tuple[int, int], mode: str = "RGB", noise: bool = False) -> Path:
    file.parent.mkdir(exist_ok=True)
    image = Image.effect_noise(size, 90).convert(mode) if noise else Image.new(mode, size)
    image.save(file)
    return file


def stored(form: str) -> bytes:
    content = BytesIO()
    Image.effect_noise((24, 16), 90).convert("RGB").save(content, form)
    return content.getvalue()


PNG, JPEG = stored("PNG"), stored("JPEG")


def embedded(figure: str) -> tuple[Image.Image, bytes, dict[str, str]]:
    attrs = read(figure).one("img").attrs
    content = b64decode(attrs["src"].partition("base64,")[2])
    return Image.open(BytesIO(content)), content, attrs


def test_a_small_picture_goes_in_as_it_is(tmp_path: Path) -> None:
    file, pictures = picture(tmp_path / "a.png", (40, 30)), Pictures()
    image, content, attrs = embedded(pictures.figure(file, 'a "b" <c>'))
    assert content == file.read_bytes()
    assert (attrs["src"][:15], attrs["width"], attrs["height"]) == ("data:image/png;", "40", "30")
    assert attrs["alt"] == 'a "b" <c>'
    assert image.format == "PNG"
    assert pictures.left == BUDGET - len(content)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P"])
def test_a_wide_picture_is_scaled_down(mode: str, tmp_path: Path) -> None:
    image, _, attrs = embedded(Pictures().figure(picture(tmp_path / "a.png", (2400, 600), mode), "a"))
    assert image.format == "JPEG"
    assert image.size == (WIDTH, 400) == (int(attrs["width"]), int(attrs["height"]))
    wanted = 255 if mode == "RGBA" else 0  # pictures stand on white, so what is transparent is
    assert image.convert("L").getpixel((9, 9)) == wanted


def test_a_heavy_picture_is_stored_anew(tmp_path: Path) -> None:
    file = picture(tmp_path / "a.png", (1000, 1000), noise=True)
    image, content, _ = embedded(Pictures().figure(file, "a"))
    assert image.format == "JPEG"
    assert len(content) < file.stat().st_size


def test_pictures_beyond_the_budget_are_named(tmp_path: Path) -> None:
    first, second = picture(tmp_path / "a.png", (9, 9)), picture(tmp_path / "b.png", (9, 9))
    pictures = Pictures(left=first.stat().st_size + 5)
    assert pictures.figure(first, "a")
    assert pictures.figure(second, "b") == ""
    assert pictures.left_out == ["b.png"]


def test_a_picture_that_is_being_written(tmp_path: Path) -> None:
    file = picture(tmp_path / "a.png", (99, 99), noise=True)
    file.write_bytes(file.read_bytes()[:-2000])
    told = read(Pictures().figure(file, "a")).text
    assert told.startswith("a.png cannot be read: ")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "neither PNG nor JPEG"),
        (b"no picture\n", "neither PNG nor JPEG"),
        (PNG[:8], ""),
        (PNG[:30], ""),
        (b"\xff\xd8\xff", ""),
        (b"\xff\xd8\xff\xe0 and so on", ""),
    ],
)
def test_a_picture_that_is_none(content: bytes, why: str, tmp_path: Path) -> None:
    file = tmp_path / "val_batch0_pred.jpg"
    file.write_bytes(content)
    assert read(Pictures().figure(file, "a")).text.startswith(f"{file.name} cannot be read: {why}")


@given(
    jpeg=st.booleans(),
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=9),
)
def test_a_picture_with_broken_bytes(
    jpeg: bool, changes: list[tuple[float, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file, content = tmp_path_factory.getbasetemp() / "broken.png", bytearray(JPEG if jpeg else PNG)
    for place, value in changes:
        content[min(int(place * len(content)), len(content) - 1)] = value
    file.write_bytes(content)
    page = read(Pictures().figure(file, "a"))
    assert page.all("img") or page.text.startswith("broken.png cannot be read: ")


def test_a_picture_is_too_large_only_where_its_pixels_would_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert read(Pictures().figure(picture(tmp_path / "a.png", (40, 30)), "a")).one("img")
    start = PNG[12:16] + struct.pack(">II", 20_000, 10_000) + PNG[24:29]
    (tmp_path / "b.png").write_bytes(PNG[:12] + start + struct.pack(">I", zlib.crc32(start)) + PNG[33:])
    told = read(Pictures().figure(tmp_path / "b.png", "b")).text
    assert told == "b.png cannot be read: too large: 20000 x 10000 pixels"


def test_maps_stand_in_pairs_also_before_the_last(tmp_path: Path) -> None:
    for name in ("neck.p3.epoch1.png", "neck.p3.last.png", "b.epoch1.png", "other.png"):
        picture(tmp_path / "maps" / name, (9, 9))
    page = read(maps(tmp_path, Pictures()))
    assert [each.text for each in page.all("h4")] == ["b", "neck.p3"]
    captions = [[each.text for each in row.all("figcaption")] for row in page.all("div", "pictures")]
    assert captions == [["after epoch 1"], ["after epoch 1", "after the edge's last epoch"]]


def test_plots_of_ultralytics(tmp_path: Path) -> None:
    assert plots(tmp_path, Pictures()) == ""
    for name in ("BoxPR_curve.png", "val_batch0_pred.jpg", "results.png"):
        picture(tmp_path / name, (9, 9))
    captions = [each.text for each in read(plots(tmp_path, Pictures())).all("figcaption")]
    assert captions == ["Validation images: the student's predictions", "Precision over recall, boxes"]


def test_plots_of_a_run_before_are_not_those_of_this_one(tmp_path: Path) -> None:
    for name, time in (("BoxPR_curve.png", 1000.0), ("val_batch0_pred.jpg", 3000.0)):
        os.utime(picture(tmp_path / name, (9, 9)), (time, time))
    captions = [each.text for each in read(plots(tmp_path, Pictures(), since=2000.0)).all("figcaption")]
    assert captions == ["Validation images: the student's predictions"]
