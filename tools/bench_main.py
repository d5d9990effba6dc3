"""What tools/bench does, from its flags to what it prints and writes."""

from __future__ import annotations

import os
import sys

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # before torch: its profiler else talks on stderr

import argparse
import json
import shlex
from collections.abc import Sequence
from typing import Any

import torch
from bench_options import ARMS, STUDENT, TEACHER, parsed

__all__ = ["main"]

_SLOW = "Inductor compiles first, which takes minutes on a CPU …"


def main(arguments: Sequence[str] | None = None) -> int:
    """0; 1 when arms that should compute the same do not; 2 for what cannot be measured."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    options = parsed(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    from bench_models import WrongUse
    from bench_run import Disagreement

    from kdgraph.errors import KdgraphError
    from kdgraph.graph.quiet import quiet

    try:
        with quiet():
            result = _run(options)
    except (KdgraphError, WrongUse) as error:
        print(error, file=sys.stderr)
        return 2
    except Disagreement as error:
        print(error, file=sys.stderr)
        return 1
    result["command"] = shlex.join(["tools/bench", *arguments])
    _write(result, options)
    return 0


def _run(options: argparse.Namespace) -> dict[str, Any]:
    from bench_compile import compile_seconds
    from bench_machine import machine
    from bench_models import built
    from bench_report import (
        print_ablation,
        print_compile,
        print_head,
        print_machine,
        print_profile,
        print_result,
        print_scaling,
    )
    from bench_run import measured
    from bench_scaling import scaled

    device = torch.device(options.device)
    if device.index is not None:
        torch.cuda.set_device(device)  # where events are recorded
    if options.scaling:
        print_machine(machine(device))
        found = scaled(options, lambda line: print(line, file=sys.stderr))
        print_scaling(found)
        return {"scaling": found, "machine": machine(device), "work": {**_pair(options), **_flags(options)}}
    setup = built(options)
    work = {**_flags(options), **_work(setup)}
    print_head(work)
    print_machine(machine(device))
    if options.profile:
        profile = {"arm": options.profile, "regions": _profile(setup)}
        print_profile(**profile)
        return {"profile": profile, "machine": machine(device), "work": work}
    if options.ablate:
        from bench_ablation import ablated

        rows = ablated(setup)
        print_ablation(rows)
        return {"ablation": rows, "machine": machine(device), "work": work}
    if device.type == "cpu" and {"compiled", "limit"} & {*options.arms}:
        print(_SLOW, file=sys.stderr)
    compiling = compile_seconds(setup)
    result = measured(setup)
    print_result(result)
    print_compile(compiling)
    _say_unasked(options)
    return {**result, "kdgraph_compile": compiling, "machine": machine(device), "work": work}


def _profile(setup: Any) -> dict[str, float]:
    from bench_models import WrongUse
    from bench_profile import profiled
    from bench_run import steppers_of

    steppers, left_out = steppers_of(setup)
    if left_out:
        raise WrongUse(next(iter(left_out.values())))
    (stepper,) = steppers.values()
    stepper.step()
    return profiled(stepper, setup.options.steps or 20, setup.options.warmup)


def _flags(options: argparse.Namespace) -> dict[str, Any]:
    names = ("device", "imgsz", "batch", "amp", "precision", "compile_mode", "seed", "warmup")
    return {name: getattr(options, name) for name in names}


def _pair(options: argparse.Namespace) -> dict[str, Any]:
    """The models where the points of a scaling do not say them."""
    return {"student": options.student or STUDENT, "teacher": options.teacher or TEACHER}


def _work(setup: Any) -> dict[str, Any]:
    spec = setup.spec
    return {
        "student": spec.student.model,
        "teacher": ", ".join(part.model for part in spec.teachers.values()) or "itself",
        "spec": None if setup.options.spec is None else str(setup.options.spec),
        "edges": "sl2 as the built-in" if setup.standard else f"edges of {setup.options.spec}",
        "boxes": len(setup.batch["cls"]),
    }


def _say_unasked(options: argparse.Namespace) -> None:
    """What was not measured unless someone asked for it."""
    left = [name for name in ("compiled", "limit") if name not in options.arms]
    if left and not options.chosen:
        print(f"\nnot measured: {', '.join(left)} (on a CPU Inductor takes minutes; --arms {','.join(ARMS)})")


def _write(result: dict[str, Any], options: argparse.Namespace) -> None:
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if options.plot:
        from bench_plot import plot

        plot(result, options.plot)
