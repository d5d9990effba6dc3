"""torch.compile, set up for one graph that is right or is refused as a whole."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import torch

__all__ = ["NotCompiled", "compiled", "unsupported"]

_SETTINGS: Mapping[str, Mapping[str, Any]] = {
    # A backward that cannot be compiled must fail in the forward: later there is no way back.
    "torch._functorch.config": {"force_non_lazy_backward_lowering": True},
    # One graph in several processes too. Cut at DDP's buckets, it would be compiled piece by piece while it
    # runs, and what failed half-way would have moved batch-norm statistics already.
    "torch._dynamo.config": {"optimize_ddp": False},
    "torch._inductor.config": {
        "fallback_random": True,  # random masks as without it
        "triton.cudagraph_skip_dynamic_graphs": True,  # else one recording for each number of labels
    },
}


class NotCompiled(Exception):
    """It could not be compiled, and nothing has been computed; says why in one line."""


def unsupported(device: str) -> str | None:
    """What torch.compile lacks on this machine for a kind of device, as far as that can be seen before."""
    from torch._dynamo.eval_frame import is_dynamo_supported

    if not is_dynamo_supported():
        return "torch.compile does not support this Python"
    try:
        if device == "cuda":
            from torch.utils._triton import has_triton

            return None if has_triton() else "there is no Triton that works"
        from torch._inductor.cpp_builder import get_cpp_compiler

        get_cpp_compiler()
    except ImportError:  # a torch that has them elsewhere
        return None
    except RuntimeError as error:
        return f"there is no C++ compiler ({_reason(error)})"
    return None


def compiled(
    forward: Callable[[dict[str, Any]], Any], mode: str, backend: Any, growing: Collection[str] = ()
) -> Callable[[dict[str, Any]], Any]:
    """`forward`, whose one argument is a dict of tensors, compiled at its first call.

    `growing`: the inputs whose first size changes from call to call, and is two or more. The shapes of the
    others must stay; with others it compiles anew. Raises NotCompiled, at the call.
    """

    quiet: AbstractContextManager[Any] = _quiet()

    def call(inputs: dict[str, Any]) -> Any:
        from torch._dynamo import mark_dynamic  # importing it takes seconds

        nonlocal quiet
        for name in growing:
            mark_dynamic(inputs[name], 0)
        try:
            with _settings(), quiet:
                quiet = nullcontext()
                return ready(inputs)
        except _failures() as error:
            raise NotCompiled(_reason(error)) from error

    try:
        ready = torch.compile(_own(forward), fullgraph=True, dynamic=False, mode=mode, backend=backend)
    except RuntimeError as error:  # of a Python that it does not support
        raise NotCompiled(_reason(error)) from error
    return call


def _own(forward: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    """`forward` as a code object of its own.

    What is compiled is kept, and counted against a limit, with the code object: that of a method serves all
    objects of a process, and all that an object was before its graph changed.
    """

    def step(inputs: dict[str, Any]) -> Any:
        return forward(inputs)

    step.__code__ = step.__code__.replace()
    return step


@contextmanager
def _settings() -> Iterator[None]:
    """Torch's settings for the time of a call, as far as the installed version has them."""
    with ExitStack() as stack:
        for module, values in _SETTINGS.items():
            config = importlib.import_module(module)
            known = {name: value for name, value in values.items() if hasattr(config, name)}
            if known:
                stack.enter_context(config.patch(known))
        yield


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what Dynamo provokes when it looks at inputs that have a history; for the first call alone."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The .grad attribute of a Tensor", UserWarning)
        yield


def _failures() -> tuple[type[Exception], ...]:
    """What a compilation raises, before anything has been computed: not what a computation raises."""
    from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException
    from torch.fx.experimental.symbolic_shapes import ConstraintViolationError

    return TorchDynamoException, FailOnRecompileLimitHit, ConstraintViolationError


def _reason(error: Exception) -> str:
    """The first line of what happened inside."""
    cause = getattr(error, "inner_exception", error)
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return f"{type(cause).__name__}: {lines[0][:200]}" if lines else type(cause).__name__
