"""No edge fails silently: one that is detached, always zero or not finite stops the run, by name."""

from __future__ import annotations

from collections.abc import Collection

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
    """

    def __init__(self, distiller: Distiller) -> None:
        self.distiller = distiller
        self.unproven = set(distiller.spec.edges)

    def check(self, out: DistillOutput, healthy: Tensor) -> None:
        """Judge one step. `healthy` is the detection loss: if that is not finite, no edge is to blame.

        Raises RunError: KD503 an edge's loss is not finite, KD501 it has no gradient.
        """
        if not out.raw:
            return
        values = torch.stack([value.detach() for value in out.raw.values()])
        if not torch.isfinite(values).all() and torch.isfinite(healthy.detach()).all():
            names = [name for name, value in out.raw.items() if not torch.isfinite(value)]
            raise self._error(
                "KD503", names, "is not finite while the detection loss is", "lower its weight or temperature"
            )
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
        """Raise RunError (KD501) for edges that in a whole epoch never reached the student."""
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
