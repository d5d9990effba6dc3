"""A user's own components: what is known of them, how they are built, and how wrong use is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import pytest
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

import kdgraph
from kdgraph.nn import registry
from kdgraph.nn.criteria import ChannelWise
from kdgraph.nn.criteria.base import weighted_mean
from kdgraph.spec import plugins
from kdgraph.spec.components import COMPONENTS, NoOptions


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone after it."""
    monkeypatch.setattr(plugins, "_added", {kind: {} for kind in COMPONENTS})
    monkeypatch.setattr(registry, "_REGISTERED", {kind: {} for kind in COMPONENTS})


class Huber(kdgraph.Criterion):
    """Squared up to delta, absolute beyond.

    And more that a list has no room for.
    """

    def __init__(
        self,
        delta: Annotated[float, Field(gt=0, description="where it turns")] = 1.0,
        shape: Literal["round", "square"] = "round",
    ) -> None:
        super().__init__()
        self.delta, self.shape = delta, shape

    def compare(self, student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
        error = F.huber_loss(student, teacher, reduction="none", delta=self.delta)
        return weighted_mean(error, mask) / self.delta


class Labelled(kdgraph.Criterion):
    def __init__(self, bins: int | None = None, channels: int = 0) -> None:
        super().__init__()
        self.bins = bins

    def compare(
        self, student: Tensor, teacher: Tensor, mask: Any, *, label: Tensor, target: Tensor
    ) -> Tensor:
        return weighted_mean((student - teacher).abs() * (label >= 0), mask)


class Centre(nn.Module):
    """Cells near the middle."""

    def __init__(self, width: float = 0.5) -> None:
        super().__init__()
        self.width = width

    def forward(self, *, teacher_cls: Tensor) -> Tensor:
        return torch.full_like(teacher_cls[:, :1], self.width)


class Narrow(nn.Module):
    """A bottleneck."""

    def __init__(self, inputs: int, outputs: int, hidden: int = 2) -> None:
        super().__init__()
        self.into, self.out = nn.Conv2d(inputs, hidden, 1), nn.Conv2d(hidden, outputs, 1)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        return self.out(self.into(student))  # type: ignore[no-any-return]


def test_what_is_known_of_a_criterion() -> None:
    made = kdgraph.register.criterion("huber", takes=["features"], source="Huber 1964")(Huber)
    assert made is Huber
    info = plugins.find("criterion", "huber")
    assert (info.name, info.summary, info.source) == (
        "huber",
        "Squared up to delta, absolute beyond",
        "Huber 1964",
    )
    assert (info.takes, info.masked, info.channels, info.maps) == (frozenset({"features"}), True, True, False)
    assert (info.default_mask, info.default_adapter, info.reads, info.wires) == ("all", "auto", (), ())
    assert info.plugin == __name__
    assert info.validate({}) == {"delta": 1.0, "shape": "round"}
    schema = info.options.model_json_schema()["properties"]
    assert schema["delta"] == {
        "default": 1.0,
        "description": "where it turns",
        "exclusiveMinimum": 0,
        "title": "Delta",
        "type": "number",
    }
    assert schema["shape"]["enum"] == ["round", "square"]
    assert schema["shape"]["description"] == "round unless the spec says otherwise"


def test_it_is_built_by_its_name_with_the_options_checked() -> None:
    kdgraph.register.criterion("huber", takes=["features"])(Huber)
    student, teacher = torch.randn(2, 3, 4, 5), torch.randn(2, 3, 4, 5)
    made = kdgraph.criterion("huber", delta=0.5)
    torch.testing.assert_close(made(student, teacher), 2 * F.huber_loss(student, teacher, delta=0.5))
    for wrong in ({"delta": 0}, {"delta": float("inf")}, {"delta": "1"}, {"shape": "oval"}, {"other": 1}):
        option = next(iter(wrong))
        with pytest.raises(ValueError, match=rf"criterion 'huber': {option}: .*its options: delta, shape"):
            kdgraph.criterion("huber", **wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="unknown criterion 'hubr': did you mean huber"):
        kdgraph.criterion("hubr")


def test_signals_and_wires_reach_a_criterion() -> None:
    register = kdgraph.register.criterion(
        "labelled",
        takes=["cls", "dfl"],
        reads=["label", "target"],
        wires=["bins", "channels"],
        maps=True,
        channels=False,
        default_mask="foreground",
        default_adapter="identity",
    )
    register(Labelled)
    info = plugins.find("criterion", "labelled")
    assert (info.reads, info.wires, info.maps, info.channels) == (
        ("label", "target"),
        ("bins", "channels"),
        True,
        False,
    )
    assert (info.default_mask, info.default_adapter) == ("foreground", "identity")
    assert info.options is NoOptions
    assert info.summary == "Labelled"  # it has no docstring
    assert not Labelled.same_channels
    made = kdgraph.criterion("labelled", bins=16)
    assert made.bins == 16
    student, teacher = torch.zeros(1, 1, 1, 2), torch.tensor([[[[2.0, 4.0]]]])
    label = torch.tensor([[[[-1, 3]]]])
    assert made(student, teacher, label=label, target=label).item() == 2.0


@pytest.mark.parametrize("masked", [True, False])
def test_the_decorator_and_the_class_agree_on_masks(masked: bool) -> None:
    class Quiet(Huber):
        pass

    kdgraph.register.criterion("quiet", takes=["features"], masked=masked)(Quiet)
    assert plugins.find("criterion", "quiet").masked is Quiet.masked is masked
    tensors = torch.zeros(1, 2, 3, 3), torch.zeros(1, 2, 3, 3), torch.ones(1, 1, 3, 3)
    if masked:
        assert kdgraph.criterion("quiet")(*tensors).item() == 0
    else:
        with pytest.raises(ValueError, match="Quiet takes no mask"):
            kdgraph.criterion("quiet")(*tensors)


def test_what_the_class_says_of_itself_holds_where_the_decorator_is_silent() -> None:
    class Warm(ChannelWise):
        """Its own name for cwd."""

    kdgraph.register.criterion("warm", takes=["features"])(Warm)
    assert not plugins.find("criterion", "warm").masked
    assert plugins.find("criterion", "warm").validate({}) == {"tau": 1.0, "norm": "none"}


def test_masks_and_adapters() -> None:
    kdgraph.register.mask("centre", reads=["teacher_cls"], whole=True)(Centre)
    kdgraph.register.adapter("narrow")(Narrow)
    found = plugins.find("mask", "centre")
    assert (found.reads, found.whole, found.plugin) == (("teacher_cls",), True, __name__)
    assert registry.mask("centre", width=0.25)(teacher_cls=torch.zeros(1, 3, 2, 2)).unique().item() == 0.25
    narrow = registry.adapter("narrow", (1, 6, 4, 4), (1, 8, 4, 4), hidden=3)
    assert narrow(torch.zeros(2, 6, 5, 5), torch.zeros(2, 8, 5, 5)).shape == (2, 8, 5, 5)
    with pytest.raises(ValueError, match="adapter 'narrow': hidden"):
        registry.adapter("narrow", (1, 6, 4, 4), (1, 8, 4, 4), hidden=0.5)


def test_the_same_module_may_register_a_class_anew_and_another_not() -> None:
    kdgraph.register.criterion("huber", takes=["features"])(Huber)

    class Other(Huber):
        pass

    kdgraph.register.criterion("huber", takes=["cls"])(Other)
    assert type(kdgraph.criterion("huber")) is Other
    Other.__module__ = "another_plugin"
    with pytest.raises(ValueError, match=r'has a criterion .huber. already.*"my_huber", takes=\["cls"\]'):
        kdgraph.register.criterion("huber", takes=["cls"])(Other)


def criterion_with(constructor: Callable[..., None] | None = None, **members: Any) -> type[kdgraph.Criterion]:
    """A criterion named Mine that has this constructor and these members."""
    own = {"__init__": constructor} if constructor else {}
    return type("Mine", (kdgraph.Criterion,), {"compare": Huber.compare, **own, **members})


def no_default(self: Any, delta: float) -> None: ...
def no_annotation(self, delta=1.0) -> None: ...  # type: ignore[no-untyped-def]
def a_field(self: Any, delta: float = Field(1.0, gt=0)) -> None: ...
def a_wire(self: Any, bins: int) -> None: ...
def of_any_kind(self: Any, **options: float) -> None: ...
def a_list(self: Any, deltas: list[float] = []) -> None: ...  # noqa: B006
def maybe(self: Any, delta: float | None = None) -> None: ...
def wrong_default(self: Any, delta: Annotated[float, Field(gt=0)] = 0.0) -> None: ...
def shadowing(self: Any, copy: float = 1.0) -> None: ...
def private(self: Any, _delta: float = 1.0) -> None: ...
def unknown_name(self: Any, delta: Nowhere = 1.0) -> None: ...  # type: ignore[name-defined]  # noqa: F821
def half_steered(self: Any, of: Literal["student", "teacher"] = "teacher") -> None: ...


CONSTRUCTORS = [
    (no_default, ValueError, "needs an annotation and a default: write delta: float = 1.0"),
    (no_annotation, ValueError, "needs an annotation and a default: write delta: float = 1.0"),
    (a_field, ValueError, "needs an annotation and a default: write delta: float = 1.0"),
    (a_wire, ValueError, "write bins: int = 0, or name it in `wires`"),
    (
        of_any_kind,
        TypeError,
        "'**options' can be no option, each has a parameter of its own: write def __init__(self, options:",
    ),
    (a_list, TypeError, "the option 'deltas' is list[float], and options are bool, int, float, str"),
    (maybe, TypeError, "the option 'delta' is float | None, and options are"),
    (wrong_default, ValueError, "the default of 'delta' is 0.0, and its annotation says: Input should be"),
    (shadowing, ValueError, "no option can be called 'copy': write copy_ for it"),
    (private, ValueError, "no option can be called '_delta': write delta_ for it"),
    (unknown_name, ValueError, "name 'Nowhere' is not defined, in an annotation of __init__: import it"),
]


@pytest.mark.parametrize(("constructor", "error", "told"), CONSTRUCTORS)
def test_wrong_options_are_told(constructor: Any, error: type[Exception], told: str) -> None:
    with pytest.raises(error) as caught:
        kdgraph.register.criterion("mine", takes=["features"])(criterion_with(constructor))
    assert str(caught.value).startswith("Mine: ")
    assert told in str(caught.value)
    with pytest.raises(KeyError):
        plugins.find("criterion", "mine")


@pytest.mark.parametrize(
    ("call", "error", "told"),
    [
        (
            lambda r: r.criterion(Huber),
            TypeError,
            'write @kdgraph.register.criterion("huber", takes=["features"])',
        ),
        (
            lambda r: r.mask(Centre),
            TypeError,
            'write @kdgraph.register.mask("centre", reads=["teacher_cls"])',
        ),
        (lambda r: r.adapter(Narrow), TypeError, 'write @kdgraph.register.adapter("narrow")'),
        (
            lambda r: r.criterion("hu-ber", takes=["cls"])(Huber),
            ValueError,
            '\'hu-ber\' cannot name a component: write @kdgraph.register.criterion("hu_ber", takes=["cls"])',
        ),
        (lambda r: r.criterion("1st", takes=["cls"])(Huber), ValueError, '"my_1st"'),
        (lambda r: r.adapter("größer")(Narrow), ValueError, '("gr_er")'),
        (
            lambda r: r.criterion("cwd", takes=["cls"])(Huber),
            ValueError,
            "kdgraph has a criterion 'cwd' of its own: write @kdgraph.register.criterion(\"my_cwd\"",
        ),
        (
            lambda r: r.criterion("mine")(Huber),
            ValueError,
            "takes must name one of features, cls, dfl, box, mask, kpt, angle: write "
            '@kdgraph.register.criterion("mine", takes=["features"])',
        ),
        (
            lambda r: r.criterion("mine", takes="features")(Huber),
            TypeError,
            'takes is a list: write @kdgraph.register.criterion("mine", takes=["features"])',
        ),
        (
            lambda r: r.criterion("mine", takes=["feature", "cls"])(Huber),
            ValueError,
            "takes has 'feature', which is none of features, cls, dfl, box, mask, kpt, angle: write "
            '@kdgraph.register.criterion("mine", takes=["features", "cls"])',
        ),
        (
            lambda r: r.criterion("mine", takes=["cls"], reads=["labels"])(Huber),
            ValueError,
            'write @kdgraph.register.criterion("mine", takes=["cls"], reads=["label"])',
        ),
        (
            lambda r: r.criterion("mine", takes=["cls"], default_mask="foregroud")(Huber),
            ValueError,
            'write @kdgraph.register.criterion("mine", takes=["cls"], default_mask="foreground")',
        ),
        (
            lambda r: r.criterion("mine", takes=["cls"], wires=["bins"])(Huber),
            TypeError,
            "Huber is told bins: write def __init__(self, bins)",
        ),
        (
            lambda r: r.criterion("mine", takes=["cls"], wires=["strides"])(Huber),
            ValueError,
            "wires has 'strides', which is none of bins, channels, keypoints",
        ),
        (
            lambda r: r.criterion("mine", takes=["cls"], reads=["label"])(Huber),
            TypeError,
            "Huber.compare: got an unexpected keyword argument 'label': write def compare(self, student, "
            "teacher, mask, *, label), or change `reads`",
        ),
        (
            lambda r: r.criterion("mine", takes=["cls"], reads=["label"])(Labelled),
            TypeError,
            "missing a required",
        ),
        (
            lambda r: r.criterion("mine", takes=["cls"])(Centre),
            TypeError,
            "the criterion 'mine' must be a module: write class Centre(kdgraph.Criterion):",
        ),
        (
            lambda r: r.criterion("mine", takes=["cls"])(type("Empty", (kdgraph.Criterion,), {})),
            TypeError,
            "Empty does not say what it computes: write def compare(self, student, teacher, mask):",
        ),
        (
            lambda r: r.criterion("mine", takes=["cls"], reads=["instances"])(
                criterion_with(compare=lambda self, student, teacher, mask, instances: student.sum())
            ),
            ValueError,
            "write def __init__(self, count: int = 10, overlap: float = 0.3)",
        ),
        (
            lambda r: r.criterion("mine", takes=["cls"], reads=["label"])(
                criterion_with(
                    half_steered, compare=lambda self, student, teacher, mask, label: student.sum()
                )
            ),
            ValueError,
            "chosen by the options of and topk",
        ),
        (
            lambda r: r.mask("mine")(Centre),
            ValueError,
            'write @kdgraph.register.mask("mine", reads=["teacher_cls"])',
        ),
        (lambda r: r.mask("mine", reads=["maps"])(Centre), TypeError, "def forward(self, *, maps, anchors)"),
        (lambda r: r.mask("label", reads=["maps"])(Centre), ValueError, "has a mask 'label' of its own"),
        (lambda r: r.mask("mine", reads=["maps"])(lambda: 1), TypeError, "class <lambda>(torch.nn.Module)"),
        (
            lambda r: r.adapter("mine")(nn.Module),
            TypeError,
            "Module does not say what it computes: write def forward(self, student, teacher):",
        ),
        (lambda r: r.adapter("mine")(Centre), TypeError, "Centre.forward: too many positional arguments"),
        (
            lambda r: r.adapter("mine")(type("Bare", (Narrow,), {"__init__": lambda self: None})),
            TypeError,
            "Bare is told inputs, outputs: write def __init__(self, inputs, outputs)",
        ),
    ],
)
def test_wrong_use_shows_the_right_one(call: Callable[[Any], Any], error: type[Exception], told: str) -> None:
    with pytest.raises(error) as caught:
        call(kdgraph.register)
    assert told in str(caught.value)
    for kind in COMPONENTS:
        assert plugins._added[kind] == {}
