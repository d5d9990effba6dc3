"""torch.compile refuses what it cannot do before anything was computed, and says why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.backends.common import aot_autograd
from torch._dynamo.testing import CompileCounter
from torch._inductor import config as inductor

from kdgraph.train import torch_compile
from kdgraph.train.torch_compile import NotCompiled, compiled, unsupported


@pytest.fixture(autouse=True)
def _fresh_dynamo() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def made(forward: Callable[[dict[str, Any]], Any], backend: Any = "eager", **changes: Any) -> Any:
    return compiled(forward, "default", backend, **changes)


def test_inputs_that_grow_are_compiled_once() -> None:
    counter = CompileCounter()
    call = made(lambda inputs: inputs["a"].sum() * inputs["b"], counter, growing=["a"])
    for size in (5, 2, 64, 3):
        a, b = torch.rand(size, 3), torch.rand(2)
        torch.testing.assert_close(call({"a": a, "b": b}), a.sum() * b)
    assert counter.frame_count == 1
    call({"a": a, "b": torch.rand(4)})
    assert counter.frame_count == 2, "of the others the shape is fixed"


def test_code_that_knows_a_size_is_refused_where_the_size_changes(capfd: pytest.CaptureFixture[str]) -> None:
    call = made(lambda inputs: inputs["a"] * (2 if len(inputs["a"]) == 5 else 3), growing=["a"])
    with pytest.raises(NotCompiled, match="ConstraintViolationError"):
        call({"a": torch.rand(5)})


def test_code_that_reads_a_value_is_refused() -> None:
    call = made(lambda inputs: inputs["a"] if inputs["a"].sum() > 0 else -inputs["a"])
    with pytest.raises(NotCompiled, match=r"^\w+: [^\n]+$"):
        call({"a": torch.rand(5)})


def broken(module: nn.Module, examples: Any) -> Any:
    raise ValueError("a compiler\nthat breaks")


def test_a_compiler_that_breaks_is_named_in_one_line() -> None:
    with pytest.raises(NotCompiled) as caught:
        made(lambda inputs: inputs["a"] + 1, broken)({"a": torch.rand(5)})
    assert str(caught.value) == "ValueError: a compiler"


def test_a_backward_that_cannot_be_compiled_is_refused_in_the_forward() -> None:
    statistics = nn.BatchNorm1d(3)
    backend = aot_autograd(fw_compiler=lambda module, examples: module, bw_compiler=broken)
    call = made(lambda inputs: statistics(inputs["a"]).sum(), backend)
    with pytest.raises(NotCompiled, match="ValueError: a compiler"):
        call({"a": torch.rand(5, 3)})
    assert statistics.num_batches_tracked == 0, "nothing was computed"


def test_what_fails_while_it_computes_is_no_failure_of_compiling() -> None:
    def backend(module: nn.Module, examples: Any) -> Any:
        def run(*inputs: Tensor) -> Any:
            raise RuntimeError("out of memory")

        return run

    with pytest.raises(RuntimeError, match="out of memory"):
        made(lambda inputs: inputs["a"] + 1, backend)({"a": torch.rand(5)})


@torch._dynamo.config.patch(recompile_limit=1)
def test_a_limit_on_recompilations_is_each_ones_own() -> None:
    """A process may train many students, and an edge that ends changes a graph."""

    class Scaled:
        def __init__(self, factor: float) -> None:
            self.factor = factor

        def forward(self, inputs: dict[str, Tensor]) -> Tensor:
            return inputs["a"] * self.factor

    ones = torch.ones(2)
    for factor in range(2, 5):
        assert made(Scaled(factor).forward)({"a": ones}).tolist() == [factor, factor]
    scaled = Scaled(2)
    call = made(scaled.forward)
    call({"a": ones})
    scaled.factor = 3
    with pytest.raises(NotCompiled, match="FailOnRecompileLimitHit"):
        call({"a": ones})


def test_a_python_without_torch_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("Python 4 is not supported")

    monkeypatch.setattr(torch, "compile", refuse)
    with pytest.raises(NotCompiled, match="RuntimeError: Python 4 is not supported"):
        made(lambda inputs: inputs["a"])


def test_settings_hold_for_the_call_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def backend(module: nn.Module, examples: Any) -> Any:
        seen.append((inductor.fallback_random, torch._dynamo.config.optimize_ddp))
        return module

    unknown = {**torch_compile._SETTINGS, "torch._functorch.config": {"of_another_version": 1}}
    monkeypatch.setattr(torch_compile, "_SETTINGS", unknown)
    before = inductor.fallback_random, torch._dynamo.config.optimize_ddp
    made(lambda inputs: inputs["a"] + 1, backend)({"a": torch.rand(5)})
    assert seen == [(True, False)]
    assert before == (inductor.fallback_random, torch._dynamo.config.optimize_ddp) != seen[0]


def test_a_machine_without_a_compiler_is_told() -> None:
    with inductor.patch({"cpp.cxx": (None, "no-such-compiler")}):
        assert "there is no C++ compiler (InvalidCxxCompiler: " in str(unsupported("cpu"))
    if not torch.cuda.is_available():
        assert unsupported("cuda") == "there is no Triton that works"
