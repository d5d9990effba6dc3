"""The flags of tools/bench."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

__all__ = ["ARMS", "SCALES", "STUDENT", "TEACHER", "parsed"]

ARMS = {
    "plain": "Ultralytics' training step of the student alone",
    "builtin": "Ultralytics' DistillationModel",
    "eager": "kdgraph's Distiller in its TrainingModel, the same loss with the same adapter weights",
    "compiled": "the same with the Distiller under torch.compile",
    "hooks": "NVIDIA ModelOpt's kd_loss mode with the same loss (pip install 'kdgraph[bench]')",
    "limit": "student under torch.compile and the pruned, folded teacher's compiled forward: no distillation",
}
STUDENT, TEACHER = "yolo11n.yaml", "yolo11s.yaml"
"""Without a spec."""
SCALES = ("edges", "imgsz", "batch", "model")
PROFILED = ("plain", "builtin", "eager", "hooks")
_QUICK = ("plain", "builtin", "eager", "hooks")
_MODES = ("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")
_EPILOG = """arms:
{arms}
Without --arms: plain, builtin, eager and hooks on a CPU, where Inductor takes minutes; all of them on CUDA.
A step is forward, task loss, backward, gradient clipping, SGD with momentum, zero_grad; without the EMA and
the data pipeline, which are the same for all. With --spec the arms eager and compiled train that spec, and
what the built-in computes is then something else: only the default is checked to give equal numbers."""


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options, checked as far as no model is needed for it. Exits with 2 and a message otherwise."""
    parser = _parser()
    options = parser.parse_args(arguments)
    _check(parser, options)
    return options


def _parser() -> argparse.ArgumentParser:
    arms = "".join(f"  {name:9} {what}\n" for name, what in ARMS.items())
    parser = argparse.ArgumentParser(
        prog="tools/bench",
        description="Times one training step, plain and distilled in several ways, in one process.",
        epilog=_EPILOG.format(arms=arms),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _work_flags(parser)
    _measure_flags(parser)
    _output_flags(parser)
    return parser


def _work_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("what is trained").add_argument
    add("--student", metavar="MODEL", help=f"yaml, checkpoint or name ({STUDENT})")
    add("--teacher", metavar="MODEL", help=f"likewise ({TEACHER})")
    add("--spec", type=Path, metavar="FILE", help="a spec to train in eager and compiled in place of SL2")
    add("--arms", metavar="A,B,…", help="which to measure, or all")
    add("--device", default="cpu", metavar="DEVICE", help="cpu, cuda, cuda:1 (cpu)")
    add("--imgsz", type=_count, default=320, metavar="N", help="side of the images in pixels (320)")
    add("--batch", type=_count, default=4, metavar="N", help="images per step (4)")
    add("--amp", choices=("bf16", "fp16"), help="autocast, fp16 with a GradScaler (CUDA only)")
    add("--precision", choices=("bfloat16", "float16"), help="of the teacher in kdgraph's arms")
    add("--images", type=Path, metavar="FOLDER", help="real images, labels beside; synthetic otherwise")
    add("--compile-mode", choices=_MODES, default="default", help="of torch.compile")
    add("--seed", type=int, default=0, metavar="N", help="of weights and images (0)")


def _measure_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("how long").add_argument
    add("--steps", type=_count, metavar="N", help="timed steps of each arm (30, or as --seconds allows)")
    add("--seconds", type=float, metavar="S", help="stop after so many seconds of timed steps in all")
    add("--warmup", type=int, default=3, metavar="N", help="steps of each arm before (3)")
    add("--threads", type=_count, metavar="N", help="CPU threads of torch (torch's choice)")


def _output_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("what comes out").add_argument
    add("--json", type=Path, metavar="FILE", help="write everything measured")
    add("--plot", type=Path, metavar="FILE", help="draw it: .png, .svg or .pdf")
    add("--profile", choices=PROFILED, metavar="ARM", help=f"where an arm's time goes: {', '.join(PROFILED)}")
    add("--scaling", choices=SCALES, metavar="AXIS", help=f"cost against {', '.join(SCALES)}")
    add("--ablate", action="store_true", help="what each optional pass is worth: eager steps without it")
    add("--values", metavar="A,B,…", help="the points of --scaling; for model teacher:student")


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is no count: 1 or more")
    return number


def _check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    options.chosen = options.arms is not None
    options.arms = _arms(parser, options)
    if options.seconds is not None and options.seconds <= 0:
        parser.error("--seconds: a time of more than 0")
    if options.warmup < 0:
        parser.error("--warmup: 0 or more")
    if bool(options.scaling) + bool(options.profile) + options.ablate > 1:
        parser.error("--scaling, --profile and --ablate are runs of their own: give one of them")
    if options.ablate and options.precision:
        parser.error("--ablate compares passes that leave the numbers as they are: leave --precision out")
    if options.scaling == "edges" and options.spec:
        parser.error("--scaling edges makes its own specs: leave --spec out")
    if options.values and not options.scaling:
        parser.error("--values are the points of --scaling, which is not given")
    if options.batch < 2:
        parser.error("--batch: 2 or more, batch norms train on it")
    if options.amp == "fp16" and not options.device.startswith("cuda"):
        parser.error("--amp fp16 needs --device cuda; on a CPU use bf16")
    for name in ("spec", "images"):
        path = getattr(options, name)
        if path is not None and not path.exists():
            parser.error(f"--{name}: there is no {path}")
    for name in ("json", "plot"):
        path = getattr(options, name)
        if path is not None and not path.absolute().parent.is_dir():
            parser.error(f"--{name}: there is no folder {path.absolute().parent}")
    if options.plot and options.plot.suffix not in (".png", ".svg", ".pdf"):
        parser.error(f"--plot: {options.plot.name} is no .png, .svg or .pdf")
    _check_device(parser, options.device)
    options.values = _values(parser, options)


def _arms(parser: argparse.ArgumentParser, options: argparse.Namespace) -> tuple[str, ...]:
    if options.profile:
        return (options.profile,)
    if options.arms == "all" or (options.arms is None and options.device.startswith("cuda")):
        return tuple(ARMS)
    if options.arms is None:
        return _QUICK
    names = tuple(dict.fromkeys(name.strip() for name in options.arms.split(",")))
    for name in names:
        if name not in ARMS:
            parser.error(f"--arms: no arm is called '{name}'; there are {', '.join(ARMS)}")
    return names


def _check_device(parser: argparse.ArgumentParser, device: str) -> None:
    import torch

    try:
        kind = torch.device(device).type
    except RuntimeError:
        kind = ""
    if kind not in ("cpu", "cuda"):
        parser.error(f"--device: '{device}' is neither cpu nor cuda")
    if kind == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: torch sees no CUDA device here; kdgraph doctor says why")


def _values(parser: argparse.ArgumentParser, options: argparse.Namespace) -> list[str] | list[int] | None:
    if options.values is None:
        return None
    texts = [text.strip() for text in options.values.split(",")]
    if options.scaling == "model":
        if any(text.count(":") != 1 for text in texts):
            parser.error("--values of --scaling model are pairs teacher:student, as yolo11s:yolo11n")
        return texts
    if not all(text.isdecimal() and int(text) > 0 for text in texts):
        parser.error(f"--values of --scaling {options.scaling} are counts, as 1,2,4")
    return [int(text) for text in texts]
