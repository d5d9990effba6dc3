"""What was measured on what: versions, processor or card, threads."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import torch
import ultralytics

import kdgraph

__all__ = ["machine"]


def machine(device: torch.device) -> dict[str, Any]:
    return {
        "device": _card(device) if device.type == "cuda" else _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda if device.type == "cuda" else None,
        "ultralytics": ultralytics.__version__,
        "kdgraph": kdgraph.__version__,
        "tf32": bool(torch.backends.cudnn.allow_tf32) if device.type == "cuda" else None,
    }


def _card(device: torch.device) -> str:
    memory = torch.cuda.get_device_properties(device).total_memory
    return f"{torch.cuda.get_device_name(device)}, {memory / 2**30:.0f} GiB"


def _processor() -> str:
    """The name that Linux gives it; elsewhere the architecture."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
