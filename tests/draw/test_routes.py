from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from kdgraph.draw.grid import Band, Column, stack
from kdgraph.draw.routes import Plane, Wire, routed
from kdgraph.draw.scene import View
from tests.draw.pictures import faults


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[Column], dict[str, tuple[float, float]], list[Wire]]:
    """Columns of boxes of any size in a few rows, and wires between any two of them."""
    columns, sizes = [], {}
    for number in range(draw(st.integers(1, 4))):
        cells = {}
        for row in draw(st.lists(st.integers(0, 3), min_size=1, max_size=3, unique=True)):
            keys = [f"{number}.{row}.{i}" for i in range(draw(st.integers(1, 3)))]
            cells[row] = keys
            sizes.update((key, (draw(st.integers(40, 200)), draw(st.integers(60, 120)))) for key in keys)
        columns.append(Column("", "student", cells))
    pairs = st.tuples(st.sampled_from(sorted(sizes)), st.sampled_from(sorted(sizes)))
    chosen = draw(st.lists(pairs.filter(lambda pair: pair[0] != pair[1]), max_size=6, unique=True))
    return columns, sizes, [Wire(source, target, source) for source, target in chosen]


@settings(max_examples=150, deadline=None)
@given(tables())
def test_no_line_touches_a_box_that_it_does_not_join(
    table: tuple[list[Column], dict[str, tuple[float, float]], list[Wire]],
) -> None:
    columns, sizes, wires = table
    grid = stack(columns, sizes, top=50)
    plane = routed(columns, sizes, grid, wires, left=60)
    assert set(plane.wires) == set(wires)
    found = [fault for fault in faults(_view(columns, plane)) if " lies on " not in fault]
    assert found == []


def _view(columns: list[Column], plane: Plane) -> View:
    return View((), tuple(columns), plane, 0.0, ())


def test_wires_of_one_value_run_together_and_others_beside_them() -> None:
    columns = [
        Column("", "student", {0: ["a", "b"], 1: ["c"]}),
        Column("", "student", {0: ["d"], 1: ["e"]}),
    ]
    sizes = dict.fromkeys("abcde", (100.0, 60.0))
    wires = [Wire("a", "d", "a"), Wire("a", "e", "a"), Wire("b", "e", "b")]
    plane = routed(columns, sizes, stack(columns, sizes, top=0), wires, left=0)
    tracks = {wire: {x for x, _ in points[1:-1]} for wire, points in plane.wires.items()}
    assert tracks[wires[0]] == tracks[wires[1]]
    assert tracks[wires[2]].isdisjoint(tracks[wires[0]])
    assert plane.wires[wires[0]][0] == plane.wires[wires[1]][0]


def test_boxes_that_follow_each_other_are_joined_upright() -> None:
    columns = [Column("", "student", {0: ["a"], 1: ["b"]})]
    sizes = {"a": (100.0, 60.0), "b": (80.0, 40.0)}
    grid = stack(columns, sizes, top=10)
    plane = routed(columns, sizes, grid, [Wire("a", "b", "a"), Wire("b", "a", "b")], left=0)
    a, b = plane.boxes["a"], plane.boxes["b"]
    assert plane.wires[Wire("a", "b", "a")] == ((a.x, a.bottom), (b.x, b.top))
    assert plane.wires[Wire("b", "a", "b")] == ((b.x, b.top), (a.x, a.bottom))


def test_rows_are_as_high_as_their_highest_stack() -> None:
    columns = [Column("", "student", {0: ["a", "b"]}, gap=10), Column("", "student", {0: ["c"], 2: ["d"]})]
    sizes = {"a": (1.0, 20.0), "b": (1.0, 30.0), "c": (1.0, 40.0), "d": (1.0, 50.0)}
    grid = stack(columns, sizes, top=100)
    assert grid.bands == (Band(0, 100, 96), Band(2, 196, 86))
    assert grid.heights == {"a": 128, "b": 163, "c": 148, "d": 239}
    assert grid.height == 282
