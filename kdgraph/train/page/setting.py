"""Where and how a run was made: versions and machine, and all train arguments."""

from __future__ import annotations

from kdgraph.spec.train_args import OWN
from kdgraph.train.page.markup import NONE, definitions, note
from kdgraph.train.page.records import Run

__all__ = ["setting"]


def setting(run: Run) -> str:
    """The environment that was noted when the run began, and Ultralytics' arguments, folded."""
    noted = _noted(run.facts.get("environment"))
    device = run.args.get("device")
    asked = [("device asked for", str(device) if device not in ("", None) else "the best one there is")]
    told = definitions([*noted, *(asked if run.args else [])]) if noted else ""
    return (told or note("The run is of an earlier version, which noted no environment.")) + _arguments(run)


def _noted(kept: object) -> list[tuple[str, str]]:
    """Names and values; what is no such pair is left out."""
    rows = kept if isinstance(kept, list) else []
    return [(str(row[0]), str(row[1])) for row in rows if isinstance(row, list) and len(row) == 2]


def _arguments(run: Run) -> str:
    if not run.args:
        return note("args.yaml is not there: the trainer had not started.")
    given = run.spec.train if run.spec else {}
    theirs = {name: value for name, value in run.args.items() if name not in OWN}
    chosen = [(name, _shown(theirs.get(name, value))) for name, value in given.items()]
    everything = definitions((str(name), _shown(value)) for name, value in run.args.items())
    told = f"<h3>Train arguments of the spec</h3>\n{definitions(chosen)}" if chosen else ""
    summary = f"<summary>All {len(run.args)} train arguments</summary>"
    return f"{told}\n<details>{summary}\n{everything}\n</details>"


def _shown(value: object) -> str:
    if value is None or value == "":
        return NONE
    return str(value).lower() if isinstance(value, bool) else str(value)
