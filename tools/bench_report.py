"""What tools/bench prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from kdgraph.cli.console import table

__all__ = [
    "print_ablation", "print_compile", "print_head", "print_machine", "print_profile", "print_result",
    "print_scaling",
]  # fmt: skip

console = Console(highlight=False, soft_wrap=True)
console.width = max(console.width, 140)  # a row of numbers stays one line, also when piped


def print_head(work: Mapping[str, Any]) -> None:
    amp = work["amp"] or "float32"
    console.print(
        f"{work['teacher']} → {work['student']}, {work['imgsz']} px, batch {work['batch']} "
        f"({work['boxes']} boxes), {amp}, {work['edges']}"
        + (f"; kdgraph's teacher in {work['precision']}" if work["precision"] else "")
    )


def print_machine(machine: Mapping[str, Any]) -> None:
    cuda = f", CUDA {machine['cuda']}" if machine["cuda"] else ""
    console.print(
        f"{machine['device']}, {machine['cores']} cores, {machine['threads']} threads; torch "
        f"{machine['torch']}{cuda}, ultralytics {machine['ultralytics']}, kdgraph {machine['kdgraph']}\n"
    )


def print_result(result: Mapping[str, Any]) -> None:
    names = ("ms", "middle half", "to builtin", "to plain", "peak MiB")
    shown = table("arm", *names, "Inductor s", numeric=(*names, "Inductor s"))
    for name, arm in result["arms"].items():
        inductor = arm["inductor_s"]
        shown.add_row(
            name, _ms(arm["median_s"]), f"{_ms(arm['q25_s'])} to {_ms(arm['q75_s'])}",
            *(_ratio(arm[f"to_{base}"], name == base) for base in ("builtin", "plain")),
            _mib(arm["peak_bytes"]), "" if inductor is None else f"{inductor:.0f}",
        )  # fmt: skip
    _print_table(shown)
    steps = next(iter(result["arms"].values()))["steps"]
    console.print(
        f"\nmedians of {steps} steps each, one of each arm in turn; ratios with their 95 % interval"
    )
    for check in result["checks"]:
        console.print(_check(check))
    _print_left_out(result["left_out"])
    for name, arm in result["arms"].items():
        if arm["loss"] is None:
            console.print(f"{name}: its loss is not finite at the end; train for fewer steps")


def _print_left_out(left_out: Mapping[str, str]) -> None:
    for name, why in left_out.items():
        console.print(f"{name} is left out: {why}", markup=False)


def _check(check: Mapping[str, Any]) -> str:
    parts = {"loss": check["total"], "distillation": check["distillation"], "gradient": check["gradient"]}
    shown = ", ".join(f"{name} {value:.0e}" for name, value in parts.items() if value is not None)
    return f"{check['arm']} = {check['base']} to rounding: {shown}"


def print_compile(seconds: Mapping[str, Any]) -> None:
    shown = table("kdgraph compiles", "first s", "again s", numeric=("first s", "again s"))
    first, again = seconds["first"], seconds["again"]
    rows = [("parse", *_both("parse", first, again)), ("trace", *_both("trace", first, again))]
    rows += [(name, value, again["passes"][name]) for name, value in first["passes"].items()]
    rows += [(name, *_both(name, first, again)) for name in ("lower", "other", "total")]
    for name, *values in rows:
        shown.add_row(name, *(f"{value:.3f}" for value in values))
    console.print()
    _print_table(shown)


def _both(name: str, first: Mapping[str, Any], again: Mapping[str, Any]) -> tuple[float, float]:
    return first[name], again[name]


def print_profile(arm: str, regions: Mapping[str, float]) -> None:
    total = sum(regions.values())
    shown = table(f"{arm}: region", "ms", "%", numeric=("ms", "%"))
    for name, seconds in regions.items():
        shown.add_row(name, _ms(seconds), f"{100 * seconds / total:.1f}")
    shown.add_row("step", _ms(total), "100.0")
    _print_table(shown)


def print_ablation(rows: Sequence[Mapping[str, Any]]) -> None:
    names = ("ms", "to all passes", "peak MiB")
    shown = table("eager", *names, numeric=names)
    for row in rows:
        shown.add_row(
            row["passes"],
            _ms(row["median_s"]),
            _ratio(row["to_all"], row is rows[0]),
            _mib(row["peak_bytes"]),
        )
    _print_table(shown)


def print_scaling(result: Mapping[str, Any]) -> None:
    arms = list(dict.fromkeys(name for point in result["points"] for name in point["arms"]))
    others = [name for name in arms if name != "builtin" and "builtin" in arms]
    names = [*(f"{name} ms" for name in arms), *(f"{name}/builtin" for name in others)]
    peaks = [f"{name} MiB" for name in arms if result["axis"] != "edges"]
    shown = table(result["axis"], *names, *peaks, numeric=(*names, *peaks))
    for point in result["points"]:
        found = point["arms"]
        times = [_ms(found[name]["median_s"]) if name in found else "" for name in arms]
        ratios = [_ratio(found[name]["to_builtin"]) if name in found else "" for name in others]
        memory = [_mib(found[name]["peak_bytes"]) if name in found else "" for name in arms if peaks]
        shown.add_row(str(point["value"]), *times, *ratios, *memory)
    _print_table(shown)
    for point in result["points"]:
        _print_left_out(point.get("left_out", {}))
    if result.get("per_edge_s") is not None:
        console.print(
            f"\neach further edge: {_ms(result['per_edge_s'])} ms; its criterion alone, forward and "
            f"backward: {_ms(result['criterion_s'])} ms"
        )


def _print_table(shown: Table) -> None:
    """Never folded: numbers are read in lines."""
    for column in shown.columns:
        column.no_wrap = True
    console.print(shown)


def _ms(seconds: float) -> str:
    value = 1000 * seconds
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.3f}"


def _mib(size: int) -> str:
    return f"{size / 2**20:.0f}"


def _ratio(ratio: Mapping[str, float] | None, itself: bool = False) -> str:
    return (
        ""
        if ratio is None
        else "1"
        if itself
        else f"{ratio['value']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}]"
    )
