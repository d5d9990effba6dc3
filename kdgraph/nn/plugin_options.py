"""The options of a registered component, read off its constructor."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, Field, ValidationError, create_model
from pydantic.fields import FieldInfo
from torch import nn

from kdgraph.spec.components import NoOptions, Options, Signal, Wire

__all__ = ["options_of"]

_SCALARS = (bool, int, float, str)
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_STEERING: tuple[tuple[frozenset[Signal], dict[str, tuple[str, Any]], bool], ...] = (
    (
        frozenset({"target", "label", "target_box"}),
        {"of": ('Literal["student", "teacher"]', "student"), "topk": ("int", 10)},
        False,
    ),
    (frozenset({"instances"}), {"count": ("int", 10), "overlap": ("float", 0.3)}, True),
)
"""Signals, the options that say which of them is meant, and whether these must be there."""


class PluginOptions(Options):
    """Options of a registered component. No number among them is infinite or NaN."""

    model_config = ConfigDict(allow_inf_nan=False, protected_namespaces=())


def options_of(cls: type[nn.Module], told: Collection[str], reads: Collection[Signal] = ()) -> type[Options]:
    """The model of the options that the constructor of `cls` has, `told` being what it is told besides.

    Where it reads an assignment or instances, options of certain names say which: `of` and `topk`, as those
    of the mask foreground; `count` and `overlap`, as those of the mask gi.

    Raises:
        TypeError: a parameter that can't be passed by keyword, one of another type than an option's, or
            something `told` that is no parameter.
        ValueError: a parameter without annotation or default, a default that its annotation forbids, a
            name that options can't have, or an option missing that what it reads needs.
    """
    parameters = _parameters(cls)
    missing = [name for name in told if name not in parameters]
    if missing:
        correct = ", ".join(["self", *told])
        raise TypeError(f"{cls.__name__} is told {', '.join(missing)}: write def __init__({correct})")
    own = {name: parameter for name, parameter in parameters.items() if name not in told}
    _check_steering(cls, own, reads)
    if not own:
        return NoOptions
    hints = _hints(cls)
    fields = {name: _field(cls, parameter, hints.get(name)) for name, parameter in own.items()}
    model = create_model(f"{cls.__name__}Options", __base__=PluginOptions, **fields)  # type: ignore[call-overload]
    _check_defaults(cls, model, own)
    return model


def _parameters(cls: type[nn.Module]) -> Mapping[str, inspect.Parameter]:
    if cls.__init__ is nn.Module.__init__:
        return {}
    _, *parameters = inspect.signature(cls.__init__).parameters.values()
    for parameter in parameters:
        if parameter.kind not in _NAMED:
            shown = str(parameter).split(":")[0]
            raise TypeError(
                f"{cls.__name__}: '{shown}' can be no option, each has a parameter of its own: write "
                f"def __init__(self, {parameter.name}: float = 1.0)"
            )
    return {parameter.name: parameter for parameter in parameters}


def _check_steering(cls: type, own: Collection[str], reads: Collection[Signal]) -> None:
    for signals, names, always in _STEERING:
        missing = [name for name in names if name not in own]
        if signals & set(reads) and missing and (always or len(missing) < len(names)):
            written = ", ".join(f"{name}: {kind} = {default!r}" for name, (kind, default) in names.items())
            raise ValueError(
                f"{cls.__name__}: what it reads is chosen by the options {' and '.join(names)}: "
                f"write def __init__(self, {written})"
            )


def _hints(cls: type[nn.Module]) -> dict[str, Any]:
    try:
        return get_type_hints(cls.__init__, include_extras=True)
    except NameError as error:
        raise ValueError(
            f"{cls.__name__}: {error}, in an annotation of __init__: import it at the top of the module"
        ) from None


def _field(cls: type, parameter: inspect.Parameter, hint: Any) -> tuple[Any, Any]:
    """The annotation and the default of an option, as pydantic takes them."""
    name, default = parameter.name, parameter.default
    if name.startswith("_") or hasattr(Options, name):
        raise ValueError(f"{cls.__name__}: no option can be called '{name}': write {name.strip('_')}_ for it")
    if hint is None or default is parameter.empty or isinstance(default, FieldInfo):
        told = ", or name it in `wires`" if name in get_args(Wire) else ""
        raise ValueError(
            f"{cls.__name__}: the option '{name}' needs an annotation and a default: write "
            f"{name}: {_shown(hint)} = {_example(hint, default)}{told}"
        )
    bare, *details = get_args(hint) if hasattr(hint, "__metadata__") else (hint,)
    if bare not in _SCALARS and get_origin(bare) is not Literal:
        raise TypeError(
            f"{cls.__name__}: the option '{name}' is {_shown(bare)}, and options are bool, int, float, str "
            f"or a Literal: write {name}: float = 1.0"
        )
    if any(isinstance(detail, FieldInfo) and detail.description for detail in details):
        return hint, default
    return hint, Field(default, description=f"{default} unless the spec says otherwise")


def _check_defaults(cls: type, model: type[Options], parameters: Mapping[str, inspect.Parameter]) -> None:
    try:
        model.model_validate({name: parameter.default for name, parameter in parameters.items()})
    except ValidationError as error:
        fault = error.errors()[0]
        raise ValueError(
            f"{cls.__name__}: the default of '{fault['loc'][0]}' is {fault['input']!r}, and its annotation "
            f"says: {fault['msg']}: write a default that a spec may write, too"
        ) from None


def _shown(hint: Any) -> str:
    """An annotation as it is written; float where there is none."""
    if hint is None:
        return "float"
    return (
        hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint).replace("typing.", "")
    )


def _example(hint: Any, default: Any) -> str:
    """The default as it is written; one to begin with where there is none."""
    if default is not inspect.Parameter.empty and not isinstance(default, FieldInfo):
        return repr(default)
    bare = get_args(hint)[0] if hasattr(hint, "__metadata__") else hint
    if get_origin(bare) is Literal:
        return repr(get_args(bare)[0])
    return repr(bare()) if bare in (bool, int, str) else "1.0"
