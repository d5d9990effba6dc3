"""Repeated blocks: of those that are alike and follow each other, the first is drawn, with their number."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch.fx as fx

from kdgraph.graph.shapes import Facts

__all__ = ["Repeat", "repeats_of"]

Signature = tuple[tuple[object, ...], ...]


@dataclass(frozen=True)
class Repeat:
    """`path.0` … `path.<count - 1>` are alike: `first` are the nodes of `path.0`.

    others: a node of a later block -> the same node of the first.
    """

    path: str
    count: int
    first: tuple[fx.Node, ...]
    others: Mapping[fx.Node, fx.Node]


def repeats_of(
    nodes: Sequence[fx.Node], facts: Mapping[fx.Node, Facts], keep: Collection[fx.Node] = ()
) -> list[Repeat]:
    """The repeats among `nodes`, outermost first; none that would hide a node of `keep`."""
    left = list(nodes)
    found: list[Repeat] = []
    for path in sorted({path for node in nodes for path in _lists(node)}, key=lambda path: path.count(".")):
        repeat = _repeat(path, left, facts)
        if repeat is None or any(node in keep for node in repeat.others):
            continue
        found.append(repeat)
        left = [node for node in left if node not in repeat.others]
    return found


def _lists(node: fx.Node) -> Iterator[str]:
    """The paths that have a numbered child above a node."""
    names = _path(node).split(".")
    for i in range(1, len(names) - 1):
        if names[i] == "0":
            yield ".".join(names[:i])


def _repeat(path: str, nodes: Sequence[fx.Node], facts: Mapping[fx.Node, Facts]) -> Repeat | None:
    first = _block(path, 0, nodes)
    alike = _signature(first, f"{path}.0", facts)
    others: dict[fx.Node, fx.Node] = {}
    count, previous = 1, first
    while block := _block(path, count, nodes):
        if _signature(block, f"{path}.{count}", facts) != alike or not _follows(block, previous, first):
            break
        others.update(zip(block, first, strict=True))
        count, previous = count + 1, block
    return Repeat(path, count, tuple(first), others) if count > 1 and first else None


def _block(path: str, number: int, nodes: Sequence[fx.Node]) -> list[fx.Node]:
    return [node for node in nodes if f"{_path(node)}.".startswith(f"{path}.{number}.")]


def _signature(block: Sequence[fx.Node], prefix: str, facts: Mapping[fx.Node, Facts]) -> Signature:
    """What two blocks that are alike have in common: the same nodes in the same order, joined alike."""
    place = {node: i for i, node in enumerate(block)}
    return tuple(
        (
            _path(node).removeprefix(prefix),
            node.op,
            facts[node].shape,
            facts[node].params,
            facts[node].flops,
            tuple(place.get(source, -1) for source in node.all_input_nodes),
        )
        for node in block
    )


def _follows(block: Sequence[fx.Node], previous: Sequence[fx.Node], first: Sequence[fx.Node]) -> bool:
    """Whether a block reads the one before it, and beyond that only what the first reads too."""
    reads = _reads(block)
    return bool(reads & set(previous)) and reads <= set(previous) | _reads(first)


def _reads(block: Sequence[fx.Node]) -> set[fx.Node]:
    return {source for node in block for source in node.all_input_nodes} - set(block)


def _path(node: fx.Node) -> str:
    return str(node.meta.get("path", node.name))
