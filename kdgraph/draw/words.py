"""What boxes, terms and headings say."""

from __future__ import annotations

from kdgraph.draw.boxes import Box
from kdgraph.draw.numbers import count, gflops, sized
from kdgraph.draw.scene import Scene, Subject
from kdgraph.draw.terms import Mark

__all__ = ["cost", "details", "heading", "lines", "measures"]


def measures(box: Box) -> str:
    """`64×80×80  /8`: shape and stride."""
    shape = sized(box.shape)
    return f"{shape}  /{box.stride}" if shape and box.stride and box.stride > 1 else shape


def cost(box: Box) -> str:
    """Parameters and operations, where there are any."""
    parts = [f"{count(box.params)} params" if box.params else "", gflops(box.flops) if box.flops else ""]
    return " · ".join(part for part in parts if part)


def lines(mark: Mark) -> list[str]:
    """What the label of a term says below its name."""
    how = f"{mark.criterion}, weight {mark.weight}"
    more = [mark.span, f"mask {mark.mask}" if mark.mask else "", _adapter(mark)]
    return [how, *(line for line in more if line)]


def _adapter(mark: Mark) -> str:
    if not mark.adapter:
        return ""
    return mark.adapter + (f", {count(mark.adapter_params)} params" if mark.adapter_params else "")


def details(box: Box) -> str:
    """Everything about a box, line by line."""
    said = [box.title, box.type, ", ".join(box.names), measures(box), cost(box)]
    return "\n".join(dict.fromkeys(line for line in said if line))


def heading(scene: Scene, subject: Subject) -> tuple[str, str]:
    """The name of a model over its lanes, and its size, before and after compiling."""
    name = subject.name if scene.kind == "model" else f"{subject.role}: {subject.name}"
    facts = subject.anatomy.facts.values()
    whole = f"{count(sum(f.params for f in facts))} params, {gflops(sum(f.flops for f in facts))}"
    if subject.size is None or subject.role == "student":
        return name, whole
    params, flops, _ = subject.size
    return name, f"{whole}; compiled: {count(params)}, {gflops(flops)}"
