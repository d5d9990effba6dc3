"""Builds a model from an Ultralytics model yaml, after reading what it is and that it runs no code."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml
from torch import nn

from kdgraph.errors import Diagnostic, ModelError, Span, closest

_DETECTORS = {
    "Detect": "DetectionModel", "v10Detect": "DetectionModel",
    "Segment": "SegmentationModel", "Segment26": "SegmentationModel",
    "Pose": "PoseModel", "Pose26": "PoseModel",
    "OBB": "OBBModel", "OBB26": "OBBModel",
}  # fmt: skip
_TEACHERS = {
    "Classify": ("ClassificationModel", "an image classifier"),
    "SemanticSegment": ("SemanticSegmentationModel", "a semantic segmentation model, without boxes"),
    "Depth": ("DepthModel", "a depth estimator"),
    "RTDETRDecoder": ("RTDETRDetectionModel", "an RT-DETR, whose decoder reads the labels while it trains"),
    "WorldDetect": ("WorldModel", "a YOLO-World, which needs text prompts"),
    "YOLOEDetect": ("YOLOEModel", "a YOLOE, which needs text prompts"),
    "YOLOESegment": ("YOLOESegModel", "a YOLOE, which needs text prompts"),
    "YOLOESegment26": ("YOLOESegModel", "a YOLOE, which needs text prompts"),
}
"""Models that can teach, and what they are: no students."""
TRAINABLE = frozenset({*_DETECTORS, "RTDETRDecoder"})
"""The heads of models that Ultralytics trains on labelled boxes, and what else their labels hold."""
_ACTIVATION = re.compile(r"(torch\.)?nn\.\w+\([\w\s.,=+-]*\)")  # a layer with plain arguments: no inner call
_STUDENTS = "kdgraph distils into YOLO detectors with a Detect, Segment, Pose or OBB head"


def check_detector(head: str, what: str, span: Span | None, *, teacher: bool = False) -> None:
    """Raise ModelError (KD305) unless `head`, the class name of the last layer, is a YOLO detection head.

    A `teacher` may have any head of Ultralytics: what is before it can be tapped.
    """
    if head in _DETECTORS or (teacher and head in _TEACHERS):
        return
    _, kind = _TEACHERS.get(head, ("", f"a model that ends in '{head}'"))
    hint = f"{_STUDENTS}; this one can be a teacher" if head in _TEACHERS else _STUDENTS
    raise ModelError(Diagnostic("KD305", f"{what} is {kind}", span, hint))


def read_architecture(
    file: Path, name: Path, *, trust: bool, span: Span | None, teacher: bool = False
) -> dict[str, Any]:
    """The model dict in `file`, ready for Ultralytics; `name` gives the scale, as in `yolo11n.yaml`.

    Raises ModelError: KD305 no detector (see `check_detector`), KD306 would run code without `trust`,
    KD307 wrong yaml.
    """
    from ultralytics.nn.tasks import guess_model_scale

    model = _parse(file, span)
    _check_scale(model, guess_model_scale(name), name, span)
    for layer in (*model["backbone"], *model["head"]):
        _check_layer(layer, file, span)
    activation = str(model.get("activation") or "nn.SiLU()")
    if not trust and not _ACTIVATION.fullmatch(activation.strip()):
        raise ModelError(
            Diagnostic(
                "KD306",
                f"{file}: the activation '{activation}' would be run as code",
                span,
                "write a plain layer such as nn.ReLU(), or set trust: true",
            )
        )
    check_detector(model["head"][-1][2], str(name), span, teacher=teacher)
    return {**model, "scale": guess_model_scale(name), "yaml_file": str(name)}


def build_architecture(model: dict[str, Any], nc: int | None, channels: int, span: Span | None) -> nn.Module:
    """The network of a model dict from `read_architecture`, freshly initialised, in eval mode.

    Raises ModelError (KD307) when its layers do not fit together.
    """
    from ultralytics.nn import tasks
    from ultralytics.utils import DEFAULT_CFG_DICT

    from kdgraph.graph.heads import task_of

    head = model["head"][-1][2]
    builder = getattr(tasks, _DETECTORS.get(head) or _TEACHERS[head][0])
    try:
        network: Any = builder(model, ch=channels, nc=nc, verbose=False)
    except Exception as error:  # wrong layers fail in whatever way their code does
        raise ModelError(
            Diagnostic(
                "KD307",
                f"{model['yaml_file']} cannot be built ({type(error).__name__}: {error})",
                span,
                "check that its layers fit together: from, repeats, module, arguments",
            )
        ) from error
    network.args = dict(DEFAULT_CFG_DICT)
    network.task = task_of(network)
    built: nn.Module = network.eval()
    return built


def _parse(file: Path, span: Span | None) -> dict[str, Any]:
    try:
        model = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ModelError(
            Diagnostic("KD307", f"{file} is not valid YAML: {reason}", span, "correct that line")
        ) from error
    except OSError as error:
        message = f"{file} cannot be read: {error.strerror}"
        raise ModelError(Diagnostic("KD301", message, span, "change its permissions, or copy it")) from error
    if not (isinstance(model, dict) and all(_is_layers(model.get(part)) for part in ("backbone", "head"))):
        raise ModelError(
            Diagnostic(
                "KD307",
                f"{file} is no model yaml: it has no lists 'backbone' and 'head' of layers",
                span,
                "start from one that Ultralytics ships, e.g. yolo11n.yaml",
            )
        )
    if not isinstance(model.get("nc"), int):
        raise ModelError(
            Diagnostic(
                "KD307",
                f"{file} does not say how many classes the model has",
                span,
                "write e.g. `nc: 80`; a built model takes the count of your data",
            )
        )
    return model


def _is_layers(part: object) -> bool:
    """A list of `[from, repeats, module, arguments]`, not empty."""
    return (
        isinstance(part, list)
        and bool(part)
        and all(isinstance(layer, list) and len(layer) == 4 and isinstance(layer[2], str) for layer in part)
    )


def _check_scale(model: dict[str, Any], scale: str, name: Path, span: Span | None) -> None:
    scales = model.get("scales")
    if scale and isinstance(scales, dict) and scale not in scales:
        raise ModelError(
            Diagnostic(
                "KD302",
                f"{name} has no scale '{scale}'",
                span,
                f"its scales are {', '.join(map(str, scales))}",
            )
        )


def _check_layer(layer: list[Any], file: Path, span: Span | None) -> None:
    """Only layers: Ultralytics looks the name up among all it has imported and calls what it finds."""
    from ultralytics.nn import tasks

    name = layer[2]
    owner, _, attribute = name.rpartition(".")
    places = {"": tasks, "nn": nn}
    place = import_module(owner) if owner == "torchvision.ops" else places.get(owner)
    found = getattr(place, attribute, None)
    if isinstance(found, type) and issubclass(found, nn.Module):
        return
    known = [
        key for key, value in vars(tasks).items() if isinstance(value, type) and issubclass(value, nn.Module)
    ]
    near = closest(name, known)
    raise ModelError(
        Diagnostic(
            "KD307",
            f"{file}: unknown layer '{name}'",
            span,
            f"did you mean {' or '.join(near)}?" if near else "see Ultralytics' model yamls for its layers",
        )
    )
