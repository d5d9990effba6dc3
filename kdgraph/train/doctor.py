"""Looks at what is installed and says what does not fit together; works with broken installations too."""

from __future__ import annotations

import importlib
import importlib.metadata
import operator
import platform
import re
from dataclasses import dataclass

from kdgraph.errors import Diagnostic
from kdgraph.graph.quiet import quiet
from kdgraph.train.devices import device_facts

_NEEDED = {"torch": ((2, 8), None), "torchvision": (None, None), "ultralytics": ((8, 4, 190), (9,))}
_IMPORTS = {
    "torch": "torch",
    "torchvision": "torchvision",
    "cv2": "OpenCV",
    "ultralytics.nn.tasks": "ultralytics",
}
_HOLDS = {
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    "<": operator.lt,
    ">": operator.gt,
}


@dataclass(frozen=True)
class Report:
    """What is there, and what is wrong with it; `str()` is what the user reads."""

    facts: tuple[tuple[str, str], ...]
    faults: tuple[Diagnostic, ...]

    @property
    def ok(self) -> bool:
        """Whether everything fits."""
        return not self.faults

    def __str__(self) -> str:
        width = max(len(name) for name, _ in self.facts)
        lines = [f"{name:<{width}}  {value}" for name, value in self.facts]
        verdict = [fault.render() for fault in self.faults] or ["all fits"]
        return "\n".join([*lines, *verdict])


def diagnose() -> Report:
    """Versions, devices and faults of this environment; what fails while looking is a fault of the report."""
    versions = {name: _installed(name) for name in ("kdgraph", *_NEEDED)}
    facts = [("python", f"{platform.python_version()} on {platform.platform(terse=True)}")]
    facts += [(name, version or "not installed") for name, version in versions.items()]
    faults = version_faults(versions)
    mismatch = match_fault(versions["torch"], versions["torchvision"], _torch_of_torchvision())
    faults += [mismatch] if mismatch else []
    with quiet():
        faults += [] if mismatch else import_faults(versions["torch"])
        devices, device_faults = device_facts()
    return Report((*facts, *devices), (*faults, *device_faults))


def version_faults(versions: dict[str, str | None]) -> list[Diagnostic]:
    """Packages that are missing (None) or outside the range kdgraph works with (KD511)."""
    faults = []
    for name, (low, high) in _NEEDED.items():
        found, wanted = versions[name], _requirement(name)
        if found is None:
            faults.append(Diagnostic("KD511", f"{name} is not installed", hint=f'pip install "{wanted}"'))
        elif (low and _release(found) < low) or (high and _release(found) >= high):
            hint = f'pip install --upgrade "{wanted}"'
            faults.append(
                Diagnostic("KD511", f"{name} {found} does not fit: kdgraph needs {wanted}", hint=hint)
            )
    return faults


def match_fault(torch: str | None, torchvision: str | None, wanted: str) -> Diagnostic | None:
    """Whether torchvision was built for another torch (KD512), the commonest fault.

    torch, torchvision: installed versions, with the local part of wheels from PyTorch's index (`2.8.0+cpu`).
    wanted: the versions of torch that this torchvision asks for, as its metadata has them (`==2.8.0`).
    """
    if torch is None or torchvision is None:
        return None
    build, other = torch.partition("+")[2], torchvision.partition("+")[2]
    if not _fits(torch, wanted):
        message = f"torchvision {torchvision} is made for torch {wanted}, but torch is {torch}"
    elif build and other and build != other:
        message = f"torchvision {torchvision} and torch {torch} are built for different devices"
    else:
        return None
    return Diagnostic("KD512", message, hint=_mend(torch))


def import_faults(torch: str | None) -> list[Diagnostic]:
    """What cannot be imported although it is installed (KD513); only the first, as the others import it."""
    for module, name in _IMPORTS.items():
        try:
            importlib.import_module(module)
            if module == "torchvision":
                _try_torchvision()
        except Exception as error:  # a broken installation fails in any way
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            return [
                Diagnostic("KD513", f"{name} cannot be used: {reason}", hint=_way_out(name, reason, torch))
            ]
    return []


def _try_torchvision() -> None:
    """Call the operator that every detector needs: torchvision may import and yet lack its compiled part."""
    import torch

    importlib.import_module("torchvision.ops").nms(torch.zeros(1, 4), torch.zeros(1), 0.5)


def _way_out(name: str, reason: str, torch: str | None) -> str:
    if name == "torchvision" and torch is not None:
        return _mend(torch)
    if name == "OpenCV" and "libGL" in reason:
        return "pip uninstall -y opencv-python && pip install --force-reinstall opencv-python-headless"
    package = {"OpenCV": "opencv-python"}.get(name, name)
    return f'pip install --force-reinstall "{_requirement(package)}"'


def _mend(torch: str) -> str:
    """The command that lets pip choose the torchvision of this torch, from the index this torch came from."""
    release, _, build = torch.partition("+")
    index = f" --index-url https://download.pytorch.org/whl/{build}" if build else ""
    return f'pip uninstall -y torchvision && pip install "torch=={release}" torchvision{index}'


def _requirement(name: str) -> str:
    low, high = _NEEDED.get(name, (None, None))
    bounds = [f">={'.'.join(map(str, low))}"] if low else []
    bounds += [f"<{'.'.join(map(str, high))}"] if high else []
    return name + ",".join(bounds)


def _release(version: str) -> tuple[int, ...]:
    """The numbers of a version, without its local or pre-release part: `2.8.0+cpu` -> (2, 8, 0)."""
    matched = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(number) for number in matched[0].split(".")) if matched else ()


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _torch_of_torchvision() -> str:
    """The versions of torch that the installed torchvision asks for (`==2.8.0`); empty if it does not say."""
    try:
        declared = importlib.metadata.requires("torchvision") or []
    except importlib.metadata.PackageNotFoundError:
        return ""
    matched = (re.match(r"torch\s*\(?([=<>!][^;)]*)", each) for each in declared)
    return next((found[1].strip() for found in matched if found), "")


def _fits(version: str, wanted: str) -> bool:
    """Whether a release satisfies all of the comma-separated bounds."""
    bounds = re.findall(r"(==|!=|>=|<=|<|>)\s*([\d.]+)", wanted)
    return all(_HOLDS[sign](_release(version), _release(bound)) for sign, bound in bounds)
