"""Published masks against this project's: cells, not losses.

The source's pyramid samples the finest level at every second or fourth cell and so loses positives; the files
record the lost cells as `dropped`. Here none is lost: the pyramid is theirs with these restored.
"""

from __future__ import annotations

import torch
from reference_vectors import Vector, Verdict, case
from torch import Tensor

from kdgraph.nn.object_masks import Foreground, Pyramid
from kdgraph.nn.signals import at_level


@case("seed_masks")
def seed_masks(vector: Vector) -> Verdict:
    """The foreground's pieces at each level, and the pyramid's."""
    arrays, strides = vector.arrays, vector.config["strides"]
    maps = [arrays[f"original_{stride}"] for stride in strides]
    target = torch.where(arrays["fg_mask"], 0, -1)  # whichever object it is
    foreground, pyramid = Foreground()(target=target), Pyramid()(target=target, maps=maps)
    wrong = []
    for level, stride in enumerate(strides):
        restored = arrays[f"pyramid_{stride}"] | arrays.get(f"dropped_{stride}", torch.tensor(False))
        for name, whole, wanted in (("original", foreground, maps[level]), ("pyramid", pyramid, restored)):
            wrong += _differences(f"{name}_{stride}", at_level(whole, maps, level), wanted)
    return Verdict("FAIL" if wrong else "ok", note=", ".join(wrong))


def _differences(name: str, found: Tensor, wanted: Tensor) -> list[str]:
    count = int((found != wanted).sum())
    return [f"{name}: {count} cells differ"] if count else []
