"""Networks and datasets of every task, small enough to train in a second."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

from kdgraph.train import glyphs

TASKS = {"detect": "", "segment": "-seg", "pose": "-pose", "obb": "-obb"}
HEADS = {
    "detect": "Detect, [nc]",
    "segment": "Segment, [nc, 4, 8]",
    "pose": "Pose, [nc, kpt_shape]",
    "obb": "OBB, [nc, 1]",
    "segment26": "Segment26, [nc, 4, 8]",
    "pose26": "Pose26, [nc, kpt_shape]",
    "obb26": "OBB26, [nc, 1]",
    "detect26": "Detect, [nc]",
    "v10": "v10Detect, [nc]",
}
"""Layer and arguments of a head; those of YOLO26 are end-to-end and without distributions."""

MODEL = """\
nc: {nc}
kpt_shape: [5, 3]
{options}backbone:
  - [-1, 1, Conv, [{w}, 3, 2]]
  - [-1, 1, Conv, [{w}, 3, 2]]
  - [-1, 1, Conv, [{w2}, 3, 2]]
  - [-1, 1, C2f, [{w2}, true]]
  - [-1, 1, Conv, [{w4}, 3, 2]]
head:
  - [-1, 1, nn.Upsample, [null, 2, nearest]]
  - [[-1, 3], 1, Concat, [1]]
  - [-1, 1, C2f, [{w2}]]
  - [-1, 1, Conv, [{w2}, 3, 2]]
  - [[-1, 4], 1, Concat, [1]]
  - [-1, 1, C2f, [{w4}]]
  - [[7, 10], 1, {head}]
"""


def task_of(kind: str) -> str:
    """What a head of HEADS does: `pose26` is for poses."""
    return "detect" if kind == "v10" else kind.removesuffix("26")


def network(folder: Path, kind: str, width: int = 8, nc: int = 8) -> Path:
    """A model yaml with levels p3 and p4 and a head of HEADS."""
    options = "end2end: true\nreg_max: 1\n" if kind.endswith("26") else ""
    text = MODEL.format(nc=nc, w=width, w2=2 * width, w4=4 * width, head=HEADS[kind], options=options)
    file = folder / f"{kind}-{width}-{nc}.yaml"
    file.write_text(text)
    return file


def data(folder: Path, task: str, train: int = 8, val: int = 4) -> Path:
    """The built-in dataset of a task with few pictures; returns its yaml."""
    with patch.object(glyphs, "SPLITS", {"train": train, "val": val}):
        return glyphs.glyphs(folder, f"glyphs{TASKS[task]}")
