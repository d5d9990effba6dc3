"""Finding and running a Python module by its name, in a folder first and then wherever Python looks."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from kdgraph.errors import closest, quoted

MODULE_PATTERN = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*"

_RENAME = "rename the file, and the plugin with it"
_SAID = 200  # characters that are told of an exception's message
_PACKAGES = {path for key, path in sysconfig.get_paths().items() if key.endswith(("lib", "stdlib"))}
_FOREIGN = (*(path + os.sep for path in (*sorted(_PACKAGES), str(Path(__file__).parent.parent))), "<")

_homes: dict[str, Path] = {}
"""The folders of the top-level modules that were run from there: Python's own search would not find them."""


class ModuleFault(Exception):
    """Why a module cannot be had, and how to mend it."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


def make_room(name: str, folder: Path) -> set[str]:
    """Let Python forget modules of other folders that `folder` has too, or that have this name.

    Returns their names, those of their parts among them.
    """
    strange = [top for top, home in _homes.items() if home != folder.resolve()]
    tops = [top for top in strange if top == name.partition(".")[0] or _beside(top, folder)]
    gone = {module for module in sys.modules if module.partition(".")[0] in tops}
    for module in gone:
        del sys.modules[module]
    for top in tops:
        del _homes[top]
    return gone


def run(name: str, folder: Path) -> None:
    """Import the module `name`: a file of `folder`, or else an importable one. Python runs it only once.

    The module may import its neighbours in `folder` while it is run. Raises ModuleFault when it is missing,
    has the name of another one, or raises anything itself.
    """
    if not re.fullmatch(MODULE_PATTERN, name, re.ASCII) or name.endswith(".py"):
        raise ModuleFault(f"{quoted(name)} is not the name of a module", _spelling(name))
    with _searched(folder), _blamed(name, folder):
        if _beside(name, folder):
            _run_top(name.partition(".")[0], folder)
        elif not _importable(name):
            raise _missing(name, folder)
        importlib.import_module(name)


def _run_top(top: str, folder: Path) -> None:
    """Run the first part of the name, which Python would look for elsewhere first."""
    spec = _spec(top, folder)
    if top in sys.stdlib_module_names:
        raise ModuleFault(f"Python has a module {top} of its own", _RENAME)
    if top in sys.modules:
        _refuse_other(sys.modules[top], spec, top)
        return
    module = importlib.util.module_from_spec(spec)
    sys.modules[top] = module
    try:
        if spec.loader is not None:
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[top]
        raise


def _spec(top: str, folder: Path) -> ModuleSpec:
    """A file, a package, or a folder that is none but holds modules."""
    path = folder.resolve() / top
    for file in (path / "__init__.py", path.with_suffix(".py")):
        spec = importlib.util.spec_from_file_location(top, file) if file.is_file() else None
        if spec is not None:
            return spec
    bare = ModuleSpec(top, None, is_package=True)
    bare.submodule_search_locations = [str(path)]
    return bare


def _refuse_other(loaded: ModuleType, spec: ModuleSpec, top: str) -> None:
    """Raise ModuleFault unless `loaded` is what `spec` would load."""
    wanted = [spec.origin] if spec.origin else list(spec.submodule_search_locations or ())
    file = getattr(loaded, "__file__", None)
    held = [file] if file else list(getattr(loaded, "__path__", ()))
    if {Path(path).resolve() for path in wanted if path}.isdisjoint(Path(path).resolve() for path in held):
        where = f" from {held[0]}" if held else ""
        raise ModuleFault(f"Python has loaded another module {top}{where}", _RENAME)


def _beside(name: str, folder: Path) -> bool:
    path = folder.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def _importable(name: str) -> bool:
    try:
        return name in sys.modules or importlib.util.find_spec(name) is not None
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            return False
        raise  # a package above it misses something else


def _missing(name: str, folder: Path) -> ModuleFault:
    above, _, _ = name.rpartition(".")
    files = sorted(folder.joinpath(*above.split(".")).glob("*.py"))
    names = [f"{above}.{file.stem}".lstrip(".") for file in files if not file.stem.startswith("__")]
    near = " or ".join(quoted(match) for match in closest(name, names))
    file = f"{name.replace('.', '/')}.py"
    message = f"no module {name}: there is no {folder / file}, and nothing of that name is installed"
    return ModuleFault(message, f"did you mean {near}?" if near else f"write {file} beside the spec")


def _spelling(name: str) -> str:
    plain = re.sub(r"[\\/]", ".", re.sub(r"\.py$|^[./\\]+", "", name))
    meant = plain if re.fullmatch(MODULE_PATTERN, plain, re.ASCII) else "my_losses"
    return f"write it as Python's `import` does, without folder and ending: {meant}"


@contextmanager
def _searched(folder: Path) -> Iterator[None]:
    """Let Python search `folder` too, last; not for longer, since folders may be named like packages."""
    home, before = folder.resolve(), set(sys.modules)
    sys.path.append(str(home))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.reverse()
        sys.path.remove(str(home))  # the last of its kind
        sys.path.reverse()
        for name in sys.modules.keys() - before:
            if "." not in name and _is_in(sys.modules[name], home):
                _homes[name] = home


def _is_in(module: ModuleType, folder: Path) -> bool:
    places = list(getattr(module, "__path__", ())) or [getattr(module, "__file__", None)]
    return any(place is not None and Path(place).parent == folder for place in places)


@contextmanager
def _blamed(name: str, folder: Path) -> Iterator[None]:
    """Turn whatever the module raises into a ModuleFault that names the line."""
    try:
        yield
    except ModuleFault:
        raise
    except (Exception, SystemExit) as error:
        said = " ".join(str(getattr(error, "msg", error)).split())
        kind = type(error).__name__
        shown = f"{kind}: {said[:_SAID]}" if said else kind
        hint = f"mend it there; `python -c 'import {name}'` in that folder shows the whole traceback"
        raise ModuleFault(f"{name} raises {shown}, at {_line(error, name, folder)}", hint) from None


def _line(error: BaseException, name: str, folder: Path) -> str:
    """The user's own line that is to blame: the last one that is not of Python, a package or kdgraph."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_shown(error.filename, folder)}:{error.lineno}"
    frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    own = [frame for frame in frames if Path(frame[0]).is_file() and not frame[0].startswith(_FOREIGN)]
    if not own:
        return name
    file, line = own[-1]
    return f"{_shown(file, folder)}:{line}"


def _shown(file: str, folder: Path) -> str:
    path, home = Path(file), folder.resolve()
    return str(folder / path.relative_to(home) if path.is_relative_to(home) else path)
