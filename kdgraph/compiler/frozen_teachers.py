"""What a lowered module holds of its teachers: the parts that are left, frozen, under their old paths."""

from __future__ import annotations

from operator import attrgetter

import torch
from torch import nn

from kdgraph.compiler.frozen import frozen
from kdgraph.compiler.names import free_name
from kdgraph.graph.ir import DistillGraph, Op, Role

__all__ = ["FrozenTeachers"]


class FrozenTeachers:
    """`modules` by name, an empty one for each teacher of which something is left; `names` by role."""

    def __init__(self, graph: DistillGraph) -> None:
        self.graph = graph
        self.modules = nn.ModuleDict()
        self.names: dict[Role, str] = {}
        for role in graph.teachers:
            if any(op.node.op != "placeholder" for op in graph.ops(role).values()):
                self.names[role] = free_name(role if role == "teacher" else f"teacher_{role}", self.modules)
                self.modules[self.names[role]] = nn.Module()

    def dtype(self, role: Role) -> torch.dtype | None:
        """What a teacher computes in where that is not the student's."""
        return self.graph.precision.get(role)

    def precision(self) -> dict[str, torch.dtype]:
        """The same of all that have one, by name."""
        return {name: dtype for role, name in self.names.items() if (dtype := self.dtype(role)) is not None}

    def place(self, op: Op) -> None:
        """Take over the module that an operation calls, or the tensor that it reads."""
        path, dtype = str(op.node.target), self.dtype(op.role)
        teacher, name = self.modules[self.names[op.role]], path.split(".")[-1]
        if op.module is not None:
            owner = _owner(teacher, path)
            if name not in owner._modules:  # a splice calls it once more
                owner.add_module(name, _module(op, dtype))
        elif op.node.op == "get_attr":
            tensor = attrgetter(path)(self.graph.models[op.role].module).detach()
            tensor = tensor.to(dtype) if dtype is not None and tensor.is_floating_point() else tensor
            _owner(teacher, path).register_buffer(name, tensor, persistent=False)


def _module(op: Op, dtype: torch.dtype | None) -> nn.Module:
    assert op.module is not None
    module = frozen(op.module, op.folded)
    if op.inplace:
        module.inplace = True  # type: ignore[assignment]
    return module if dtype is None else module.to(dtype)


def _owner(root: nn.Module, path: str) -> nn.Module:
    """The module that holds the last name of a dotted path below `root`, making containers on the way."""
    for name in path.split(".")[:-1]:
        if name not in root._modules:
            root.add_module(name, nn.Module())
        root = root.get_submodule(name)
    return root
