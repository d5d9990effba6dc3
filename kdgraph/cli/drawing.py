"""The command that draws: graph."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from kdgraph.cli.console import console
from kdgraph.compiler.api import plan
from kdgraph.draw.api import Scene, check_format, scene_of_diff, scene_of_model, scene_of_plan, write
from kdgraph.draw.scene import Detail
from kdgraph.errors import Diagnostic, SpecError
from kdgraph.graph.models import build_model
from kdgraph.graph.yolo import TracedModel, trace_model
from kdgraph.spec.parse import load
from kdgraph.spec.schema import TeacherSpec


def graph_command(target: str, out: Path | None, detail: Detail, diff: str | None, imgsz: int | None) -> None:
    file = out or Path(f"{Path(target).stem}.svg")
    check_format(file)
    scene = _scene(target, diff, imgsz)
    write(scene, file, detail)
    console.print(f"{file}: {scene.title}", markup=False)


def _scene(target: str, diff: str | None, imgsz: int | None) -> Scene:
    if _is_spec(target):
        _check_options(target, {"--diff": diff, "--imgsz": imgsz})
        return scene_of_plan(plan(load(target), weights=False))
    models = [(Path(name).name, _traced(name)) for name in (target, diff) if name is not None]
    side = max(model.fitting(imgsz or 640) for _, model in models)
    if len(models) == 1:
        return scene_of_model(*models[0], (side, side))
    return scene_of_diff(models[0], models[1], (side, side))


def _check_options(target: str, given: Mapping[str, object]) -> None:
    """Raise SpecError (KD103) for options that only models have."""
    for option, value in given.items():
        if value is not None:
            message = f"{target} is a spec, which says itself what is compared: {option} is for models"
            raise SpecError(Diagnostic("KD103", message, hint=f"leave {option} out"))


def _traced(name: str) -> TracedModel:
    model = build_model(TeacherSpec(model=name), nc=None, weights=False, meta=True)
    return trace_model(model, f"'{name}'", frozen=True)


def _is_spec(target: str) -> bool:
    """Whether a file is a spec: text that is no model yaml, which has a backbone and a head."""
    path = Path(target)
    if path.suffix == ".pt" or not path.is_file():
        return False
    try:
        read = yaml.safe_load(path.read_text(encoding="utf-8", errors="replace"))
    except yaml.YAMLError:
        return "backbone" not in path.read_text(encoding="utf-8", errors="replace")
    return isinstance(read, dict) and not {"backbone", "head"} <= read.keys()
