"""What tools/bench draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["plot"]


def plot(result: Mapping[str, Any], path: Path) -> None:
    """Bars of arms or of passes left out, lines of a scaling, or the regions of a profile."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.5), layout="constrained")
    if "scaling" in result:
        _lines(figure, result["scaling"])
    elif "ablation" in result:
        _passes(figure, result["ablation"])
    elif "profile" in result:
        _regions(figure, result["profile"])
    else:
        _bars(figure, result["arms"])
    figure.savefig(path, dpi=150)


def _bars(figure: Any, arms: Mapping[str, Any]) -> None:
    names = list(arms)
    left, right = figure.subplots(1, 2, sharey=True)
    medians = [1000 * arms[name]["median_s"] for name in names]
    below = [1000 * (arms[name]["median_s"] - arms[name]["q25_s"]) for name in names]
    above = [1000 * (arms[name]["q75_s"] - arms[name]["median_s"]) for name in names]
    left.barh(names, medians, xerr=[below, above], capsize=3, color="tab:blue")
    left.set_xlabel("ms a step (median, middle half)")
    left.invert_yaxis()
    kept = [arms[name]["resident_bytes"] / 2**20 for name in names]
    step = [arms[name]["step_bytes"] / 2**20 for name in names]
    right.barh(names, kept, color="tab:gray", label="kept between steps")
    right.barh(names, step, left=kept, color="tab:orange", label="one step on top")
    right.set_xlabel("peak MiB")
    figure.legend(loc="outside lower right", ncols=2, fontsize="small")


def _lines(figure: Any, scaling: Mapping[str, Any]) -> None:
    axes = figure.subplots()
    points = scaling["points"]
    for name in dict.fromkeys(name for point in points for name in point["arms"]):
        there = [point for point in points if name in point["arms"]]
        found = [point["arms"][name] for point in there]
        values = [point["value"] for point in there]
        axes.plot(values, [1000 * arm["median_s"] for arm in found], marker="o", label=name)
        low, high = ([1000 * arm[key] for arm in found] for key in ("q25_s", "q75_s"))
        axes.fill_between(values, low, high, alpha=0.2)
    axes.set_xlabel(scaling["axis"])
    axes.set_ylabel("ms a step")
    axes.set_ylim(bottom=0)
    axes.legend()


def _passes(figure: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    left, right = figure.subplots(1, 2, sharey=True)
    names = [row["passes"] for row in rows]
    left.barh(names, [1000 * row["median_s"] for row in rows], color="tab:blue")
    left.set_xlabel("ms a step")
    left.invert_yaxis()
    right.barh(names, [row["peak_bytes"] / 2**20 for row in rows], color="tab:orange")
    right.set_xlabel("peak MiB")


def _regions(figure: Any, profile: Mapping[str, Any]) -> None:
    axes = figure.subplots()
    names = list(profile["regions"])
    axes.barh(names, [1000 * profile["regions"][name] for name in names])
    axes.invert_yaxis()
    axes.set_xlabel(f"ms of a step of {profile['arm']}")
