"""Turns the model of a spec into a network, from a yaml, a checkpoint, a name or a function."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from kdgraph.errors import Diagnostic, ModelError, closest, quoted
from kdgraph.graph import zoo
from kdgraph.graph.architectures import TRAINABLE, build_architecture, check_detector, read_architecture
from kdgraph.graph.checkpoints import read_checkpoint
from kdgraph.graph.download import download
from kdgraph.graph.functions import call_for_model
from kdgraph.graph.meta import MetaFactories, to_meta
from kdgraph.graph.quiet import quiet
from kdgraph.graph.released import released_names

if TYPE_CHECKING:
    from kdgraph.spec.schema import ModelSpec

__all__ = ["build_model", "check_student", "check_trainable"]

_SUFFIXES = (".pt", ".yaml", ".yml")


def build_model(
    ref: ModelSpec, *, nc: int | None, channels: int = 3, weights: bool = True, meta: bool = False
) -> nn.Module:
    """The model that `ref` names, in eval mode: one of Ultralytics', or what the function `ref.python` makes.

    `ref.model` is a `.pt` or `.yaml` path (from the working directory, else from the spec's folder), an
    architecture (`yolo11n`, `yolo11n.yaml`), or released weights (`yolo11n.pt`), downloaded when they are not
    on disk. It may be one that can only teach: see `check_student`.

    nc, channels: classes and input channels of a model built from yaml (nc None: the yaml's own classes);
        a checkpoint keeps its own.
    weights: False gives released weights that are not on disk as their bare architecture: no download. Its
        class names are those of the data that the weights were trained on.
    meta: put parameters and buffers on the meta device: shapes without memory; strides keep their values.

    Raises ModelError: KD301 missing file, KD302 unknown name, KD303 no network, KD304 unreadable checkpoint,
    KD305 no model of Ultralytics', or a function that fails, KD306 would run code without `trust`, KD307
    wrong yaml.
    """
    if python := getattr(ref, "python", None):
        model = call_for_model(python, ref.span("python"))
        return to_meta(model) if meta else model
    with quiet():
        path = _find(ref)
        if path is not None:
            return (
                _load(ref, path, meta)
                if path.suffix == ".pt"
                else _build(ref, path, path, nc, channels, meta)
            )
        if ref.model in zoo.downloads():
            return _released(ref, weights, meta)
        stem = _stem(ref.model)
        if stem not in zoo.architectures():
            raise ModelError(_unknown(ref))
        return _build(ref, zoo.architectures()[stem], Path(f"{stem}.yaml"), nc, channels, meta)


def check_student(model: nn.Module, ref: ModelSpec) -> None:
    """Raise ModelError (KD305) unless `model`, which `ref` names, can be a student.

    Only YOLO detectors can; classifiers, RT-DETR, YOLO-World and others can teach.
    """
    check_detector(_last(model), ref.model, ref.span("model"))


def check_trainable(ref: ModelSpec) -> None:
    """Raise ModelError (KD305) unless a teacher that is to be trained first can be: a detector, or RT-DETR.

    Told from its yaml: others cannot even be built for the classes of a dataset of boxes.
    """
    head = _head(ref)
    if head is None or head in TRAINABLE:
        return
    message = f"{ref.model} cannot be trained here first: it ends in '{head}'"
    hint = "give a checkpoint that is trained already, without `train`"
    raise ModelError(Diagnostic("KD305", message, ref.span("train") or ref.span("model"), hint))


def _head(ref: ModelSpec) -> str | None:
    """The name of the last layer in the yaml of a model; None for a checkpoint, or what is no model."""
    with quiet():
        path = _find(ref)
        known = zoo.architecture_of(ref.model)
        stem = known[0] if known else _stem(ref.model)
        file = path if path is not None and path.suffix != ".pt" else zoo.architectures().get(stem)
        if file is None:
            return None
        architecture = read_architecture(
            file, Path(f"{stem}.yaml"), trust=ref.trust, span=ref.span("model"), teacher=True
        )
    head: str = architecture["head"][-1][2]
    return head


def _last(model: nn.Module) -> str:
    """The class name of the last layer."""
    layers = getattr(model, "model", None)
    return type(layers[-1] if isinstance(layers, nn.Sequential) else model).__name__


def _find(ref: ModelSpec) -> Path | None:
    """The file that `ref` means, None when it means a name; a path that leads nowhere raises (KD301)."""
    span, written = ref.span("model"), Path(ref.model).expanduser()
    if not written.suffix and ref.model in zoo.architectures():
        return None  # a name without suffix is never a file, whatever lies in the working directory
    places = [written] if span is None else [written, Path(span.file).parent / written]
    for place in places:
        if place.is_dir():
            raise ModelError(
                Diagnostic("KD301", f"{place} is a folder, not a model", span, "give a .pt or .yaml file")
            )
        if place.is_file():
            if place.suffix not in _SUFFIXES:
                message = f"{place} is neither a checkpoint (.pt) nor a model yaml"
                raise ModelError(
                    Diagnostic("KD302", message, span, "give the .pt file that it was made from")
                )
            return place
    if len(written.parts) > 1:
        looked = " or ".join(dict.fromkeys(str(place.absolute().parent) for place in places))
        raise ModelError(
            Diagnostic("KD301", f"no file {quoted(written.name)} in {looked}", span, "correct the path")
        )
    return None


def _stem(name: str) -> str:
    return Path(name).stem if Path(name).suffix in (".yaml", ".yml") else name


_OTHERS = {
    "sam": "SAM is no YOLO; its image encoder can teach as `teacher: {python: module:function}`",
    "mobile_sam": "SAM is no YOLO; its image encoder can teach as `teacher: {python: module:function}`",
    "fastsam": "it is a YOLOv8 segmentation checkpoint: give the path of the file",
    "yolo_nas": "YOLO-NAS comes from another library; it can teach as `teacher: {python: module:function}`",
}
"""Models of Ultralytics' that a spec cannot name, by how they begin, and what to do."""


def _unknown(ref: ModelSpec) -> Diagnostic:
    name = ref.model.lower()
    other = next((way for start, way in _OTHERS.items() if name.startswith(start)), None)
    if other is not None:
        message = f"{quoted(ref.model)} is no model that kdgraph builds by name"
        return Diagnostic("KD302", message, ref.span("model"), other)
    message = f"unknown model {quoted(ref.model)}: no file of that name, and Ultralytics knows none"
    near = closest(ref.model, zoo.known_names())
    hint = (
        f"did you mean {' or '.join(near)}?"
        if near
        else "give a .pt or .yaml file, or a name such as yolo11n.pt"
    )
    return Diagnostic("KD302", message, ref.span("model"), hint)


def _released(ref: ModelSpec, weights: bool, meta: bool) -> nn.Module:
    """Released weights that are not where `_find` looks: downloaded, or only their architecture."""
    known = zoo.architecture_of(ref.model)
    if known is not None:
        stem, classes = known
        file, name = zoo.architectures()[stem], Path(f"{stem}.yaml")
        if weights and not _teaches(ref):  # what cannot be a student is said before anything is downloaded
            read_architecture(file, name, trust=ref.trust, span=ref.span("model"))
    if weights:
        return _load(ref, download(ref.model, way_out=_without(ref, known), span=ref.span("model")), meta)
    if known is None:
        message = f"{ref.model} is not on disk, and its name does not tell its architecture"
        raise ModelError(
            Diagnostic("KD301", message, ref.span("model"), f"put the file at {Path.cwd() / ref.model}")
        )
    names = released_names(ref.model)
    model: Any = _build(ref, file, name, len(names) if names else classes, 3, meta)
    if names:
        model.names = names
    return model  # type: ignore[no-any-return]


def _without(ref: ModelSpec, known: tuple[str, int | None] | None) -> str | None:
    """How to go on without released weights."""
    if known is None:
        return None
    if _teaches(ref):
        return f"train it on your data first: {{model: {known[0]}.yaml, train: {{epochs: 100}}}}"
    return f"start from scratch with {known[0]}.yaml"


def _teaches(ref: ModelSpec) -> bool:
    return "train" in type(ref).model_fields


def _load(ref: ModelSpec, path: Path, meta: bool) -> nn.Module:
    span = ref.span("model")
    model = read_checkpoint(path, trust=ref.trust, span=span)
    check_detector(_last(model), str(path), span, teacher=True)
    return to_meta(model) if meta else model


def _build(ref: ModelSpec, file: Path, name: Path, nc: int | None, channels: int, meta: bool) -> nn.Module:
    span = ref.span("model")
    architecture = read_architecture(file, name, trust=ref.trust, span=span, teacher=True)
    # Heads with prompts hold constants that `torch.tensor` makes: they are built as they are, then moved.
    prompted = architecture["head"][-1][2].startswith(("World", "YOLOE"))
    with MetaFactories() if meta and not prompted else contextlib.nullcontext():
        model = build_architecture(architecture, nc, channels, span)
    return to_meta(model) if meta else model
