"""Small models that look like Ultralytics' own to kdgraph, and specs and batches to go with them."""

from __future__ import annotations

import copy
import functools
from typing import Any

import torch
from torch import Tensor, nn

from kdgraph.graph.architectures import build_architecture
from kdgraph.graph.ir import DistillGraph
from kdgraph.graph.yolo import trace_model
from kdgraph.spec.parse import parse
from kdgraph.spec.schema import Spec

SIZE = (64, 96)
"""Height and width of the images of tests, not square on purpose."""


HEADS = {"detect": "Detect", "segment": "Segment", "pose": "Pose", "obb": "OBB"}
ARGUMENTS = {"detect": ["nc"], "segment": ["nc", 6, 8], "pose": ["nc", [2, 3]], "obb": ["nc", 1]}
"""Of these heads: 6 masks of prototypes 8 wide, 2 keypoints, 1 angle."""


def toy(
    width: int = 8,
    nc: int = 3,
    *,
    reg_max: int = 16,
    end2end: bool = False,
    p5: bool = False,
    levels: tuple[str, ...] = (),
    channels: int = 3,
    task: str = "detect",
    seed: int = 0,
) -> Any:
    """A detector of some 60 nodes with levels p3 and p4 (and p5, or `levels` of these), in eval mode.

    Freshly initialised, but its batch-norm statistics and its class scores are scattered: at their initial
    values folding would be next to nothing, and scores would all be near 0.01. The same arguments give the
    same weights. With a `task`, the head of that task; end-to-end ones are YOLO26's.
    """
    levels = levels or (("p3", "p4", "p5") if p5 else ("p3", "p4"))
    return copy.deepcopy(_built(width, nc, reg_max, end2end, levels, channels, task, seed))


@functools.cache  # building takes a second: Ultralytics measures strides on an image of 256 pixels
def _built(
    width: int,
    nc: int,
    reg_max: int,
    end2end: bool,
    levels: tuple[str, ...],
    channels: int,
    task: str,
    seed: int,
) -> nn.Module:
    backbone: list[list[Any]] = [
        [-1, 1, "Conv", [width, 3, 2]],
        [-1, 1, "Conv", [width, 3, 2]],
        [-1, 1, "Conv", [2 * width, 3, 2]],
        [-1, 1, "C2f", [2 * width, True]],
        [-1, 1, "Conv", [4 * width, 3, 2]],
    ]
    neck: list[list[Any]] = [
        [-1, 1, "nn.Upsample", [None, 2, "nearest"]],
        [[-1, 3], 1, "Concat", [1]],
        [-1, 1, "C2f", [2 * width]],
        [-1, 1, "Conv", [2 * width, 3, 2]],
        [[-1, 4], 1, "Concat", [1]],
        [-1, 1, "C2f", [4 * width]],
    ]
    if "p5" in levels:
        neck.append([-1, 1, "Conv", [4 * width, 3, 2]])
    sources = [{"p3": 7, "p4": 10, "p5": 11}[level] for level in levels]
    head = HEADS[task] + ("26" if end2end and task != "detect" else "")
    architecture = {
        "nc": nc, "reg_max": reg_max, "end2end": end2end, "yaml_file": "toy.yaml", "kpt_shape": [2, 3],
        "backbone": backbone, "head": [*neck, [sources, 1, head, ARGUMENTS[task]]],
    }  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model: Any = build_architecture(architecture, nc, channels, None)
        scatter(model)
    return model  # type: ignore[no-any-return]


def scatter(model: nn.Module) -> None:
    """Give batch norms a history and class scores a spread, as training does."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.3)
    head: Any = model.model[-1]  # type: ignore[index,union-attr]
    for tower in [*head.cv3, *getattr(head, "one2one_cv3", [])]:
        nn.init.normal_(tower[-1].bias, -1, 1)


def spec(edges: str, **top: str) -> Spec:
    """The spec with this `edges:` block (its lines two blanks in) and further top-level entries."""
    entries = {"student": "toy-student.yaml", "teacher": "toy-teacher.yaml", **top}
    lines = "".join(f"{key}: {value}\n" for key, value in entries.items())
    size = "" if "train" in top else "train: {epochs: 20, imgsz: 64}\n"
    return parse(f"{lines}edges:\n{edges}\n{size}", "toy.yaml")


def graph(
    edges: str, student: nn.Module | None = None, teacher: nn.Module | None = None, **top: str
) -> DistillGraph:
    """The fresh IR of a pair of toys, before any pass."""
    pair = {"student": trace_model(student or toy()), "teacher": trace_model(teacher or toy(16, seed=1))}
    return DistillGraph(spec(edges, **top), pair, SIZE)  # type: ignore[arg-type]


def batch(
    images: int = 2,
    size: tuple[int, int] = SIZE,
    seed: int = 0,
    *,
    channels: int = 3,
    task: str = "detect",
    keypoints: int = 2,
) -> dict[str, Tensor]:
    """An Ultralytics batch: two objects in the first image, one in the last."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        pixels = torch.rand(images, channels, *size)
    bboxes = torch.tensor([[0.5, 0.5, 0.4, 0.5], [0.3, 0.3, 0.2, 0.3], [0.6, 0.6, 0.5, 0.5]])
    labels = {
        "img": pixels,
        "batch_idx": torch.tensor([0.0, 0.0, images - 1.0]),
        "cls": torch.tensor([[1.0], [2.0], [0.0]]),
        "bboxes": bboxes,
    }
    if task == "obb":
        labels["bboxes"] = torch.cat((bboxes, torch.tensor([[0.0], [0.4], [1.2]])), 1)
    elif task == "segment":
        labels |= {
            "masks": _masks(bboxes, images, size),
            "sem_masks": torch.zeros(images, size[0] // 4, size[1] // 4),
        }
    elif task == "pose":
        shifts = torch.linspace(-0.4, 0.4, keypoints).view(1, -1, 1)
        places = bboxes[:, None, :2] + shifts * bboxes[:, None, 2:]
        labels["keypoints"] = torch.cat((places, torch.full((3, keypoints, 1), 2.0)), 2)
        labels["cls"] = labels["cls"] * 0 if keypoints == 17 else labels["cls"]
    return labels


def _masks(bboxes: Tensor, images: int, size: tuple[int, int]) -> Tensor:
    """`[B, H/4, W/4]`, at each pixel the number of its image's object whose box is there, 0 for none."""
    height, width = size[0] // 4, size[1] // 4
    masks = torch.zeros(images, height, width)
    for image, number, (x, y, w, h) in zip((0, 0, images - 1), (1, 2, 1), bboxes.tolist(), strict=True):
        rows = slice(int((y - h / 2) * height), int((y + h / 2) * height))
        masks[image, rows, int((x - w / 2) * width) : int((x + w / 2) * width)] = number
    return masks


def tensors(value: Any) -> list[Tensor]:
    """All tensors in a nest of dicts, lists and tuples, in order."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        return [t for key in sorted(value) for t in tensors(value[key])]
    return [t for part in value for t in tensors(part)] if isinstance(value, (list, tuple)) else []


def equal(one: Any, other: Any) -> bool:
    """Whether two nests hold the same tensors, to the bit."""
    ours, theirs = tensors(one), tensors(other)
    return len(ours) == len(theirs) > 0 and all(map(torch.equal, ours, theirs))
