"""The graph of a run's spec: planned anew from its models' architectures, and drawn."""

from __future__ import annotations

from html import escape
from pathlib import Path

from kdgraph.compiler.api import Plan, plan
from kdgraph.graph.quiet import quiet
from kdgraph.spec.schema import Spec, TeacherSpec
from kdgraph.train.page.markup import note
from kdgraph.train.page.records import Run

__all__ = ["drawing", "planned"]


def planned(run: Run) -> tuple[Plan | None, str]:
    """The spec's plan, without weights; or None and why there is none.

    Models may be gone or be built otherwise by now, in ways that nobody foresees, and the rest of the run is
    to be told anyhow: hence every exception is caught here and below.
    """
    if run.spec is None:
        return None, run.spec_fault
    try:
        with quiet():
            return plan(_placed(run, run.spec), weights=False), ""
    except Exception as error:
        return None, _reason(error)


def _placed(run: Run, spec: Spec) -> Spec:
    """The spec with its data and teachers where the run found them, as far as they are still there.

    Names in a spec that was made in Python start from the folder that the run was started in.
    """
    data = str(run.facts.get("data"))
    found = {"data": data} if Path(data).is_file() else {}
    teachers = {role: _found(ref, run.teachers.get(role)) for role, ref in spec.teachers.items()}
    return spec.model_copy(update={**found, "teachers": teachers})


def _found(ref: TeacherSpec, checkpoint: str | None) -> TeacherSpec:
    """The teacher as its checkpoint; one that was trained first is known by its architecture."""
    if ref.train is not None or checkpoint is None or not Path(checkpoint).is_file():
        return ref
    return ref.model_copy(update={"model": checkpoint})


def drawing(found: Plan | None, fault: str) -> str:
    """The interactive page of a plan in a frame of its own, or why there is none."""
    if found is None:
        return note("The spec cannot be planned here:") + _said(fault)
    from kdgraph.draw.api import html_of_plan

    try:
        page = escape(html_of_plan(found), quote=True)
    except Exception as error:
        return note("The graph cannot be drawn here:") + _said(_reason(error))
    frame = f'<iframe title="The graph of the spec" srcdoc="{page}" allow="clipboard-write"></iframe>'
    return frame + note("As a page of its own: kdgraph graph SPEC --out graph.html")


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


def _said(text: str) -> str:
    return f'<pre class="said">{escape(text)}</pre>'
