"""`plugins:`, the name of a module or a list of such names; reading it runs the modules."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from kdgraph.spec.nodes import Items, Node
from kdgraph.spec.plugins import load, registers
from kdgraph.spec.reading.faults import Faults
from kdgraph.spec.reading.values import fail, text

_HINT = "write my_losses for a file my_losses.py beside the spec, or the name of an installed module"


_NOTHING = "put @kdgraph.register.criterion(…), or mask or adapter, above each of its classes"


def read_plugins(node: Node, folder: Path, models: Collection[str] = ()) -> tuple[str, ...]:
    """The plugins, all of them loaded; `folder` is the one of the spec.

    Those among `models` give teachers; the others must register something.
    """
    faults = Faults()
    names: list[str] = []
    for item in node.items if isinstance(node, Items) else [node]:
        with faults.gathered():
            name = text(item, "the name of a Python module", _HINT)
            if name in names:
                raise fail("KD104", item, f"the plugin {name} is named twice", "delete one of the two")
            names.append(name)
            load(name, folder, span=item.span)
            if name not in models and not registers(name):
                raise fail("KD114", item, f"{name} registers nothing", _NOTHING)
    faults.check()
    return tuple(names)
