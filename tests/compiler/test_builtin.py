"""An `sl2` edge is Ultralytics' own distillation: same weights, same batch, same loss."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from ultralytics.nn.distill_model import DistillationModel
from ultralytics.utils import IterableSimpleNamespace

from kdgraph.compiler.api import compile
from tests.toys import batch, spec, toy

DIS = 6.0


def builtin(student: Any, teacher: Any) -> Any:
    student.args = IterableSimpleNamespace(**{**student.args, "imgsz": 64, "dis": DIS})
    return DistillationModel(teacher, student).train()


@pytest.mark.parametrize("end2end", [False, True])
def test_sl2_is_the_built_in_distillation(end2end: bool) -> None:
    kind: dict[str, Any] = {"end2end": end2end, "reg_max": 1 if end2end else 16}
    theirs = builtin(toy(**kind), toy(16, seed=1, **kind))
    ours = compile(
        spec(f"  sl2: {{taps: neck.*, criterion: sl2, weight: {DIS}}}"),
        student=toy(**kind),
        teacher=toy(16, seed=1, **kind),
    )
    with torch.no_grad():
        for adapter, projector in zip(ours.adapters.values(), theirs.projector, strict=True):
            for mine, other in zip(adapter.parameters(), projector.parameters(), strict=True):
                mine.copy_(other)
    images = batch(3)
    loss, items = theirs(images)
    out = ours(images)
    task, _ = ours.student.loss(images, out.predictions)  # type: ignore[operator]
    torch.testing.assert_close(out.losses["sl2"].reshape(1), items["dis_loss"], rtol=1e-5, atol=0)
    total = torch.cat([task, out.losses["sl2"].reshape(1) * 3])
    torch.testing.assert_close(total, loss, rtol=1e-5, atol=1e-6)
    total.sum().backward()
    loss.sum().backward()
    for mine, other in zip(ours.student.parameters(), theirs.student_model.parameters(), strict=True):
        if other.grad is not None:
            assert mine.grad is not None
            scale = other.grad.abs().max().clamp(min=1e-6).item()
            torch.testing.assert_close(mine.grad, other.grad, rtol=1e-3, atol=1e-4 * scale)
