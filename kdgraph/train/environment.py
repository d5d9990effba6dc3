"""What a run is made with, to be noted beside its results."""

from __future__ import annotations

import importlib.metadata
import os
import platform

import torch

from kdgraph import __version__
from kdgraph.train.devices import driver_cards

__all__ = ["environment"]

_PACKAGES = ("torch", "torchvision", "ultralytics", "numpy")


def environment() -> list[tuple[str, str]]:
    """Names and values of versions, processor and graphics cards, in the order to show them in.

    Asks the driver, not torch: a process that has woken CUDA can no longer choose a card, as Ultralytics does
    later.
    """
    facts = [("kdgraph", __version__), ("python", platform.python_version())]
    facts += [(name, _version(name)) for name in _PACKAGES]
    facts.append(("CUDA of torch", torch.version.cuda or "none"))
    facts.append(("system", platform.platform(terse=True)))
    facts.append(("processor", f"{platform.machine()}, {os.cpu_count()} cores"))
    return facts + [("graphics card", card) for card in driver_cards()]


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
