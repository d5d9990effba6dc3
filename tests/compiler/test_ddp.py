"""Two processes under DistributedDataParallel: gradients are averaged, the teacher stays at home."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing as mp


def _train(rank: int, folder: str) -> None:
    """One step of one of two processes; leaves its gradients in `folder`."""
    import torch.distributed as dist
    from torch.nn.parallel import DistributedDataParallel

    from tests.compiler.pairs import distiller, task_loss
    from tests.toys import batch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # this process is not pytest's: nothing here is under test but the result
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    model = distiller()
    wrapped = DistributedDataParallel(model)
    for _ in range(2):  # the second forward fails where a parameter had no part in the first
        wrapped.zero_grad()
        out = wrapped(batch(seed=rank))
        (out.loss + task_loss(model, batch(seed=rank), out.predictions)).backward()
    result: dict[str, Any] = {
        "gradients": {name: p.grad for name, p in model.named_parameters() if p.requires_grad},
        "loss": out.loss.detach(),
        "synchronised": [id(b) for b in wrapped.modules_buffers],
        "teacher": [id(b) for b in model.teacher.buffers()],
    }
    torch.save(result, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch is built without distributed")
def test_two_processes_agree_on_the_gradients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]), prepend=os.pathsep)
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    mp.spawn(_train, (str(tmp_path),), nprocs=2)
    one, other = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    assert not torch.equal(one["loss"], other["loss"]), "they saw different images"
    assert one["gradients"].keys() == other["gradients"].keys()
    for name, gradient in one["gradients"].items():
        assert gradient is not None, name
        assert torch.equal(gradient, other["gradients"][name]), name
    assert any(name.startswith("adapters") for name in one["gradients"])
    for result in (one, other):
        assert result["synchronised"], "the student's statistics are kept in step"
        assert not set(result["synchronised"]) & set(result["teacher"])


ENDING = """\
  neck: {taps: neck.*, criterion: mimic, until: 5}
  cls: {taps: head.cls, criterion: qfl}"""


def _end_an_edge(rank: int, folder: str) -> None:
    """Steps before and after an edge ends, with measured balance; leaves the last gradients in `folder`."""
    import torch.distributed as dist
    from torch.nn.parallel import DistributedDataParallel

    from tests.compiler.pairs import distiller, task_loss
    from tests.toys import batch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    model = distiller(ENDING, balance="{gradient_norm: {every: 1}}")
    wrapped = DistributedDataParallel(model, find_unused_parameters=True)  # as Ultralytics wraps its model
    for epoch in (4, 5, 6):
        model.retire(epoch)
        model.set_epoch(epoch)
        wrapped.zero_grad()
        out = wrapped(batch(seed=rank))
        task = task_loss(model, batch(seed=rank), out.predictions)
        model.rebalance(out, task)
        (out.loss + task).backward()
    result = {
        "active": model.active,
        "factors": model.balance.factors,  # type: ignore[union-attr]
        "gradients": {name: p.grad for name, p in model.student.named_parameters() if p.requires_grad},
    }
    torch.save(result, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch is built without distributed")
def test_edges_end_and_factors_agree_in_two_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]), prepend=os.pathsep)
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    mp.spawn(_end_an_edge, (str(tmp_path),), nprocs=2)
    one, other = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    assert one["active"] == other["active"] == ("cls",)
    assert torch.equal(one["factors"], other["factors"])
    for name, gradient in one["gradients"].items():
        assert gradient is not None, name
        assert torch.equal(gradient, other["gradients"][name]), name
