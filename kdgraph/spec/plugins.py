"""Components beyond the package's own: those that the modules named by a spec's `plugins:` register.

A spec sees the built-in components and those of its own plugins. Names are taken once in a process, so that a
component can also be found by its name alone.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kdgraph.errors import Diagnostic, Span, SpecError
from kdgraph.spec import modules
from kdgraph.spec.components import COMPONENTS, ComponentInfo, Kind

NAME_PATTERN = r"[A-Za-z_][A-Za-z0-9_-]*"
"""Names of components."""

_added: dict[Kind, dict[str, ComponentInfo]] = {kind: {} for kind in COMPONENTS}
_bringers: dict[tuple[Kind, str], set[str]] = {}
"""For each added component the modules that were being loaded when it was: a plugin may keep its classes in
a module of its own."""
_loading: list[str] = []


def add(kind: Kind, info: ComponentInfo) -> None:
    """Make a plugin's component known; the same plugin may replace it later, as a reload does.

    Raises ValueError when it has no `plugin`, a name that cannot be written or is taken, or a default mask or
    adapter that is not known.
    """
    if not info.plugin:
        raise ValueError(f"{kind} '{info.name}' does not say which plugin it is of")
    if not re.fullmatch(NAME_PATTERN, info.name):
        rule = "letters, digits, '_' and '-', without a digit at the start"
        raise ValueError(f"'{info.name}' cannot name a {kind}: use {rule}")
    if info.name in COMPONENTS[kind]:
        raise ValueError(f"kdgraph has a {kind} '{info.name}' of its own: choose another name")
    before = _added[kind].get(info.name)
    if before is not None and before.plugin != info.plugin:
        raise ValueError(
            f"the plugin {before.plugin} has a {kind} '{info.name}' already: choose another name"
        )
    defaults: tuple[tuple[Kind, str], ...] = (("mask", info.default_mask), ("adapter", info.default_adapter))
    for part, name in defaults:
        if name not in COMPONENTS[part] and name not in _added[part]:
            raise ValueError(f"'{info.name}': there is no {part} '{name}' yet for its default")
    _added[kind][info.name] = info
    _bringers.setdefault((kind, info.name), set()).update(_loading)


def known(kind: Kind, plugins: Sequence[str] = ()) -> Mapping[str, ComponentInfo]:
    """The components that a spec with these plugins may name, the built-in ones first."""
    theirs = {info.name: info for of, info in _brought_by(plugins) if of == kind}
    return {**COMPONENTS[kind], **theirs}


def find(kind: Kind, name: str) -> ComponentInfo:
    """The component of that name, built-in or of any plugin. Raises KeyError when there is none."""
    return COMPONENTS[kind].get(name) or _added[kind][name]


def home(kind: Kind, name: str) -> str | None:
    """The module that registered the component of that name, if one did."""
    info = _added[kind].get(name)
    return info.plugin if info else None


def load(name: str, folder: Path, *, span: Span | None = None) -> None:
    """Run the plugin `name`, a module in `folder` or else an importable one, unless this was done before.

    A module of that name from another folder makes room for it, with its components. `span` is where the spec
    names the plugin. Raises SpecError (KD114) when there is no such module, or when it raises.
    """
    try:
        _forget(modules.make_room(name, folder))
        _run(name, folder)
    except modules.ModuleFault as fault:
        raise SpecError(Diagnostic("KD114", f"plugins: {fault.message}", span, fault.hint)) from None


def registers(name: str) -> bool:
    """Whether the plugin `name` brought any component."""
    return any(_brought_by([name]))


def function(name: str) -> Callable[[], Any] | None:
    """What `module:function` names in a plugin that was loaded; None where it has no such function."""
    module, _, wanted = name.partition(":")
    found = getattr(sys.modules[module], wanted, None) if module in sys.modules else None
    return found if callable(found) else None


def functions(module: str) -> list[str]:
    """The names of what `function` may give of a plugin that was loaded."""
    held = vars(sys.modules[module]) if module in sys.modules else {}
    return [name for name, value in held.items() if callable(value) and not name.startswith("_")]


def _run(name: str, folder: Path) -> None:
    _loading.append(name)
    try:
        modules.run(name, folder)
    except modules.ModuleFault:
        _forget({info.plugin for _, info in _brought_by([name])} - sys.modules.keys())
        raise
    finally:
        _loading.pop()


def _brought_by(plugins: Sequence[str]) -> Iterator[tuple[Kind, ComponentInfo]]:
    """What these plugins registered: their own modules, parts of them, or what they imported first."""
    for kind, infos in _added.items():
        for info in infos.values():
            homes = {str(info.plugin), *_bringers.get((kind, info.name), ())}
            if any(f"{home}.".startswith(f"{plugin}.") for home in homes for plugin in plugins):
                yield kind, info


def _forget(gone: Collection[str | None]) -> None:
    """Drop the components of modules that Python does not hold any more."""
    for kind, infos in _added.items():
        for name in [name for name, info in infos.items() if info.plugin in gone]:
            del infos[name]
            _bringers.pop((kind, name), None)
