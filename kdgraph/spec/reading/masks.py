"""`mask:`, one mask or a list of them, of which the product is taken."""

from __future__ import annotations

from kdgraph.errors import quoted
from kdgraph.spec.components import ComponentInfo
from kdgraph.spec.nodes import Items, Map, Node
from kdgraph.spec.reading.components import default_component, read_component
from kdgraph.spec.reading.faults import Faults
from kdgraph.spec.reading.scope import Scope
from kdgraph.spec.reading.values import fail
from kdgraph.spec.schema import Component


def read_masks(node: Node, scope: Scope) -> tuple[Component, ...]:
    if not isinstance(node, Items):
        if isinstance(node, Map) and len(node.entries) > 1:
            listed = ", ".join(f"{{{name}: …}}" for name in node.entries)
            raise fail("KD103", node, "several masks are a list", f"write [{listed}]")
        return (read_component("mask", node, scope),)
    if not node.items:
        raise fail("KD104", node, "an empty list is no mask", "name a mask, or delete the key")
    faults = Faults()
    masks: list[Component] = []
    for item in node.items:
        with faults.gathered():
            masks.append(_fresh(item, masks, scope))
    faults.check()
    if len(masks) > 1:
        _refuse_all(node, masks)
    return tuple(masks)


def default_masks(criterion: ComponentInfo, scope: Scope) -> tuple[Component, ...]:
    """The mask of an edge that names none."""
    info = scope.components("mask")[criterion.default_mask]
    return (default_component(info, criterion.default_mask_options),)


def check_masked(criterion: ComponentInfo, masks: tuple[Component, ...], node: Node, scope: Scope) -> None:
    """Raise SpecError when the criterion takes no mask, and there is one."""
    if criterion.masked or all(mask.name == "all" for mask in masks):
        return
    infos = scope.components("criterion")
    able = ", ".join(name for name, info in infos.items() if info.masked and info.takes >= criterion.takes)
    raise fail(
        "KD111",
        node,
        f"{criterion.name} takes no mask: it does not compare cell by cell",
        f"delete the mask, or use a criterion that takes one, such as {able}",
    )


def _fresh(node: Node, before: list[Component], scope: Scope) -> Component:
    mask = read_component("mask", node, scope)
    if mask in before:
        raise fail(
            "KD104", node, f"the mask {quoted(mask.name)} is in the list twice", "delete one of the two"
        )
    return mask


def _refuse_all(node: Items, masks: list[Component]) -> None:
    for item, mask in zip(node.items, masks, strict=True):
        if mask.name == "all":
            hint = "delete it: it weighs every cell alike, and so changes nothing in a product of masks"
            raise fail("KD111", item, "the mask 'all' stands beside another one", hint)
