"""`python:`, a function of a plugin that makes a teacher."""

from __future__ import annotations

import re

from kdgraph.errors import closest, quoted
from kdgraph.spec.modules import MODULE_PATTERN
from kdgraph.spec.nodes import Node, Text
from kdgraph.spec.plugins import function, functions
from kdgraph.spec.reading.scope import Scope
from kdgraph.spec.reading.values import fail, text

PYTHON_PATTERN = MODULE_PATTERN + r":[A-Za-z_]\w*"

_PYTHON = "write `module:function`, such as my_models:resnet, and list the module in `plugins`"


def read_python(node: Node, scope: Scope) -> str:
    """The name of a function that its plugin has. Reading runs no function."""
    name = text(node, "a function, `module:function`", _PYTHON)
    if not re.fullmatch(PYTHON_PATTERN, name, re.ASCII):
        raise fail("KD104", node, f"{quoted(name)} is not `module:function`", _PYTHON)
    module = name.partition(":")[0]
    if module in scope.plugins:
        _check_there(node, name)
    elif not scope.lost:
        raise fail("KD111", node, f"the module {module} is not in `plugins`", _listing(module, scope))
    return name


def named_module(node: Node | None) -> str:
    """The module that `python:` names, as far as it can be read; else an empty text."""
    return node.value.partition(":")[0] if isinstance(node, Text) else ""


def _check_there(node: Node, name: str) -> None:
    if function(name) is None:
        module, _, wanted = name.partition(":")
        near = closest(wanted, functions(module), n=1)
        hint = f"did you mean '{module}:{near[0]}'?" if near else f"write `def {wanted}():` in {module}"
        raise fail("KD114", node, f"{module} has no function {quoted(wanted)}", hint)


def _listing(module: str, scope: Scope) -> str:
    near = closest(module, scope.plugins, n=1)
    if near:
        return f"did you mean {near[0]}, which is there?"
    way = f"add `plugins: {module}` at the top of the spec" if not scope.plugins else f"add {module} to it"
    return f"{way}: reading a spec runs its plugins"
