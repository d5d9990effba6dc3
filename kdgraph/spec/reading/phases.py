"""`phases:`, a list of parts of the run with the edges that count in each."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial

from kdgraph.errors import Diagnostic, Span, SpecError, closest, quoted
from kdgraph.spec.nodes import Items, Map, Node, Text
from kdgraph.spec.reading.edges import EPOCH
from kdgraph.spec.reading.faults import Faults, Reader, spans_of, suggestion
from kdgraph.spec.reading.names import check_name
from kdgraph.spec.reading.recipes import recipe_edges
from kdgraph.spec.reading.values import as_map, expected, fail, is_null, number, text
from kdgraph.spec.schedule import part_windows, phase_windows, window
from kdgraph.spec.schema import EdgeSpec, PhaseSpec, Spec, located

NULLABLE = ("until",)
ALL = "all"
"""All edges, where the edges of a phase are listed."""

_PHASE = "{name: heads, until: 60, edges: [cls, dfl]}"
_EXAMPLE = f"write a list such as [{_PHASE}, {{name: whole, edges: {ALL}}}]"
_LATER = "let each phase end later than the one before it, and before the run does"
_until = partial(number, what="an epoch, a number", hint=EPOCH)


def read_phases(node: Node, edges: Collection[str] | None, epochs: int) -> tuple[PhaseSpec, ...]:
    """The phases of a run of `epochs`; `edges` are the names of all edges, None when these are unknown."""
    if not isinstance(node, Items):
        raise expected(node, "a list of phases", _EXAMPLE)
    if not node.items:
        raise fail("KD104", node, "an empty list has no phase", f"{_EXAMPLE}, or delete the key")
    faults = Faults()
    phases: list[PhaseSpec] = []
    names: list[str] = []
    for item in node.items:
        with faults.gathered():
            phases.append(_read_phase(item, edges, names, last=item is node.items[-1]))
    with faults.gathered():
        _check_epochs(node.items, epochs)
    faults.check()
    return tuple(phases)


def fitted_phases(spec: Spec, edges: Mapping[str, EdgeSpec], epochs: int) -> tuple[PhaseSpec, ...]:
    """The phases of a spec whose recipe has become `edges`: those of all edges have these.

    Raises SpecError for a phase with an edge that is not among them, and for edges that never count.
    """
    possible = recipe_edges(spec.recipe) if spec.recipe else tuple(edges)
    faults = Faults()
    phases: list[PhaseSpec] = []
    for phase in spec.phases:
        named = tuple(edges) if phase.edges == possible else phase.edges
        strange = [name for name in named if name not in edges]
        if strange:
            message = f"the recipe has no edge {quoted(strange[0])} for these models"
            hint = suggestion(strange[0], edges, "the edges are")
            faults.found.append(Diagnostic("KD105", message, phase.span("edges"), hint))
        phases.append(phase.model_copy(update={"edges": named}))
    faults.check()
    if phases:
        check_phases(phases, edges, dict.fromkeys(edges, spec.span("edges")), epochs)
    return tuple(phases)


def check_phases(
    phases: Sequence[PhaseSpec],
    edges: Mapping[str, EdgeSpec],
    places: Mapping[str, Span | None],
    epochs: int,
) -> None:
    """Raise SpecError for edges that never count because of the phases; `places` are those of the edges."""
    faults = Faults()
    for name, edge in edges.items():
        with faults.gathered():
            _check_edge(edge, phases, places[name], epochs)
    faults.check()


def _read_phase(node: Node, edges: Collection[str] | None, names: list[str], last: bool) -> PhaseSpec:
    mapping = as_map(node, "a phase, a map with a name and its edges", f"write {_PHASE}")
    faults = Faults()
    readers: dict[str, Reader] = {
        "name": partial(_name, before=names),
        "until": _until,
        "edges": partial(_edges, known=edges),
    }
    values = faults.fields(mapping, "a phase", readers, ["name", "edges"], NULLABLE)
    with faults.gathered():
        if not (last or _ends(mapping) or closest("until", mapping.entries.keys() - readers.keys())):
            raise fail("KD101", node, "only the last phase may leave `until` out", "add `until: …`")
    faults.check()
    return located(PhaseSpec(**values), spans_of(mapping))


def _ends(node: Node) -> bool:
    until = node.get("until") if isinstance(node, Map) else None
    return until is not None and not is_null(until)


def _name(node: Node, before: list[str]) -> str:
    name = text(node, "the name of a phase", "write a word such as heads")
    if isinstance(node, Text):
        check_name(node, "a phase")
    if name in before:
        raise fail("KD107", node, f"two phases are named {quoted(name)}", "rename one of the two")
    before.append(name)
    return name


def _edges(node: Node, known: Collection[str] | None) -> tuple[str, ...]:
    if isinstance(node, Text) and node.value == ALL:
        return tuple(known or [ALL])
    items = node.items if isinstance(node, Items) else [node]
    if not items:
        hint = f"name some, or write {ALL}; to train without any at first, give the edges a `from`"
        raise fail("KD104", node, "an empty list: no edge would count", hint)
    faults = Faults()
    names: list[str] = []
    for item in items:
        with faults.gathered():
            names.append(_edge(item, names, known))
    faults.check()
    return tuple(names)


def _edge(node: Node, before: list[str], known: Collection[str] | None) -> str:
    name = text(node, "the name of an edge", f"write a list of edges such as [cls, dfl], or {ALL}")
    if known is not None and name not in known:
        hint = f"write `edges: {ALL}`" if name == ALL else suggestion(name, known, "the edges are")
        raise fail("KD105", node, f"no edge is named {quoted(name)}", hint)
    if name in before:
        raise fail("KD104", node, f"the edge {quoted(name)} is in the list twice", "delete one of the two")
    return name


def _check_epochs(items: Sequence[Node], epochs: int) -> None:
    """What is wrong only in a run of this length; what cannot be read is told where the phase is read."""
    written = [item.get("until") if _ends(item) and isinstance(item, Map) else None for item in items]
    try:
        untils = [None if node is None else _until(node) for node in written]
    except SpecError:
        return
    if None in untils[:-1]:
        return
    faults = Faults()
    for item, until, (start, end) in zip(items, written, part_windows(untils, epochs), strict=True):
        with faults.gathered():
            if start >= end:
                run = f"it would begin at epoch {start:g} and end at {end:g}, in a run of {epochs}"
                raise fail("KD110", until or item, f"the phase never counts: {run}", _LATER)
    faults.check()


def _check_edge(edge: EdgeSpec, phases: Sequence[PhaseSpec], place: Span | None, epochs: int) -> None:
    windows = [
        span
        for phase, span in zip(phases, phase_windows(phases, epochs), strict=True)
        if edge.name in phase.edges
    ]
    if not windows:
        message = f"edges.{edge.name}: the edge never counts: no phase names it"
        hint = "add it to the edges of a phase, or delete it"
        raise SpecError(Diagnostic("KD109", message, place, hint))
    first, last = window(edge, epochs)
    if all(min(end, last) <= max(start, first) for start, end in windows):
        own, theirs = (
            f"{first:g} to {last:g}",
            " and ".join(f"{start:g} to {end:g}" for start, end in windows),
        )
        message = f"edges.{edge.name}: the edge never counts: its own epochs are {own}, its phases' {theirs}"
        hint = "change its `from` and `until`, or the phases that name it"
        raise SpecError(Diagnostic("KD110", message, place, hint))
