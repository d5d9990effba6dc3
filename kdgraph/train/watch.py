"""No edge fails silently: one that is detached, always zero or not finite stops the run, by name."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from kdgraph.compiler.distiller import Distiller, DistillOutput
from kdgraph.errors import Diagnostic, RunError

__all__ = ["EdgeWatch"]


class EdgeWatch:
    """Looks at each step's losses until every edge has proven that it teaches.

    An edge has proven itself once its loss sends a gradient into some parameter of the student. That costs
    one backward per edge, in most runs at the first step only. An edge may be zero for a while (a mask of
    foreground, images without objects), but not for a whole epoch.

    Whether losses are finite is looked at in every step. deferred: not before they have reached the host of
    themselves, which they have a step later. That is how it is done on CUDA if nothing is said, where to read
    a number is to wait for all that was computed before it.
    """

    def __init__(self, distiller: Distiller, deferred: bool | None = None) -> None:
        self.distiller = distiller
        self.unproven = set(distiller.spec.edges)
        self._deferred = deferred
        self._pending: deque[_Verdict] = deque()

    @property
    def proving(self) -> bool:
        """Whether edges will send their losses backward alone in the coming step."""
        return bool(self.unproven)

    def check(self, out: DistillOutput, healthy: Tensor) -> None:
        """Judge one step. `healthy` is the detection loss: if that is not finite, no edge is to blame.

        Raises RunError: KD503 an edge's loss is not finite, in this step or in one before; KD501 it has no
        gradient.
        """
        while self._pending and self._pending[0].arrived:
            self._judge(self._pending.popleft())
        if not out.raw:
            return
        verdict = _Verdict(tuple(out.raw), _finite(out, healthy))
        if self._deferred is False or (self._deferred is None and not healthy.is_cuda):
            self._judge(verdict)
        else:
            self._pending.append(verdict)
        self._prove(out)

    def _judge(self, verdict: _Verdict) -> None:
        *edges, healthy = verdict.read()
        if not healthy or all(edges):
            return
        names = [name for name, finite in zip(verdict.edges, edges, strict=True) if not finite]
        raise self._error(
            "KD503", names, "is not finite while the detection loss is", "lower its weight or temperature"
        )

    def _prove(self, out: DistillOutput) -> None:
        for name in sorted(self.unproven):
            if not out.raw[name].requires_grad:
                raise self._error(
                    "KD501", [name], "has no gradient", "tap a node that the student's parameters reach"
                )
            if self._teaches(out.raw[name]):
                self.unproven.discard(name)

    def forget(self, edges: Collection[str]) -> None:
        """Expect nothing more of edges that have ended."""
        self.unproven -= set(edges)

    def close_epoch(self) -> None:
        """Raise RunError (KD501) for edges that in a whole epoch never reached the student.

        And KD503 for those that were not finite in its last steps.
        """
        while self._pending:
            self._judge(self._pending.popleft())
        if self.unproven:
            raise self._error(
                "KD501",
                sorted(self.unproven),
                "sent no gradient to the student in a whole epoch",
                "its taps may lie behind frozen or detached layers, or its mask may always be empty",
            )

    def _teaches(self, loss: Tensor) -> bool:
        weights = [p for p in self.distiller.student.parameters() if p.requires_grad]
        grads = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
        return any(bool(g.any()) for g in grads if g is not None)

    def _error(self, code: str, names: list[str], what: str, mend: str) -> RunError:
        edges = self.distiller.spec.edges
        return RunError(
            *(Diagnostic(code, f"edge '{name}' {what}", edges[name].span(), hint=mend) for name in names)
        )


def _finite(out: DistillOutput, healthy: Tensor) -> Tensor:
    """`[n + 1]`: which edges' losses are finite, and whether the detection loss is."""
    edges = torch.stack([value.detach() for value in out.raw.values()])
    return torch.cat((torch.isfinite(edges), torch.isfinite(healthy.detach()).all().reshape(1)))


class _Verdict:
    """The flags of one step, on their way to the host without anyone waiting for them."""

    def __init__(self, edges: Sequence[str], flags: Tensor) -> None:
        self.edges = edges
        self._flags = flags
        self._event: torch.cuda.Event | None = None
        if flags.is_cuda:
            self._flags = torch.empty(flags.shape, dtype=flags.dtype, pin_memory=True)
            self._flags.copy_(flags, non_blocking=True)
            self._event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._event.record(torch.cuda.current_stream(flags.device))

    @property
    def arrived(self) -> bool:
        return self._event is None or self._event.query()  # type: ignore[no-untyped-call]

    def read(self) -> list[bool]:
        """Waits for them where they have not arrived."""
        if self._event is not None:
            self._event.synchronize()
        flags: list[bool] = self._flags.tolist()
        return flags
