"""The head of the page: name, models, and the figures to remember."""

from __future__ import annotations

from html import escape

from kdgraph.compiler.api import Plan
from kdgraph.train.page.markup import flops, number, params
from kdgraph.train.page.outcome import best_epoch, models, reached
from kdgraph.train.page.records import Run
from kdgraph.train.report import MEASURES

__all__ = ["head"]


def head(run: Run, planned: Plan | None) -> str:
    """Name, models, and the figures to remember."""
    facts = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}<small>{escape(more)}</small></dd></div>"
        for name, value, more in _facts(run, planned)
    )
    return (
        f"<header>\n<p class='kind'>Distillation run</p>\n<h1>{escape(run.name)}</h1>\n"
        f"<p class='models'>{_models(run)}</p>\n<dl class='figures'>{facts}</dl>\n</header>"
    )


def _models(run: Run) -> str:
    spec = run.spec
    student = spec.student.model if spec else str(run.args.get("model", "the student"))
    teachers = [ref.model or str(ref.python) for ref in spec.teachers.values()] if spec else []
    told = f"{_code(student)} ← {' + '.join(map(_code, teachers or run.teachers.values()))}"
    data = str(spec.data) if spec and spec.data else ""
    return told + (f" on {_code(data)}" if data else "")


def _code(text: str) -> str:
    """A model's or dataset's name without the folders before it."""
    return f"<code>{escape(text.rsplit('/', 1)[-1])}</code>"


def _facts(run: Run, planned: Plan | None) -> list[tuple[str, str, str]]:
    best, facts = best_epoch(run), []
    if best is not None:
        facts.append((f"best {list(MEASURES[run.task])[-1]}", number(reached(run)[-1]), f"in epoch {best}"))
    student = next((each for each in models(run, planned) if each.name == "student"), None)
    if student:
        facts.append(("parameters", params(student.params), f"{flops(student.flops)} GFLOPs"))
    facts.append(("epochs", f"{max(run.results, default=0)}", _state(run)))
    facts.append(("began", *_began(run)))
    return [fact for fact in facts if fact[1]]


def _state(run: Run) -> str:
    planned = run.args.get("epochs")
    of = f"of {planned}, " if planned else ""
    return of + ("ended" if run.ended else "not ended")


def _began(run: Run) -> tuple[str, str]:
    date, _, time = str(run.facts.get("began", "")).partition("T")
    took = _seconds(run)
    return date, f"{time[:5]}, {_duration(took)} of training" if took else time[:5]


def _seconds(run: Run) -> float:
    """Results.csv counts anew where a run was resumed."""
    total = previous = 0.0
    for _, row in sorted(run.results.items()):
        time = row.get("time", 0.0)
        total += time - previous if time >= previous else time
        previous = time
    return total


def _duration(seconds: float) -> str:
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if seconds >= 60 else f"{seconds:.0f} s"
