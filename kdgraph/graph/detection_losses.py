"""Finds the loss of fixed shapes that equals Ultralytics' own of a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from ultralytics.utils.loss import BboxLoss, E2ELoss, v8DetectionLoss
from ultralytics.utils.tal import TaskAlignedAssigner

from kdgraph.nn.detection_loss import DetectionLoss, EndToEndLoss, Gains
from kdgraph.nn.positives import SoftTaskAligned

__all__ = ["gains_of", "loss_like"]

_BRANCHES = ("one2many", "one2one")
_STATE = {
    "assigner", "bbox_loss", "bce", "class_weights", "device", "hyp", "loss_names", "nc", "no", "proj",
    "reg_max", "stride", "use_dfl",
}  # fmt: skip
_SHARES = {*_BRANCHES, "updates", "total", "o2m", "o2o", "o2m_copy", "final_o2m"}
"""What a `v8DetectionLoss` and an `E2ELoss` hold; with anything else in it, it is not the one known here."""


def loss_like(criterion: Any) -> nn.Module | None:
    """The loss that computes the same as `criterion`, on its device; None where there is none.

    There is one for Ultralytics' `v8DetectionLoss`, and for an `E2ELoss` of two: not for subclasses, which
    other tasks have. Both are run once on made-up predictions, so that None is also the answer where a part
    was replaced, or Ultralytics has changed. Gains and class weights are read once; an end-to-end loss keeps
    the criterion, and its `refresh` reads the branches' weights.
    """
    ours = _end_to_end(criterion) if type(criterion) is E2ELoss else _one_branch(criterion)
    return ours if ours is not None and _agree(criterion, ours) else None


def gains_of(criterion: Any) -> tuple[Any, ...]:
    """The gains that Ultralytics would read from `criterion` now; none of one that has none."""
    branch = getattr(criterion, "one2many", criterion)
    return tuple(getattr(getattr(branch, "hyp", None), gain, None) for gain in Gains._fields)


def _end_to_end(criterion: Any) -> EndToEndLoss | None:
    if vars(criterion).keys() != _SHARES:
        return None
    many, one = (_one_branch(getattr(criterion, branch)) for branch in _BRANCHES)
    if many is None or one is None:
        return None
    return EndToEndLoss(many, one, criterion).to(criterion.one2one.device)


def _one_branch(criterion: Any) -> DetectionLoss | None:
    if type(criterion) is not v8DetectionLoss or vars(criterion).keys() != _STATE:
        return None
    assigner, hyp = criterion.assigner, criterion.hyp
    if type(assigner) is not TaskAlignedAssigner or type(criterion.bbox_loss) is not BboxLoss:
        return None
    if not all(isinstance(getattr(hyp, gain, None), (int, float)) for gain in Gains._fields):
        return None
    limit = assigner.topk2 if assigner.topk2 != assigner.topk else None
    strides, (alpha, beta) = criterion.stride.tolist(), (assigner.alpha, assigner.beta)
    same = SoftTaskAligned(criterion.nc, criterion.reg_max, strides, assigner.topk, limit, alpha, beta)
    weights = criterion.class_weights
    gains = Gains(hyp.box, hyp.cls, hyp.dfl)
    return DetectionLoss(same, gains, None if weights is None else weights.flatten()).to(criterion.device)


# do they agree?


def _agree(theirs: Any, ours: DetectionLoss | EndToEndLoss) -> bool:
    """Losses and gradients are the same on a batch with small boxes, boxes on boxes, and an empty image."""
    noise = torch.Generator().manual_seed(0)
    if isinstance(ours, EndToEndLoss):
        assigner, device = ours.one2one.assigner, theirs.one2one.device
        heads = [_predictions(assigner, noise, device) for _ in _BRANCHES]
        preds: dict[str, Any] = dict(zip(_BRANCHES, heads, strict=True))
    else:
        assigner, device = ours.assigner, theirs.device
        heads = [preds := _predictions(assigner, noise, device)]
    read = [head[name] for head in heads for name in ("boxes", "scores")]
    batch = {name: value.to(device) for name, value in _targets(assigner.nc, noise).items()}
    try:
        wanted = _losses_and_gradients(theirs, preds, batch, read)
        found = _losses_and_gradients(ours, preds, batch, read)
    except Exception:  # of code that replaced a part, or a head of another kind; what it needs is not known
        return False
    return wanted.keys() == found.keys() and all(_close(wanted[name], found[name]) for name in found)


def _predictions(assigner: SoftTaskAligned, noise: torch.Generator, device: torch.device) -> dict[str, Any]:
    """Those of a head for two images of four cells by four on the coarsest level."""
    side = 4 * max(assigner.strides)
    feats = [torch.zeros(2, 1, *2 * [round(side / stride)], device=device) for stride in assigner.strides]
    cells = sum(feat[0].numel() for feat in feats)
    boxes = torch.randn(2, 4 * assigner.reg_max, cells, generator=noise)
    boxes = boxes if assigner.reg_max > 1 else boxes.abs() + 1
    scores = torch.randn(2, assigner.nc, cells, generator=noise)
    boxes, scores = (x.to(device).requires_grad_() for x in (boxes, scores))
    return {"boxes": boxes, "scores": scores, "feats": feats}


def _targets(nc: int, noise: torch.Generator) -> dict[str, Tensor]:
    """Six boxes in the second of two images, their sides from 4 % to half of it."""
    size = torch.linspace(0.05, 0.5, 6).unsqueeze(1) * torch.tensor([1.0, 0.8])
    centre = 0.4 + 0.2 * torch.rand(6, 2, generator=noise)
    classes = torch.arange(6).unsqueeze(1) % nc
    return {"batch_idx": torch.ones(6), "cls": classes.float(), "bboxes": torch.cat((centre, size), 1)}


@torch.enable_grad()
def _losses_and_gradients(
    loss: Any, preds: Mapping[str, Any], batch: Mapping[str, Tensor], read: list[Tensor]
) -> dict[str, Tensor]:
    with torch.autocast(read[0].device.type, enabled=False):
        losses, items = loss(preds, batch)
        gradients = torch.autograd.grad(losses.sum(), read)
    return {"losses": losses.detach(), **items, **{f"d{place}": x for place, x in enumerate(gradients)}}


def _close(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(a, b, rtol=1e-3, atol=1e-4 * float(a.abs().max()))
