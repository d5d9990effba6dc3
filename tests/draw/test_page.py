"""The page as a document: whole, safe and alone. What it does is tested in a browser: test_browser.py."""

from __future__ import annotations

import html as markup
import json
import re
from html.parser import HTMLParser
from importlib import resources
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdgraph.draw.page import SCRIPTS, html
from tests.draw.scenes import scene


class Reader(HTMLParser):
    """What a browser would find: its tags, the text of each script and of the title, the ids."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.ids: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.title = ""
        self._in = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.tags.append((tag, named))
        self.ids += [named["id"] or ""] if "id" in named else []
        self._in = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in = ""

    def handle_data(self, data: str) -> None:
        if self._in == "script":
            self.scripts[-1] += data
        elif self._in == "title":
            self.title += data


def read_back(page: str) -> Any:
    return json.loads(Reader(page).scripts[0])


def test_the_scene_comes_back_as_it_went_in() -> None:
    assert read_back(html(scene())) == scene()


def hostile(text: str) -> dict[str, Any]:
    made = scene(nodes=1)
    made["title"] = text
    made["boxes"]["student:model.neck.p3"]["names"][0] = text
    return made


@pytest.mark.parametrize(
    "text",
    [
        "</script><script>alert(1)</script>",
        "<!--<script>",
        "</SCRIPT >",
        "{{script}} {{scene}}",
        "\\1 \\g<0> & \" '",
        "\u2028×",
    ],
)
def test_no_text_of_a_scene_breaks_out(text: str) -> None:
    page = html(hostile(text))
    reader = Reader(page)
    assert len(reader.scripts) == 2
    assert read_back(page) == hostile(text)
    assert reader.title == text
    assert reader.scripts[1] == Reader(html(scene())).scripts[1]


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_any_text_survives(text: str) -> None:
    page = html(hostile(text))
    assert read_back(page)["title"] == text
    assert f"<title>{markup.escape(text)}</title>" in page


def test_it_needs_nothing_from_elsewhere() -> None:
    page = html(scene())
    assert set(re.findall(r"https?://[^\s\"'`)]+", page)) == {"http://www.w3.org/2000/svg"}
    assert not re.findall(r"@import|url\(|\bfetch\(|XMLHttpRequest|import\(|localStorage", page)
    loading = {"src", "srcset", "href", "data", "poster"}
    assert [(tag, named) for tag, named in Reader(page).tags if loading & set(named)] == []


def test_every_asset_is_used_and_there() -> None:
    folder = resources.files("kdgraph.draw.page")
    assert {file.name for file in folder.iterdir() if file.name.endswith(".js")} == set(SCRIPTS)
    page = html(scene())
    for name in (*SCRIPTS, "page.css"):
        assert folder.joinpath(name).read_text(encoding="utf-8") in page
    assert not re.search(r"\{\{\w+\}\}", page)


def test_ids_are_one_of_a_kind_and_those_that_the_code_asks_for() -> None:
    reader = Reader(html(scene()))
    assert len(reader.ids) == len(set(reader.ids))
    asked = set(re.findall(r"getElementById\(\"([\w-]+)\"\)", reader.scripts[1]))
    assert asked - set(reader.ids) == {"copy-yaml"}  # comes with the panel


def test_a_number_that_json_lacks_is_refused() -> None:
    made = scene()
    made["models"][0]["flops"] = float("nan")
    with pytest.raises(ValueError, match="JSON"):
        html(made)


def test_every_colour_of_one_theme_is_in_the_other() -> None:
    css = resources.files("kdgraph.draw.page").joinpath("page.css").read_text(encoding="utf-8")
    light, dark = (block(css, selector) for selector in (":root {", ':root[data-theme="dark"] {'))
    assert set(dark) == set(light) - {"--sans", "--mono"}


def block(css: str, selector: str) -> dict[str, str]:
    body = css.split(selector, 1)[1].split("}", 1)[0]
    return dict(re.findall(r"(--[\w-]+):\s*([^;]+);", body))


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [":root {", ':root[data-theme="dark"] {'])
def test_words_can_be_read(theme: str) -> None:
    """WCAG AA: 4.5 for text, 3 for lines that carry a meaning."""
    css = resources.files("kdgraph.draw.page").joinpath("page.css").read_text(encoding="utf-8")
    colour = block(css, theme)
    grounds = [
        f"--{name}" for name in ("paper", "stripe", "surface", "sunken", "backbone", "neck", "head", "input")
    ]
    texts = [f"--{name}" for name in ("ink", "ink-2", "ink-3", "student", "teacher")]
    poor = {(t, g): contrast(colour[t], colour[g]) for t in texts for g in grounds}
    poor |= {
        (t, f"{t}-soft"): contrast(colour[t], colour[f"{t}-soft"])
        for t in ("--student", "--teacher", "--good", "--warn", "--bad")
    }
    assert {pair: ratio for pair, ratio in poor.items() if ratio < 4.5} == {}
    lines = {
        n: min(contrast(colour[f"--c{n}"], colour[g]) for g in ("--paper", "--stripe", "--surface"))
        for n in range(10)
    }
    assert {n: ratio for n, ratio in lines.items() if ratio < 3} == {}
