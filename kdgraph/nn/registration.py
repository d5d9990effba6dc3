"""What is checked of a component that a user registers, each mistake told with the corrected call."""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, get_args

from torch import nn

from kdgraph.errors import closest
from kdgraph.spec.components import COMPONENTS, Kind, Signal

__all__ = ["Use"]

Choice = TypeVar("Choice", bound=str)

_SIGNALS = frozenset({"assign", "level", "product", *get_args(Signal)})
"""What the compiler calls the tensors among which masks are."""


@dataclass(frozen=True)
class Use:
    """One use of the decorator for a `kind`: its name, and the arguments that a corrected call shows."""

    kind: Kind
    name: str
    arguments: Mapping[str, list[str]]

    def __post_init__(self) -> None:
        """Raises TypeError where the decorator was written without a call."""
        if not isinstance(self.name, str):
            own = self.name.__name__.lower() if isinstance(self.name, type) else "my_name"
            raise TypeError(f"register.{self.kind} needs a name: {self.written(name=own)}")

    def written(self, name: str = "", **corrected: str | Sequence[str]) -> str:
        """The call as it should be, with these arguments in place of those given."""
        arguments = {**self.arguments, **corrected}
        shown = "".join(f", {key}={_literal(value)}" for key, value in arguments.items())
        return f'write @kdgraph.register.{self.kind}("{name or self.name}"{shown})'

    def check_name(self) -> None:
        """Raises ValueError for a name that a component can't have."""
        if not (self.name.isidentifier() and self.name.isascii()):
            plain = re.sub(r"\W+", "_", self.name, flags=re.ASCII).strip("_")
            mended = plain if plain.isidentifier() else f"my_{plain or self.kind}"
            raise ValueError(f"'{self.name}' cannot name a component: {self.written(mended)}")
        if self.name in COMPONENTS[self.kind] or (self.kind == "mask" and self.name in _SIGNALS):
            mended = self.written(f"my_{self.name}")
            raise ValueError(f"kdgraph has a {self.kind} '{self.name}' of its own: {mended}")

    def check_class(self, cls: type, base: type, shown: str, definition: str) -> None:
        """Raises TypeError for a class that is no `base`, or does not have the method of `definition`."""
        if not (isinstance(cls, type) and issubclass(cls, base)):
            named = getattr(cls, "__name__", "Mine")
            raise TypeError(f"the {self.kind} '{self.name}' must be a module: write class {named}({shown}):")
        method = _method(cls, definition)
        if method is nn.Module.forward or getattr(method, "__isabstractmethod__", False):
            raise TypeError(f"{cls.__name__} does not say what it computes: write def {definition}:")

    def chosen(
        self, argument: str, given: Sequence[Choice], known: Sequence[str], *, needed: bool = False
    ) -> tuple[Choice, ...]:
        """What was given for an argument that is a list of `known` names.

        Raises TypeError when it is no list, ValueError when a name is unknown, or none given and one needed.
        """
        if isinstance(given, str):
            raise TypeError(f"'{self.name}': {argument} is a list: {self._mended(argument, [given])}")
        if needed and not given:
            raise ValueError(
                f"'{self.name}': {argument} must name one of {', '.join(known)}: {self.written()}"
            )
        for value in given:
            self.check_known(argument, value, known, [_nearest(v, known) for v in given])
        return tuple(given)

    def check_known(
        self, argument: str, value: str, known: Sequence[str], mended: Sequence[str] | None = None
    ) -> None:
        """Raises ValueError for a value that is not among the `known`."""
        if value not in known:
            correct = self._mended(argument, mended or _nearest(value, known))
            listed = ", ".join(known)
            raise ValueError(f"'{self.name}': {argument} has '{value}', which is none of {listed}: {correct}")

    def _mended(self, argument: str, value: str | Sequence[str]) -> str:
        return self.written("", **{argument: value})

    def check_call(self, cls: type, definition: str, keywords: Collection[str] = ()) -> None:
        """Raises TypeError unless the method takes what `definition` says, and the keywords besides."""
        places = re.findall(r"\w+", definition)[2:]
        try:
            inspect.signature(_method(cls, definition)).bind(None, *places, **dict.fromkeys(keywords))
        except TypeError as error:
            named = f", *, {', '.join(keywords)}" if keywords else ""
            reads = "" if self.kind == "adapter" else ", or change `reads`"
            correct = f"def {definition[:-1]}{named}){reads}"
            raise TypeError(f"{cls.__name__}.{definition.split('(')[0]}: {error}: write {correct}") from None


def _method(cls: type, definition: str) -> Any:
    return getattr(cls, definition.split("(")[0])


def _nearest(value: str, known: Sequence[str]) -> str:
    return value if value in known else (closest(str(value), known, n=1) or known)[0]


def _literal(value: str | Sequence[str]) -> str:
    """A text or a list of texts as Python, in double quotes."""
    if isinstance(value, str):
        return f'"{value}"'
    return f"[{', '.join(_literal(part) for part in value)}]"
