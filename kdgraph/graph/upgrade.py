"""What Ultralytics 8.0 to 8.3 saved otherwise than today: classes that have moved, arguments in others.

The layers need nothing: what later versions gave them (`Detect.legacy`, `end2end`, `xyxy`, …) has a default
in their classes.
"""

from __future__ import annotations

import pickle
from collections import defaultdict
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import torch
from torch import nn

_MOVED = {
    "ultralytics.yolo.v8": "ultralytics.models.yolo",  # 8.0.0 to 8.0.135 had most in a package yolo
    "ultralytics.yolo": "ultralytics",
    "ultralytics.nn.modules.block.Silence": "torch.nn.Identity",  # 8.1 and 8.2: YOLOv9e
    "ultralytics.nn.tasks.YOLOv10DetectionModel": "ultralytics.nn.tasks.DetectionModel",  # YOLOv10's authors
    "ultralytics.utils.loss.v10DetectLoss": "ultralytics.utils.loss.E2EDetectLoss",
    "pathlib.WindowsPath": "pathlib.PureWindowsPath",  # either system reads what the other saved
    "pathlib.PosixPath": "pathlib.PurePosixPath",
}
"""Old names of modules and classes -> today's; the first that fits counts."""

_HARMLESS = ("ultralytics.yolo.utils.loss", "ultralytics.yolo.utils.tal")
"""Modules of 8.0.11x to 8.0.135 whose classes a restricted load admits: a model kept its criterion."""


class Arguments:
    """Stands for OmegaConf's classes, in which 8.0.0 to 8.0.6 kept the arguments of a training."""


def _builtin(name: str) -> type:
    """What dill calls a builtin type: 8.1 and 8.2 saved with dill where it was installed."""
    for kind in (set, frozenset, dict, list, tuple):
        if kind.__name__ == name:
            return kind
    raise pickle.UnpicklingError(f"a type '{name}' saved by dill")


_STANDINS: dict[str, Any] = {
    "dill._dill._load_type": _builtin,
    "omegaconf.dictconfig.DictConfig": Arguments,
    "omegaconf.listconfig.ListConfig": Arguments,
    "omegaconf.nodes.AnyNode": Arguments,
    "omegaconf.base.ContainerMetadata": Arguments,
    "omegaconf.base.Metadata": Arguments,
    "typing.Any": Any,  # this and the next two are part of OmegaConf's metadata
    "builtins.dict": dict,
    "collections.defaultdict": defaultdict,
}


def admitted(names: Sequence[str]) -> list[tuple[Any, str]]:
    """Those of the names in a checkpoint that only old versions use, each with what stands for it today."""
    found = [(name, _STANDINS.get(name) or _harmless(name)) for name in names]
    return [(now, name) for name, now in found if now is not None]


def _harmless(name: str) -> type | None:
    """A criterion's class: rebuilding one runs nothing."""
    if not name.startswith(tuple(f"{module}." for module in _HARMLESS)):
        return None
    module, _, attribute = today(name).rpartition(".")
    found = getattr(import_module(module), attribute, None)
    return found if isinstance(found, type) and found.__module__ == module else None


def today(name: str) -> str:
    """A dotted name as Ultralytics has it now."""
    for old, new in _MOVED.items():
        if name == old or name.startswith(f"{old}."):
            return new + name[len(old) :]
    return name


class OldNames:
    """A pickle module for `torch.load` that knows the old names; the file may run code as any pickle may."""

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            full = f"{module}.{name}"
            if full in _STANDINS:
                return _STANDINS[full]
            place, _, attribute = today(full).rpartition(".")
            return super().find_class(*((place, attribute) if today(full) != full else (module, name)))

    @staticmethod
    def load(file: Any, **options: Any) -> Any:
        return OldNames.Unpickler(file, **options).load()


def plain(arguments: Any) -> Any:
    """Arguments as plain values: `Arguments` hold theirs as OmegaConf did."""
    if isinstance(arguments, Arguments):
        held = vars(arguments)
        return plain(held["_content"] if "_content" in held else held.get("_val"))
    if isinstance(arguments, dict):
        return {key: plain(value) for key, value in arguments.items()}
    if isinstance(arguments, list):
        return [plain(value) for value in arguments]
    return arguments


def upgrade(model: Any) -> None:
    """Bring a loaded model's attributes to what today's code expects of them, in place."""
    names = getattr(model, "names", None)
    if isinstance(names, (list, tuple)):  # as in YOLOv5, and in what was converted from it
        model.names = dict(enumerate(names))
    if not hasattr(model, "stride"):
        model.stride = torch.tensor([32.0])
    for layer in model.modules():
        if isinstance(layer, nn.Upsample) and not hasattr(layer, "recompute_scale_factor"):
            layer.recompute_scale_factor = None  # saved before torch 1.11
