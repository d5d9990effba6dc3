from __future__ import annotations

import pickle
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kdgraph.errors as errors
from kdgraph.errors import CODES, Diagnostic, KdgraphError, Span, SpecError, closest, quoted

PACKAGE = Path(errors.__file__).parent


def diagnostic(
    line: int = 14, column: int = 14, width: int = 8, text: str = "    teacher: neck.p33"
) -> Diagnostic:
    span = Span("specs/p3.yaml", line, column, column + width, text)
    return Diagnostic("KD201", "edge 'p3': unknown tap 'teacher.neck.p33'", span, "did you mean 'neck.p3'?")


def test_render_shows_place_line_carets_and_hint() -> None:
    assert diagnostic().render().splitlines() == [
        "specs/p3.yaml:14:14: error[KD201] edge 'p3': unknown tap 'teacher.neck.p33'",
        "   14 |     teacher: neck.p33",
        "      |              ^^^^^^^^",
        "  hint: did you mean 'neck.p3'?",
    ]


def test_render_without_span_or_hint_is_one_line() -> None:
    assert Diagnostic("KD501", "no gradient").render() == "error[KD501] no gradient"


@pytest.mark.parametrize(
    ("text", "word", "shown", "carets"),
    [
        ("a:\tbad", "bad", "a: bad", "   ^^^"),
        ("数据: bad", "bad", "数据: bad", "      ^^^"),
        ("k: 数据", "数据", "k: 数据", "   ^^^^"),
        ("e\u0301: bad", "bad", "e\u0301: bad", "   ^^^"),
        ("a\u202e: bad\x07", "bad", "a\N{REPLACEMENT CHARACTER}: bad\N{REPLACEMENT CHARACTER}", "    ^^^"),
    ],
)
def test_carets_stand_below_what_they_mean(text: str, word: str, shown: str, carets: str) -> None:
    column = text.index(word) + 1
    lines = diagnostic(1, column, len(word), text).render().splitlines()
    assert lines[1:3] == [f"    1 | {shown}", f"      | {carets}"]


@given(st.text(max_size=300), st.integers(1, 400), st.integers(0, 400))
def test_carets_are_always_within_the_shown_line(text: str, column: int, width: int) -> None:
    _, line, carets, _ = diagnostic(1, column, width, text).render().split("\n")
    assert sum(not unicodedata.combining(char) for char in line) <= 110  # accents take no column
    assert set(carets.removeprefix("      | ")) <= {" ", "^"}
    assert "^" in carets


def test_long_lines_are_cut_around_the_span() -> None:
    text = "x" * 500 + "HERE" + "y" * 500
    _, line, carets, _ = diagnostic(1, 501, 4, text).render().splitlines()
    start = carets.index("^")
    assert line[start : start + 4] == "HERE"
    assert line[8] == line[-1] == "…"


def test_an_error_tells_all_in_the_order_of_their_places() -> None:
    error = SpecError(diagnostic(14), Diagnostic("KD501", "nowhere"), diagnostic(2), diagnostic(14, 3))
    places = [(d.span.line, d.span.column) if d.span else None for d in error.diagnostics]
    assert places == [(2, 14), (14, 3), (14, 14), None]
    assert str(error).startswith("specs/p3.yaml:2:14: ")
    assert "\n\n" not in str(error)


def test_errors_survive_pickling() -> None:
    error = SpecError(diagnostic(), diagnostic(2))
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), copy.diagnostics) == (SpecError, error.diagnostics)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = re.findall(r"[├└]── (\w+)", errors.__doc__ or "")
    assert drawn == [error.__name__ for error in KdgraphError.__subclasses__()]


def test_every_code_in_the_package_is_in_the_table() -> None:
    files = set(PACKAGE.rglob("*.py")) - {Path(errors.__file__)}
    used = {code for file in files for code in re.findall(r"\bKD\d{3}\b", file.read_text(encoding="utf-8"))}
    assert used == set(CODES)


def test_closest_puts_the_best_first_and_ignores_case() -> None:
    assert closest("NECK.p33", ["neck.p3", "head.cls", "neck.p4"])[0] == "neck.p3"
    assert closest("imgsize", ["imgsz", "optimize", "visualize"]) == ["imgsz"]
    assert closest("frobnicate", ["cwd", "pkd"]) == []
    assert closest("P3", ["p3", "P3"]) == ["p3", "P3"]


def test_quoted_is_short_and_printable() -> None:
    assert quoted("a\nb\x00") == r"'a\nb\x00'"
    assert len(quoted("x" * 1000)) == 62
    assert quoted("数据") == "'数据'"
