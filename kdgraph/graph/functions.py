"""A teacher that a function of a plugin makes: any module that takes images and that torch.fx can trace."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from typing import Any

from torch import nn

from kdgraph.errors import Diagnostic, ModelError, Span, closest
from kdgraph.spec.plugins import function, functions

__all__ = ["call_for_model"]

_SAID = 200  # characters that are told of an exception's message
_RETURN = "return a torch.nn.Module that takes images [B,C,H,W], such as a torchvision model"


def call_for_model(name: str, span: Span | None) -> nn.Module:
    """What the function `name`, a `module:function` of a loaded plugin, returns when called; in eval mode.

    Of an Ultralytics `YOLO` it is the network inside. Raises ModelError: KD302 no such function, KD305 it
    raises, or returns something else than a module.
    """
    make = function(name)
    if make is None:
        raise ModelError(_missing(name, span))
    found = _called(name, make, span)
    if not isinstance(found, nn.Module):
        message = f"{name} returns {_kind(found)}, no torch.nn.Module"
        raise ModelError(Diagnostic("KD305", message, span, _RETURN))
    return _network(found).eval()


def _missing(name: str, span: Span | None) -> Diagnostic:
    module, _, wanted = name.partition(":")
    if module not in sys.modules:
        hint = f"list {module} in `plugins`, or import it first"
        return Diagnostic("KD302", f"the module {module} of {name} is not loaded", span, hint)
    near = " or ".join(f"{module}:{match}" for match in closest(wanted, functions(module)))
    hint = f"did you mean {near}?" if near else f"write `def {wanted}():` in {module}"
    return Diagnostic("KD302", f"{module} has no function '{wanted}'", span, hint)


def _called(name: str, make: Callable[[], Any], span: Span | None) -> Any:
    try:
        return make()
    except Exception as error:  # a user's function can raise anything
        said = " ".join(str(error).split())[:_SAID]
        kind = type(error).__name__
        message = f"{name} raises {kind}{f': {said}' if said else ''}{_line(error, make)}"
        hint = "mend it there; it is called without arguments and must return a torch.nn.Module"
        raise ModelError(Diagnostic("KD305", message, span, hint)) from error


def _line(error: Exception, make: Callable[[], Any]) -> str:
    """Where the plugin's own code was, if it was reached."""
    file = getattr(sys.modules.get(make.__module__), "__file__", None)
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f", at {file}:{lines[-1]}" if lines else ""


def _kind(found: object) -> str:
    return "nothing" if found is None else f"a {type(found).__name__}"


def _network(found: nn.Module) -> nn.Module:
    from ultralytics.engine.model import Model

    inner = found.model if isinstance(found, Model) else found
    return inner if isinstance(inner, nn.Module) else found
