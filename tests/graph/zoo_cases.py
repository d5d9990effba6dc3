"""The models that are traced in tests: what each is expected to be, and the README's table of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

__all__ = ["CASES", "Case", "zoo_table"]

Levels = tuple[int, int]


@dataclass(frozen=True)
class Case:
    """One model by name and what it must be.

    `levels` and `backbone` are first and last P-level of the neck and the backbone. `bins` and `o2o`: whether
    boxes are distributions, and whether there is a one-to-one branch. `extra` is what its task adds to boxes,
    `boxes` whether it has them. `hidden` are the stages of a class tower before its scores. `whole` are the
    classes of modules that are one node, `left_out` that of its last layer where it is not in the graph.
    `teacher`: it cannot be a student.
    """

    model: str
    family: str
    levels: Levels | None = (3, 5)
    backbone: Levels = (1, 5)
    bins: bool = True
    o2o: bool = False
    extra: str = ""
    boxes: bool = True
    hidden: int = 2
    teacher: bool = False
    whole: tuple[str, ...] = ()
    left_out: str = ""

    @property
    def neck(self) -> tuple[str, ...]:
        return _spread(self.levels) if self.levels else ()

    def names(self) -> Iterator[str]:
        """Every semantic name."""
        yield from (f"backbone.{level}" for level in _spread(self.backbone))
        yield from (f"neck.{level}" for level in self.neck)
        if not self.boxes:
            yield from ("head.cls",) * (self.extra == "cls")
            return
        for prefix in ("head", "head.o2o")[: 1 + self.o2o]:
            yield from self._branch(prefix)

    def _branch(self, prefix: str) -> Iterator[str]:
        stages = {"cls": self.hidden, "dfl" if self.bins else "box": 2}
        stages |= {self.extra: 2} if self.extra else {}
        for kind in dict.fromkeys([*stages, "box"]):
            yield f"{prefix}.{kind}"
            for level in self.neck:
                yield f"{prefix}.{kind}.{level}"
                yield from (f"{prefix}.{kind}.{level}.{i}" for i in range(stages.get(kind, 0)))
        if self.extra == "mask":
            yield f"{prefix}.proto"

    @property
    def row(self) -> tuple[str, ...]:
        """What the README says of it, but its name."""
        boxes = ("16 bins" if self.bins else "distances") if self.boxes else ""
        branches = ("one-to-many, one-to-one" if self.o2o else "one-to-many") if self.boxes else ""
        added = {"": "", "mask": "`head.mask`, `head.proto`"}.get(self.extra, f"`head.{self.extra}`")
        graph = [f"`{name}` is one node" for name in self.whole]
        graph += [f"ends before `{self.left_out}`"] if self.left_out else []
        levels = f"{self.neck[0]} to {self.neck[-1]}" if self.neck else ""
        role = "teacher" if self.teacher else "both"
        return levels, boxes, branches, added, "; ".join(graph) or "every node", role


def _spread(levels: Levels) -> tuple[str, ...]:
    return tuple(f"p{i}" for i in range(levels[0], levels[1] + 1))


_TASKS = {"seg": "mask", "pose": "kpt", "obb": "angle"}
_V26 = {"bins": False, "o2o": True}
_PROMPTED = {"teacher": True, "hidden": 3}
_DETR = {"boxes": False, "teacher": True, "left_out": "RTDETRDecoder"}

CASES = [
    Case("yolov3-tiny", "YOLOv3", (4, 5), (0, 5)),
    Case("yolov3", "YOLOv3", backbone=(0, 5)),
    Case("yolov5n", "YOLOv5"),
    Case("yolov5n-p6", "YOLOv5", (3, 6), (1, 6)),
    Case("yolov6n", "YOLOv6"),
    Case("yolov8n", "YOLOv8"),
    Case("yolov8n-ghost", "YOLOv8"),
    Case("yolov8n-p2", "YOLOv8", (2, 5)),
    Case("yolov8n-p6", "YOLOv8", (3, 6), (1, 6)),
    *(Case(f"yolov8n-{task}", "YOLOv8", extra=extra) for task, extra in _TASKS.items()),
    Case("yolov8n-cls", "YOLOv8", None, extra="cls", boxes=False, teacher=True),
    *(Case(f"yolov9{scale}", "YOLOv9") for scale in "tsmc"),
    Case("yolov9e", "YOLOv9", backbone=(0, 5)),
    Case("yolov10n", "YOLOv10", o2o=True),
    Case("yolo11n", "YOLO11"),
    *(Case(f"yolo11n-{task}", "YOLO11", extra=extra) for task, extra in _TASKS.items()),
    Case("yolo11n-cls", "YOLO11", None, extra="cls", boxes=False, teacher=True),
    Case("yolo12n", "YOLO12"),
    Case("yolo26n", "YOLO26", **_V26),
    Case("yolo26n-p2", "YOLO26", (2, 5), **_V26),
    Case("yolo26n-p6", "YOLO26", (3, 6), (1, 6), **_V26),
    *(Case(f"yolo26n-{task}", "YOLO26", extra=extra, **_V26) for task, extra in _TASKS.items()),
    Case("yolo26n-cls", "YOLO26", None, extra="cls", boxes=False, teacher=True),
    Case("yolo26n-sem", "YOLO26", (3, 4), boxes=False, teacher=True),
    Case("yolo26n-depth", "YOLO26", boxes=False, teacher=True),
    Case("yolov8n-world", "YOLO-World", whole=("ContrastiveHead",), **_PROMPTED),
    Case("yolov8n-worldv2", "YOLO-World", whole=("BNContrastiveHead",), **_PROMPTED),
    Case("yoloe-v8n", "YOLOE", whole=("BNContrastiveHead",), **_PROMPTED),
    Case("yoloe-11n-seg", "YOLOE", extra="mask", whole=("BNContrastiveHead",), **_PROMPTED),
    Case("yoloe-26n-seg", "YOLOE", extra="mask", whole=("BNContrastiveHead",), **_V26, **_PROMPTED),
    Case("rtdetr-l", "RT-DETR", (3, 5), (2, 5), whole=("AIFI",), **_DETR),
    Case("rtdetr-resnet50", "RT-DETR", (3, 5), (2, 5), whole=("AIFI",), **_DETR),
    Case("yolov8n-rtdetr", "RT-DETR", **_DETR),
]


def zoo_table() -> str:
    """The README's table, in Markdown: models of one family with one answer share a line."""
    head = ("Family", "Traced in tests", "Levels", "Boxes", "Branches", "Its task's taps", "Graph", "Role")
    rows = [head, ("---",) * len(head)]
    for (family, row), cases in groupby(
        sorted(CASES, key=_family_and_row), key=lambda case: (case.family, case.row)
    ):
        rows.append((family, ", ".join(f"`{case.model}`" for case in cases), *row))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _family_and_row(case: Case) -> tuple[int, int]:
    """Families and answers in the order of their first model."""
    families = [each.family for each in CASES]
    answers = [(each.family, each.row) for each in CASES]
    return families.index(case.family), answers.index((case.family, case.row))
