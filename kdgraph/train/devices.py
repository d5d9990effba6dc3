"""The graphics cards of this machine, as the driver and as torch see them."""

from __future__ import annotations

import shutil
import subprocess

from kdgraph.errors import Diagnostic

_ANSWER_SECONDS = 10.0


def device_facts() -> tuple[list[tuple[str, str]], list[Diagnostic]]:
    """Name and value of each device, and what torch cannot use of it (KD514)."""
    cards = driver_cards()
    facts = [("driver", card) for card in cards]
    try:
        import torch
    except Exception:  # reported by the doctor as what it is
        return facts, []
    built = torch.version.cuda
    facts.append(("cuda", f"torch is built for CUDA {built}" if built else "torch is built without CUDA"))
    if not torch.cuda.is_available():
        fault = _unused_cards(cards, built, torch.__version__)
        return [*facts, ("device", "cpu")], [fault] if fault else []
    faults = []
    for index in range(torch.cuda.device_count()):
        name, capability = torch.cuda.get_device_name(index), torch.cuda.get_device_capability(index)
        facts.append((f"cuda:{index}", f"{name}, compute capability {capability[0]}.{capability[1]}"))
        if not serves(torch.cuda.get_arch_list(), capability):
            message = f"cuda:{index} ({name}) is not served by torch {torch.__version__}"
            faults.append(
                Diagnostic("KD514", message, hint="install the torch build for it, see pytorch.org")
            )
    return facts, faults


def driver_cards() -> list[str]:
    """One line for each card that the NVIDIA driver lists; empty without driver or card."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    query = [tool, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=_ANSWER_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in answer.stdout.splitlines() if line.strip()]


def serves(architectures: list[str], capability: tuple[int, int]) -> bool:
    """Whether a torch built for `architectures` (`sm_90`, `compute_90`) runs on a card of this capability.

    Machine code (sm) runs on cards of the same major version from its minor version on; intermediate code
    (compute) is translated for every later card.
    """
    for architecture in architectures:
        kind, _, digits = architecture.partition("_")
        digits = digits.rstrip("af")
        version = int(digits[:-1]), int(digits[-1])
        if version <= capability and (kind == "compute" or version[0] == capability[0]):
            return True
    return not architectures


def _unused_cards(cards: list[str], built: str | None, version: str) -> Diagnostic | None:
    if not cards:
        return None
    if built is None:
        hint = "pip install --force-reinstall torch torchvision, with the CUDA index of pytorch.org"
        return Diagnostic(
            "KD514", f"there is a {cards[0]}, but torch {version} is built without CUDA", hint=hint
        )
    hint = (
        "update the driver, or install a torch for an older CUDA; see that CUDA_VISIBLE_DEVICES hides no card"
    )
    return Diagnostic("KD514", f"torch {version} (CUDA {built}) cannot use the {cards[0]}", hint=hint)
