"""A user's own criteria, masks and adapters, under names that a spec may use.

    @kdgraph.register.criterion("huber", takes=["features"], source="Huber 1964")
    class Huber(kdgraph.Criterion):
        '''Squared difference up to delta, absolute beyond.'''

        def __init__(self, delta: Annotated[float, Field(gt=0)] = 1.0) -> None:
            super().__init__()
            self.delta = delta

        def compare(self, student, teacher, mask):
            return weighted_mean(F.huber_loss(student, teacher, reduction="none", delta=self.delta), mask)

The first line of the docstring is what is told of it, and the constructor's parameters are its options: each
needs an annotation (bool, int, float, str or a Literal, bounded by pydantic's Field) and a default. What
`wires` names is no option: the compiler passes it.

A spec sees what a module registers only where its `plugins:` names that module or its file; a class of a
script (`__main__`) must move to a file of its own. `kdgraph.criterion(name)` sees whatever is registered.

Wrong use raises TypeError or ValueError at once, with the corrected call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar, get_args

from torch import nn

from kdgraph.nn import registry
from kdgraph.nn.criteria.base import Criterion
from kdgraph.nn.plugin_options import options_of
from kdgraph.nn.registration import Use
from kdgraph.spec import plugins
from kdgraph.spec.components import ADAPTERS, MASKS, ComponentInfo, Layout, Signal, Wire

__all__ = ["adapter", "criterion", "mask"]

CriterionClass = TypeVar("CriterionClass", bound=type[Criterion])
ModuleClass = TypeVar("ModuleClass", bound=type[nn.Module])

_COMPARE = "compare(self, student, teacher, mask)"
_WEIGH = "forward(self)"
_ADAPT = "forward(self, student, teacher)"


def criterion(
    name: str,
    *,
    takes: Sequence[Layout] = (),
    masked: bool | None = None,
    reads: Sequence[Signal] = (),
    wires: Sequence[Wire] = (),
    maps: bool = False,
    channels: bool | None = None,
    default_mask: str = "all",
    default_adapter: str = "auto",
    source: str | None = None,
) -> Callable[[CriterionClass], CriterionClass]:
    """Register a subclass of `kdgraph.Criterion`, which says its distance in `compare`.

    `takes`: the layouts it can compare, of features, cls, dfl, box, mask, kpt and angle. `masked`: whether it
    takes a mask; `channels`: whether both sides must have the same channels (None: as the class says).
    `reads`: the signals that `compare` gets by keyword (`kdgraph.spec.components.base.Signal`). `wires`: what
    the constructor is told, the `bins` per side of DFL logits, the `channels` of both sides, or of
    `keypoints` how many there are, of how many numbers each. `maps`: only maps [B,C,H,W] will do.
    `default_mask`, `default_adapter`: those of an edge that names none. `source`: the paper.
    """
    use = Use("criterion", name, {"takes": list(takes) or ["features"]})

    def register(cls: CriterionClass) -> CriterionClass:
        use.check_name()
        use.check_class(cls, Criterion, "kdgraph.Criterion", _COMPARE)
        layouts = use.chosen("takes", takes, get_args(Layout), needed=True)
        signals = use.chosen("reads", reads, get_args(Signal))
        told = use.chosen("wires", wires, ("bins", "channels", "keypoints"))
        use.check_known("default_mask", default_mask, [*MASKS])
        use.check_known("default_adapter", default_adapter, [*ADAPTERS])
        use.check_call(cls, _COMPARE, signals)
        cls.masked = cls.masked if masked is None else masked
        cls.same_channels = cls.same_channels if channels is None else channels
        info = ComponentInfo(
            name,
            _summary(cls),
            options_of(cls, told, signals),
            source,
            signals,
            told,
            cls.__module__,
            takes=frozenset(layouts),
            masked=cls.masked,
            maps=maps,
            channels=cls.same_channels,
            default_mask=default_mask,
            default_adapter=default_adapter,
        )
        _install(use, info, cls)
        return cls

    return register


def mask(
    name: str,
    *,
    reads: Sequence[Signal] = (),
    wires: Sequence[Wire] = (),
    whole: bool = False,
    source: str | None = None,
) -> Callable[[ModuleClass], ModuleClass]:
    """Register a module whose `forward(*, <signals it reads>)` weighs cells: `[B,1,H,W]` or `[B,A]`, >= 0.

    Signals come at the cells of the edge's level; with `whole` at all anchors of the head, and the result is
    cut to the level afterwards. One that reads `maps` and is not `whole` is also told `anchors`: True where
    it has to give `[B,A]`. `wires`: the constructor is told the `strides` of the head.
    """
    use = Use("mask", name, {"reads": list(reads) or ["teacher_cls"]})

    def register(cls: ModuleClass) -> ModuleClass:
        use.check_name()
        use.check_class(cls, nn.Module, "torch.nn.Module", _WEIGH)
        signals = use.chosen("reads", reads, get_args(Signal), needed=True)
        told = use.chosen("wires", wires, ("strides",))
        use.check_call(cls, _WEIGH, (*signals, "anchors") if "maps" in signals and not whole else signals)
        options = options_of(cls, told, signals)
        info = ComponentInfo(name, _summary(cls), options, source, signals, told, cls.__module__, whole=whole)
        _install(use, info, cls)
        return cls

    return register


def adapter(name: str, *, source: str | None = None) -> Callable[[ModuleClass], ModuleClass]:
    """Register a module that brings the student's maps to the teacher's channels.

    Built as `cls(inputs, outputs, **options)` for channels, called as `forward(student, teacher)`. The result
    has the teacher's channels; it may keep the student's height and width.
    """
    use = Use("adapter", name, {})

    def register(cls: ModuleClass) -> ModuleClass:
        use.check_name()
        use.check_class(cls, nn.Module, "torch.nn.Module", _ADAPT)
        use.check_call(cls, _ADAPT)
        options = options_of(cls, ("inputs", "outputs"))
        _install(use, ComponentInfo(name, _summary(cls), options, source, plugin=cls.__module__), cls)
        return cls

    return register


def _summary(cls: type) -> str:
    """The first line of the class's own docstring, without its full stop."""
    text: str = cls.__dict__.get("__doc__") or cls.__name__
    return text.strip().splitlines()[0].strip().rstrip(".")


def _install(use: Use, info: ComponentInfo, cls: type[nn.Module]) -> None:
    try:
        plugins.add(use.kind, info)
    except ValueError as error:
        raise ValueError(f"{error}: {use.written(f'my_{info.name}')}") from None
    registry.install(use.kind, info.name, cls)
