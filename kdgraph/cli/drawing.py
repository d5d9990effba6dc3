"""The command that draws: graph."""

from __future__ import annotations

from pathlib import Path

from kdgraph.cli.console import console
from kdgraph.compiler.api import plan
from kdgraph.draw.api import Scene, scene_of_diff, scene_of_model, scene_of_plan, write
from kdgraph.draw.scene import Detail
from kdgraph.errors import Diagnostic, SpecError
from kdgraph.graph.models import build_model
from kdgraph.graph.yolo import TracedModel, trace_model
from kdgraph.spec.parse import load
from kdgraph.spec.schema import TeacherSpec


def graph_command(target: str, out: Path | None, detail: Detail, diff: str | None, imgsz: int) -> None:
    file = out or Path(f"{Path(target).stem}.svg")
    scene = _scene(target, diff, (imgsz, imgsz))
    write(scene, file, detail)
    console.print(f"{file}: {scene.title}", markup=False)


def _scene(target: str, diff: str | None, size: tuple[int, int]) -> Scene:
    if _is_spec(target):
        if diff is not None:
            raise SpecError(
                Diagnostic(
                    "KD103", f"{target} is a spec, and --diff compares models", hint="leave --diff out"
                )
            )
        return scene_of_plan(plan(load(target), weights=False))
    model = _traced(target)
    if diff is None:
        return scene_of_model(Path(target).name, model, size)
    return scene_of_diff({Path(target).name: model, Path(diff).name: _traced(diff)}, size)


def _traced(name: str) -> TracedModel:
    model = build_model(TeacherSpec(model=name), nc=None, weights=False, meta=True)
    return trace_model(model, f"'{name}'", frozen=True)


def _is_spec(target: str) -> bool:
    """Whether a file is a spec: it says what the student is, or it is no mapping of a model."""
    path = Path(target)
    if path.suffix not in (".yaml", ".yml") or not path.is_file():
        return False
    text = path.read_text(encoding="utf-8", errors="replace")
    return any(line.startswith(("student:", "edges:", "kdgraph:")) for line in text.splitlines())
