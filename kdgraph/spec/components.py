"""The closed list of criteria, masks and adapters, with their options; no tensor is touched here.

The modules themselves live in `kdgraph.nn`, under the same names. A spec is checked against this list alone,
so `kdgraph check` and an editor need no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Kind = Literal["criterion", "mask", "adapter"]
Layout = Literal["features", "cls", "dfl", "box"]
"""What a tap yields: maps of features, class logits, logits of the DFL bins, box distances in bins."""

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]

FEATURES: frozenset[Layout] = frozenset({"features"})
CLASSES: frozenset[Layout] = frozenset({"cls"})
ANY_TAP: frozenset[Layout] = frozenset({"features", "cls", "dfl", "box"})


class Options(BaseModel):
    """Options of a component: frozen, strict about types, without unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class NoOptions(Options):
    """A component that has nothing to set."""


class Cwd(Options):
    tau: Positive = Field(
        1.0, description="temperature of the softmax over positions; the loss is scaled by tau²"
    )
    norm: Literal["none", "batch"] = Field(
        "none", description="standardise each channel over batch and positions first (batch), or not (none)"
    )


class Temperature(Options):
    temperature: Positive = Field(
        1.0,
        description="divides the logits before they become probabilities; the loss is scaled by its square",
    )


class Bce(Options):
    temperature: Positive = Field(1.0, description="divides the teacher's logits before their sigmoid")


class Qfl(Options):
    beta: NotNegative = Field(
        1.0,
        description="exponent of |p_t - p_s|, the focus on classes where the two disagree; 0 is plain BCE",
    )


class BoxL2(Options):
    scale: Positive = Field(
        16.0, description="distances in bins are divided by it, so that the loss is of order one"
    )


class TeacherScore(Options):
    power: NotNegative = Field(
        1.0, description="exponent of the teacher's highest class score; 0 weighs all cells alike"
    )


class Foreground(Options):
    of: Literal["student", "teacher"] = Field(
        "student", description="whose predictions the labels are assigned to"
    )
    topk: int = Field(10, ge=1, description="how many candidate cells each labelled object may have")


class Conv1x1(Options):
    norm: bool = Field(False, description="batch norm after the convolution")


class Resize(Options):
    mode: Literal["bilinear", "nearest"] = Field("bilinear", description="how values between cells are found")


@dataclass(frozen=True)
class ComponentInfo:
    """What a spec may say of one component, and what the compiler must know of it."""

    name: str
    summary: str
    options: type[Options] = NoOptions
    source: str | None = None
    takes: frozenset[Layout] = frozenset()
    """Criteria only: the layouts of taps it can compare."""
    masked: bool = False
    """Criteria only: whether it takes a mask."""
    default_mask: str = "all"
    default_adapter: str = "auto"

    def validate(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options with defaults filled in. Raises `pydantic.ValidationError`."""
        return self.options.model_validate(dict(options)).model_dump()


def _table(*infos: ComponentInfo) -> dict[str, ComponentInfo]:
    return {info.name: info for info in infos}


CRITERIA = _table(
    ComponentInfo(
        "mimic",
        "mean squared difference",
        source="Romero et al., FitNets, ICLR 2015",
        takes=ANY_TAP,
        masked=True,
    ),
    ComponentInfo("cosine", "one minus the cosine over channels, at each cell", takes=FEATURES, masked=True),
    ComponentInfo(
        "cwd",
        "KL divergence between each channel's softmax over positions",
        Cwd,
        source="Shu et al., Channel-wise Knowledge Distillation, ICCV 2021",
        takes=FEATURES | CLASSES,
    ),
    ComponentInfo(
        "pkd",
        "one minus the Pearson correlation of each channel over batch and positions",
        source="Cao et al., PKD, NeurIPS 2022",
        takes=FEATURES,
    ),
    ComponentInfo(
        "sl2",
        "squared difference weighted by the teacher's score, as in Ultralytics' own distillation",
        source="Ultralytics 8.4",
        takes=FEATURES,
        masked=True,
        default_mask="teacher_score",
        default_adapter="mlp",
    ),
    ComponentInfo(
        "bce", "binary cross entropy with the teacher's probabilities", Bce, takes=CLASSES, masked=True
    ),
    ComponentInfo(
        "kl",
        "KL divergence over classes, or over the bins of each side for DFL logits",
        Temperature,
        source="Hinton et al. 2015; Zheng et al., Localization Distillation, CVPR 2022",
        takes=frozenset({"cls", "dfl"}),
        masked=True,
    ),
    ComponentInfo(
        "qfl",
        "binary cross entropy weighted by the gap between teacher and student",
        Qfl,
        source="Yang et al., Bridging Cross-task Protocol Inconsistency, ICCV 2023",
        takes=CLASSES,
        masked=True,
    ),
    ComponentInfo(
        "box_l2",
        "squared difference of the distances to the four sides",
        BoxL2,
        takes=frozenset({"dfl", "box"}),
        masked=True,
    ),
)

MASKS = _table(
    ComponentInfo("all", "every cell counts alike"),
    ComponentInfo(
        "teacher_score",
        "each cell counts by the teacher's highest class score there",
        TeacherScore,
        source="Ultralytics 8.4",
    ),
    ComponentInfo(
        "foreground",
        "only cells that the task-aligned assignment gives to an object; needs labels",
        Foreground,
        source="Feng et al., TOOD, ICCV 2021",
    ),
)

ADAPTERS = _table(
    ComponentInfo("auto", "what the shapes need, and nothing when they agree"),
    ComponentInfo("identity", "nothing: the shapes must agree"),
    ComponentInfo("conv1x1", "a 1x1 convolution to the teacher's width", Conv1x1),
    ComponentInfo("mlp", "two 1x1 convolutions with a ReLU between them", source="Ultralytics 8.4"),
    ComponentInfo("resize", "interpolation to the teacher's height and width", Resize),
)

COMPONENTS: dict[Kind, dict[str, ComponentInfo]] = {
    "criterion": CRITERIA,
    "mask": MASKS,
    "adapter": ADAPTERS,
}
"""Kind -> name -> component: everything a spec may name."""
