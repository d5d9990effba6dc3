"""The flags that moded_YOLO had, with its defaults, and what may be given beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from kdgraph.errors import closest, quoted
from kdgraph.spec.moded_yolo.words import read_words
from kdgraph.spec.nodes import Items, Map, Node
from kdgraph.spec.reading.faults import Faults, Reader, suggestion
from kdgraph.spec.reading.values import expected, fail, is_null, number, text, truth
from kdgraph.spec.train_args import OWN, STUDENT, arguments, read_train

LEVELS = ("p3", "p4", "p5")
"""The levels of the heads that moded_YOLO knew, in the order of `level_weights`."""


@dataclass(frozen=True)
class Flag:
    """What is taken when a flag is not given, and how its value is read."""

    default: Any
    read: Reader


@dataclass(frozen=True)
class Flags:
    """Flags by name: `flags["cls_alpha"]` is the value, `"cls_alpha" in flags` whether it was given."""

    given: Mapping[str, Any]
    train: Mapping[str, Any] = field(default_factory=dict)
    """Ultralytics' own train arguments among them."""
    line: Map | None = None
    """All words, for messages."""

    def __getitem__(self, name: str) -> Any:
        return self.given.get(name, FLAGS[name].default)

    def __contains__(self, name: str) -> bool:
        return name in self.given


def read_flags(words: Sequence[str]) -> Flags:
    """The flags in `words`. Raises SpecError, with all faults at once."""
    faults = Faults()
    line = read_words(words, faults)
    given: dict[str, Any] = {}
    train = Map(line.span)
    for name, entry in line.entries.items():
        with faults.gathered():
            if name in FLAGS:
                given[name] = FLAGS[name].read(entry.value)
            elif name in STUDENT or name in arguments():
                train.entries[name] = entry
            else:
                raise fail("KD102", entry.key, f"there is no flag {quoted(name)}", _meant(name))
    with faults.gathered():
        given_train = read_train(train, STUDENT, OWN)
    faults.check()
    return Flags(given, given_train, line)


def _meant(name: str) -> str:
    """The close matches, of train arguments as well; without any, the flags of distillation alone."""
    usable = [argument for argument in arguments() if argument not in STUDENT]
    meant = " or ".join(f"'{match}'" for match in closest(name, [*FLAGS, *usable]))
    return f"did you mean {meant}?" if meant else suggestion(name, FLAGS, "the flags are")


def _switch(node: Node) -> bool:
    return truth(node, "write True or False")


def _mask_switch(node: Node) -> bool:
    """`None` is what moded_YOLO wrote for no mask."""
    return not is_null(node) and _switch(node)


def _temperature(node: Node) -> float:
    value = number(node, "a temperature, a number", "logits are divided by it: 1.0 leaves them as they are")
    if value <= 0:
        raise expected(node, "above 0", "1.0 leaves the logits as they are", code="KD104")
    return value


def _weight(node: Node) -> float:
    return number(node, "a weight, a number", "a weight is a number such as 1.0; 0 is off", minimum=0)


def _level_weights(node: Node) -> tuple[float, ...]:
    hint = "write one for each of P3, P4 and P5, such as [0.4, 0.4, 0.2]"
    if not isinstance(node, Items) or len(node.items) != len(LEVELS):
        raise expected(node, "a list of three weights", hint)
    faults = Faults()
    weights: list[float] = []
    for item in node.items:
        with faults.gathered():
            weights.append(_weight(item))
    faults.check()
    if not any(weights):
        raise fail("KD109", node, "weights of 0 at all levels switch every loss off", hint)
    return tuple(weights)


def _choice(names: tuple[str, ...], node: Node) -> str:
    name = text(node, " or ".join(names), f"choose among {' and '.join(names)}")
    if name not in names:
        hint = suggestion(name, names, "the choices are")
        raise fail("KD104", node, f"must be {' or '.join(names)}; got {quoted(name)}", hint)
    return name


def _name(what: str, example: str, node: Node) -> str:
    return text(node, what, f"write {example}")


_OFF = Flag(False, _switch)
_ONE = Flag(1.0, _weight)
_WARM = Flag(1.0, _temperature)

FLAGS: dict[str, Flag] = {
    "model": Flag("yolo11n.pt", partial(_name, "the student, a model yaml or a checkpoint", "yolo11n.pt")),
    "teacher_model": Flag("yolo11m.pt", partial(_name, "the teacher, a checkpoint", "yolo11m.pt")),
    "data": Flag("coco8.yaml", partial(_name, "the name of a dataset yaml", "coco8.yaml")),
    "mask_type": Flag("original", partial(_choice, ("original", "pyramid"))),
    "level_weights": Flag((1.0, 1.0, 1.0), _level_weights),
    "cls_dist": _OFF,
    "cls_dist_kl": _OFF,
    "cls_dist_t": _WARM,
    "cls_alpha": _ONE,
    "cls_fg_mask": _OFF,
    "dfl_dist": _OFF,
    "dfl_t": _WARM,
    "dfl_alpha": _ONE,
    "dfl_fg_mask": _OFF,
    "M2D2": _OFF,
    "m2d2_t": _WARM,
    "m2d2_alpha": _ONE,
    "l2_dist": _OFF,
    "l2_alpha": _ONE,
    "l2_fg_mask": _OFF,
    "feat_distill": _OFF,
    "feat": _OFF,
    "feat_att": _OFF,
    "feat_mask": Flag(False, _mask_switch),
    "loss_ty": Flag("l2", partial(_choice, ("l2", "cosine"))),
    "feature_lambda": _ONE,
    "feat_oth": _OFF,
    "use_cwd": _OFF,
    "use_crd": _OFF,
    "use_mmd": _OFF,
    "use_spatial_att": _OFF,
    "use_channel_att": _OFF,
}
"""Every flag of moded_YOLO. Its own default for the teacher was none at all, for the student a bare name."""
