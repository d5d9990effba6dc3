"""The flags of moded_YOLO -> the text of a spec that computes the same losses, without their faults.

words   NAME=VALUE, as typed or pasted from a call of `train`   -> nodes with places
flags   nodes -> `Flags`: every value checked, what was not given at its default
losses  which losses the switches turn on
edges   `Flags` -> `Edge`s: taps, criterion, mask and weight of each loss that is on
text    `Edge`s -> the spec
"""

from __future__ import annotations

from kdgraph.spec.moded_yolo.flags import FLAGS
from kdgraph.spec.moded_yolo.text import convert

__all__ = ["FLAGS", "convert"]
