"""What each model sees of the images: its size, its channels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kdgraph.errors import Diagnostic, GraphError
from kdgraph.graph.ir import Role, View, named
from kdgraph.graph.yolo import TracedModel
from kdgraph.spec.schema import Spec

__all__ = ["rounded", "views_of"]


def views_of(
    spec: Spec, models: Mapping[Role, TracedModel], image_size: tuple[int, int], channels: int
) -> dict[Role, View]:
    """How each teacher sees images of `image_size` (height, width in pixels) and `channels`.

    By default as the student does. A teacher of one channel sees the brightness of three, one of several sees
    a single channel that often. Raises GraphError (KD204) where the channels do not fit.
    """
    teachers = {role: model for role, model in models.items() if role != "student"}
    faults = [fault for role, model in teachers.items() for fault in _faults(spec, role, model, channels)]
    if faults:
        raise GraphError(*faults)
    return {role: _view(spec, role, model, image_size, channels) for role, model in teachers.items()}


def rounded(spec: Spec, views: Mapping[Role, View]) -> tuple[str, ...]:
    """In words the image sizes of teachers that had to become multiples of their strides."""
    return tuple(
        f"the {named(role)} sees images of {max(view.size)} pixels, not {size}: its stride is {view.stride}"
        for role, view in views.items()
        if (size := spec.teachers[role].imgsz) is not None and size != max(view.size)
    )


def _view(spec: Spec, role: Role, model: TracedModel, image_size: tuple[int, int], channels: int) -> View:
    part = spec.teachers[role]
    scale = 1.0 if part.imgsz is None else part.imgsz / max(image_size)
    stride = max(model.head.strides) if model.head else 32
    size = image_size if scale == 1 else _scaled(image_size, scale, stride)
    true_scale = max(size) / max(image_size)  # what is left of `imgsz` when sides are multiples of the stride
    return View(size, model.channels or channels, part.channels, true_scale, stride)


def _scaled(size: tuple[int, int], scale: float, stride: int) -> tuple[int, int]:
    height, width = (max(1, round(side * scale / stride)) * stride for side in size)
    return height, width


def _faults(spec: Spec, role: Role, model: TracedModel, channels: int) -> Iterator[Diagnostic]:
    part, wanted = spec.teachers[role], model.channels or channels
    who = f"the {named(role)} takes images of {wanted} channel{'s' * (wanted != 1)}"
    place = part.span("channels") or part.span("model") or part.span()
    if part.channels is None:
        if wanted != channels and channels != 1 and (wanted, channels) != (1, 3):
            mend = f"say which it sees: `channels: [{', '.join(map(str, range(wanted)))}]` beside its model"
            yield Diagnostic("KD204", f"{who}, and the data has {channels}", place, mend)
    elif len(part.channels) != wanted:
        yield Diagnostic(
            "KD204", f"{who}, and `channels` lists {len(part.channels)}", place, f"list {wanted}"
        )
    elif max(part.channels) >= channels:
        mend = f"the data has {channels}: they are 0 to {channels - 1}"
        yield Diagnostic("KD204", f"channel {max(part.channels)} is not in the images", place, mend)
