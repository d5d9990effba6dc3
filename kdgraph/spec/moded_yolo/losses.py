"""Which losses the switches turn on, also where moded_YOLO had them turn on nothing, or too much."""

from __future__ import annotations

from kdgraph.spec.moded_yolo.flags import Flags

METHODS = ("use_cwd", "use_crd", "use_mmd", "use_spatial_att", "use_channel_att")
"""What `feat_oth` is for."""

_HEADS = ("cls_dist", "dfl_dist", "M2D2", "l2_dist")
_NECK = ("feat", "feat_att", *METHODS)


def losses(flags: Flags) -> tuple[list[str], list[str]]:
    """The switches whose losses are on, in a fixed order, and what there is to be said of them."""
    on = [name for name in (*_HEADS, *_NECK) if flags[name]]
    notes: list[str] = []
    if flags.given.get("feat_oth") is False:
        on = _without(METHODS, "feat_oth", on, notes)
    if flags.given.get("feat_distill") is False:
        on = _without(_NECK, "feat_distill", on, notes)
    elif flags["feat_distill"] and not any(name in flags for name in (*_NECK, "feat_oth")):
        on.append("feat")
        notes.append("feat_distill alone is read as feat; in moded_YOLO it switched no loss on")
    if any(name in on for name in METHODS) or flags["feat_oth"]:
        notes += _notes_of_methods(flags, on)
    return on, notes


def _without(names: tuple[str, ...], switch: str, on: list[str], notes: list[str]) -> list[str]:
    lost = [name for name in on if name in names]
    if lost:
        notes.append(f"off, because {switch} is: {', '.join(lost)}")
    return [name for name in on if name not in names]


def _notes_of_methods(flags: Flags, on: list[str]) -> list[str]:
    chosen = [name for name in METHODS if name in on]
    if not flags["feat_oth"]:
        return [f"{', '.join(chosen)}: moded_YOLO wanted feat_oth=True beside it, and did nothing without"]
    if flags.given.get("feat_distill") is False:
        return []
    unsaid = [name for name in METHODS if name not in flags]
    notes = [] if chosen else ["feat_oth is on, but none of its methods: it makes no edge"]
    if unsaid:
        notes.append(
            f"off: {', '.join(unsaid)}; commas behind moded_YOLO's defaults had them on with feat_oth"
        )
    return notes
