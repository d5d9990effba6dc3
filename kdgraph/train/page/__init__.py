"""One page of a run, for people: everything in it, nothing to load from elsewhere."""

from __future__ import annotations

from datetime import datetime
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from kdgraph import __version__
from kdgraph.train.page.curves import curves
from kdgraph.train.page.drawing import drawing, planned
from kdgraph.train.page.head import head
from kdgraph.train.page.highlight import highlighted
from kdgraph.train.page.markup import Section, note
from kdgraph.train.page.pictures import Pictures, maps, plots
from kdgraph.train.page.records import Run
from kdgraph.train.page.setting import setting
from kdgraph.train.page.summary import summary

__all__ = ["report_page"]


def report_page(folder: Path) -> str:
    """The run in `folder` as the text of an HTML page, also while it is still going on.

    Raises RunError (KD502) when it is no folder of a kdgraph run. What cannot be shown, as the graph of
    models that are no longer there, says why in its place.
    """
    run = Run(folder)
    found, fault = planned(run)
    sections = [
        Section("summary", "Summary", summary(run, found)),
        Section("graph", "Graph", drawing(found, fault)),
        Section("curves", "Curves", curves(run)),
        Section("pictures", "Pictures", _pictures(run)),
        Section("spec", "Spec", highlighted(run.spec_text)),
        Section("environment", "Environment", setting(run)),
    ]
    return _assembled(run, head(run, found), sections)


_SCALES = "Each map has a colour scale of its own; the numbers below it say from where to where that goes."


def _pictures(run: Run) -> str:
    pictures = Pictures()
    seen, drawn = maps(run.path, pictures), plots(run.path, pictures, run.began)
    told = f"Left out, to keep the page small: {', '.join(pictures.left_out)}." if pictures.left_out else ""
    parts = [
        f"<h3>Features and attention</h3>\n{note(_SCALES)}\n{seen}" if seen else "",
        f"<h3>Data and predictions</h3>\n{drawn}" if drawn else "",
        note(told) if told else "",
    ]
    text = "\n".join(part for part in parts if part)
    return text or note("The run has drawn none: `train: {plots: true}` makes them.")


def _assembled(run: Run, first: str, sections: list[Section]) -> str:
    parts = {name: files(__package__).joinpath(name).read_text("utf-8") for name in ("page.html", "page.css")}
    return Template(parts["page.html"]).substitute(
        title=escape(f"{run.name}: a distillation run"),
        style=parts["page.css"],
        contents="\n".join(f'<a href="#{part.name}">{escape(part.title)}</a>' for part in sections),
        header=first,
        sections="\n".join(map(str, sections)),
        made=escape(f"Made by kdgraph {__version__} on {datetime.now().astimezone():%Y-%m-%d %H:%M %Z}"),
    )
