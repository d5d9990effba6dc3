"""The interactive page: one HTML file with the scene, its style and its code inside."""

from __future__ import annotations

import html as markup
import json
import re
from collections.abc import Mapping
from importlib import resources
from typing import Any

SCRIPTS = (  # in the order they need each other
    "state.js",
    "words.js",
    "layout.js",
    "lines.js",
    "shapes.js",
    "marks.js",
    "drawing.js",
    "emphasis.js",
    "camera.js",
    "headings.js",
    "pointer.js",
    "edge.js",
    "copying.js",
    "panel.js",
    "cards.js",
    "overview.js",
    "search.js",
    "keys.js",
    "address.js",
    "looks.js",
    "main.js",
)


def html(scene: Mapping[str, Any]) -> str:
    """The page of a scene as one document that needs no network, so that it opens from a file.

    Raises ValueError where the scene holds a number that JSON lacks (NaN, infinity).
    """
    parts = {
        "title": markup.escape(str(scene["title"])),
        "style": _asset("page.css"),
        "scene": _json(scene),
        "script": "\n".join(_asset(name) for name in SCRIPTS),
    }
    # One pass, so that a marker inside what is put in stays as it is.
    return re.sub(r"\{\{(\w+)\}\}", lambda marker: parts[marker[1]], _asset("page.html"))


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _json(scene: Mapping[str, Any]) -> str:
    """Without any `<`, so that no text of the scene can end the script or open a comment."""
    text = json.dumps(scene, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")
