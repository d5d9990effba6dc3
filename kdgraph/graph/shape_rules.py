"""Shapes on the meta device without torch's own meta kernels, for the operators that detectors are made of.

Those kernels are written in Python: the first call of one imports sympy and torch._dynamo, which takes longer
than all else that the compiler does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from kdgraph.graph import map_rules as maps
from kdgraph.graph import tensor_rules as tensors

__all__ = ["RULES", "ShapeRules"]

RULES: Mapping[Any, Callable[..., Tensor | None]] = {
    **dict.fromkeys((F.relu, F.silu, torch.sigmoid, Tensor.sigmoid), tensors.pointwise),
    **dict.fromkeys((torch.add, Tensor.add), tensors.binary),
    **dict.fromkeys((torch.sub, Tensor.sub, Tensor.__rsub__), tensors.binary),
    **dict.fromkeys((torch.mul, Tensor.mul, torch.div, Tensor.div), tensors.binary),
    **dict.fromkeys((torch.matmul, Tensor.matmul), tensors.matmul),
    **dict.fromkeys((F.softmax, torch.softmax, Tensor.softmax), tensors.softmax),
    **dict.fromkeys((torch.sum, Tensor.sum), tensors.total),
    torch.arange: tensors.arange,
    torch.cat: tensors.cat,
    torch.conv2d: maps.conv,
    torch.conv_transpose2d: maps.conv_transpose,
    F.avg_pool2d: maps.avg_pool,
    F.interpolate: maps.nearest,
    F.max_pool2d: maps.max_pool,
}
"""What a function of torch makes of meta tensors; None where the rule is not sure, or the call a mistake."""


class ShapeRules(TorchFunctionMode):
    """In this block the functions that have a rule are not run on meta tensors: the rule makes the result.

    It has the shape, dtype and strides that torch would give it.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        rule, options = RULES.get(func), kwargs or {}
        result = rule(*args, **options) if rule is not None and args else None
        return func(*args, **options) if result is None else result
