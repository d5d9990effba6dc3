"""Reads an Ultralytics checkpoint without running code from it, and says what is wrong with a bad one."""

from __future__ import annotations

import contextlib
import pickletools
import zipfile
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kdgraph.errors import Diagnostic, ModelError, Span
from kdgraph.graph.upgrade import OldNames, admitted, plain, upgrade

# Modules of the YOLOv5 and YOLOv7 repositories.
_LEGACY = ("models.yolo", "models.common", "models.experimental")
_KNOWN = ("torch", "ultralytics", "collections", "numpy")  # in every checkpoint: they explain no refusal
_AGAIN = "copy or download it again"
_SAVED = "give a .pt file that Ultralytics saved (model.save, best.pt, last.pt)"


def read_checkpoint(path: Path, *, trust: bool = False, span: Span | None = None) -> nn.Module:
    """The model in a checkpoint: float32, eval mode, parameters trainable except the fixed DFL projection.

    It has what Ultralytics gives a loaded model: `args` (a dict, defaults filled in), `pt_path`, `task` and
    `stride`. Without `trust` only the classes that Ultralytics and torch use in checkpoints are rebuilt, and
    nothing else is imported or called; with it, the file is loaded as Python pickle when that is not enough.

    Raises ModelError (KD304 unreadable, KD306 would run code).
    """
    fault = _fault_of_file(path) or _fault_of_name(path)
    if fault is not None:
        raise _unreadable(path, *fault, span)
    content = _unpickle(path, trust, span)
    model = _find_model(content)
    if model is None:
        raise _unreadable(path, _holding(content), _SAVED, span)
    return _prepare(model, content if isinstance(content, dict) else {}, path)


def _unreadable(path: Path, fault: str, hint: str, span: Span | None) -> ModelError:
    return ModelError(Diagnostic("KD304", f"{path} {fault}", span, hint))


def _fault_of_file(path: Path) -> tuple[str, str] | None:
    """What is wrong with the form of the file, and the way out; None for a zip or a pickle."""
    try:
        with path.open("rb") as stream:
            head = stream.read(2)
    except OSError as error:
        return f"cannot be read: {error.strerror}", "change its permissions, or copy it"
    if not head:
        return "is empty (0 bytes)", _AGAIN
    if head != b"PK":
        return None if head[0] == 0x80 else (f"is no PyTorch checkpoint: it starts with {head!r}", _SAVED)
    if not zipfile.is_zipfile(path):
        return f"is cut off: {path.stat().st_size} bytes of a checkpoint whose end is missing", _AGAIN
    with zipfile.ZipFile(path) as archive:
        members = {Path(name).name for name in archive.namelist()}
    if "constants.pkl" in members:
        return (
            "is a TorchScript archive, which has no layers to tap",
            "give the .pt that it was exported from",
        )
    return None if "data.pkl" in members else ("is a zip archive, but no PyTorch checkpoint", _SAVED)


def _fault_of_name(path: Path) -> tuple[str, str] | None:
    """A path that Ultralytics' loader rewrites is refused: it would open, or download, another file."""
    from ultralytics.utils.checks import check_yolov5u_filename

    opened = check_yolov5u_filename(str(path).strip().replace("'", ""), verbose=False)
    if opened == str(path):
        return None
    return f"has a name that Ultralytics takes for {opened}", "rename the file, or use the other one"


def _unpickle(path: Path, trust: bool, span: Span | None) -> Any:
    from ultralytics.nn.tasks import torch_safe_load

    try:
        with torch.serialization.safe_globals([*admitted(_names(path))]):
            return torch_safe_load(str(path), safe_only=True)[0]
    except Exception as error:  # a damaged pickle can raise anything
        foreign = _foreign_names(path)
        if not foreign:
            kind = type(error.__cause__ or error).__name__
            raise _unreadable(
                path, f"is damaged: its content cannot be rebuilt ({kind})", _AGAIN, span
            ) from error
    if any(name.startswith(_LEGACY) for name in foreign):
        fault = "comes from the YOLOv5 or YOLOv7 repository, whose models Ultralytics cannot load"
        raise _unreadable(path, fault, "use an Ultralytics model instead, e.g. yolov5nu.pt", span)
    if not trust:
        names = ", ".join(foreign[:3]) + (", ..." if len(foreign) > 3 else "")
        hint = f"if you trust where it comes from: {{model: {path}, trust: true}}"
        raise ModelError(Diagnostic("KD306", f"{path} needs {names}: loading it could run code", span, hint))
    return _unpickle_freely(path, span)


def _foreign_names(path: Path) -> list[str]:
    """What the checkpoint would import beyond the classes that a restricted load has already admitted."""
    names = _names(path)
    known = {name for _, name in admitted(names)}
    return [name for name in names if name not in known]


def _names(path: Path) -> list[str]:
    """What the checkpoint would import beyond what torch admits; of a bare pickle, beyond `_KNOWN`."""
    try:
        if zipfile.is_zipfile(path):
            return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
        return sorted(name for name in _imports(path) if name.split(".")[0] not in _KNOWN)
    except Exception:  # a damaged file: nothing can be listed
        return []


def _imports(path: Path) -> set[str]:
    """The names that a file of pickles would import, read from their opcodes: nothing is run."""
    names, strings = set(), [""]
    # A ValueError is where the tensors begin, or where the file is damaged.
    with path.open("rb") as stream, contextlib.suppress(ValueError):
        for opcode, argument, _ in chain.from_iterable(map(pickletools.genops, repeat(stream))):
            if opcode.name == "GLOBAL":
                names.add(str(argument).replace(" ", "."))
            elif opcode.name == "STACK_GLOBAL":
                names.add(".".join(strings[-2:]))
            elif isinstance(argument, str):
                strings.append(argument)
    return names


def _unpickle_freely(path: Path, span: Span | None) -> Any:
    """Load a trusted file as Python pickle; a package it lacks is named, never installed."""
    try:
        return torch.load(path, map_location="cpu", weights_only=False, pickle_module=OldNames)
    except ModuleNotFoundError as error:
        fault = f"needs the Python package '{error.name}', which is not installed"
        raise _unreadable(path, fault, "install it, or save the model again without it", span) from error
    except Exception as error:  # a trusted pickle runs its own code, which can raise anything
        fault = f"cannot be loaded ({type(error).__name__}: {error})"
        raise _unreadable(path, fault, "save it again with the versions installed here", span) from error


def _find_model(content: Any) -> nn.Module | None:
    """The module in a checkpoint's dict (its EMA first) or in a saved YOLO, or the saved module itself."""
    from ultralytics.nn.distill_model import DistillationModel

    if isinstance(content, dict):
        content = content.get("ema") or content.get("model")
    elif not isinstance(content, nn.Module):
        content = getattr(content, "model", None)
    if isinstance(content, DistillationModel):
        content = content.student_model
    return content if isinstance(content, nn.Module) else None


def _holding(content: Any) -> str:
    state = content.get("model", content) if isinstance(content, dict) else content
    if isinstance(state, dict) and any(isinstance(value, torch.Tensor) for value in state.values()):
        return "holds weights without their model (a state_dict)"
    return "holds no model"


def _prepare(model: Any, content: dict[str, Any], path: Path) -> nn.Module:
    """Bring a module, saved perhaps long ago and in half precision, to the state that training expects."""
    from ultralytics.nn.tasks import guess_model_task
    from ultralytics.utils import DEFAULT_CFG_DICT

    model.float().eval()
    upgrade(model)
    task = getattr(model, "task", None) or guess_model_task(model)
    model.args = {**DEFAULT_CFG_DICT, **plain(content.get("train_args") or {})}
    model.pt_path = str(path)
    model.task = task
    model.criterion = None  # one saved by an old version would keep that version's loss gains
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(".dfl." not in name)
    prepared: nn.Module = model
    return prepared
