"""Connected regions of maps, found on the device and without control flow on values.

The algorithm is FastSV (Zhang, Azad & Hu, *FastSV: A Distributed-Memory Connected Component Algorithm with
Fast Convergence*, SIAM PP 2020): every cell points at one of its region with a lower index, and in each round
both the cell and what it points at move on to the lowest that any neighbour reaches in two steps.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

ROUNDS = 16
"""In each round the lowest index passes on to every neighbour at least, so regions in which no cell is over
16 steps from the first are always found whole, as all of 17 cells are. It also jumps along pointers, so that
rounds grow with the logarithm of the steps: snakes, spirals and mazes through whole maps needed 13 at most of
80 x 80 cells, 15 of 160 x 160. Beyond that a region may be found in several parts.
"""


def regions(values: Tensor) -> Tensor:
    """The 8-connected regions of equal values of `[B, H, W]` whole numbers, `[B, H * W]`.

    Each cell gets the index of its region's first cell in its image, rows first. Cells below 0 are regions of
    their own.
    """
    near = _neighbours(values)
    images, _, cells = near.shape
    parent = torch.arange(cells, device=values.device).expand(images, -1)
    for _ in range(ROUNDS):
        grandparent = parent.gather(1, parent)
        lowest = grandparent.gather(1, near.flatten(1)).view(near.shape).amin(1)
        parent = parent.scatter_reduce(1, parent, lowest, "amin").minimum(lowest)
    return parent


def _neighbours(values: Tensor) -> Tensor:
    """`[B, 9, H * W]`: a cell's index and those of its neighbours, where their value is the cell's.

    In the place of others, and around cells below 0, stands the cell's own index.
    """
    height, width = values.shape[1:]
    cell = torch.arange(height * width, device=values.device).view(1, height, width)
    same = (_windows(values) == values[..., None, None]) & (values >= 0)[..., None, None]
    near = torch.where(same, _windows(cell), cell[..., None, None])
    return near.flatten(3).flatten(1, 2).transpose(1, 2)


def _windows(values: Tensor) -> Tensor:
    """The 3 x 3 cells around each, `[B, H, W, 3, 3]` of `[B, H, W]`; -1 beyond the edge."""
    return F.pad(values, (1, 1, 1, 1), value=-1).unfold(1, 3, 1).unfold(2, 3, 1)
