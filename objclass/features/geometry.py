"""Boxes around objects, and the batches of objects that are read together.

Objects come in ascending order of their first voxel, so boxes of consecutive objects are near each other
along the slowest axis. If objects are dense, reading the box around many of them at once reads
each voxel about once.
"""

import math
from collections.abc import Iterator

import numpy as np

from objclass.core import IntArray


def box_of(low: IntArray, high: IntArray) -> tuple[slice, slice, slice]:
    """The region (z, y, x) from ``low`` to ``high`` (exclusive), given as x, y(, z)."""
    x, y, *z = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return (z[0] if z else slice(0, 1)), y, x


READ = 1 << 15
"""The overhead of a box, in voxels that could be processed in the same time."""


def batches(low: IntArray, high: IntArray, voxels: int) -> Iterator[range]:
    """Batches of consecutive objects whose common box has at most ``voxels`` voxels.

    If objects are sparse, the common box would be much larger than theirs: then each object is a batch.
    """
    volumes = np.prod(high - low, axis=1)
    for rows in _runs(low.tolist(), high.tolist(), voxels):
        of_all = np.prod(high[rows].max(axis=0) - low[rows].min(axis=0))
        if of_all <= 2 * np.maximum(volumes[rows], READ).sum():
            yield rows
        else:
            yield from (range(row, row + 1) for row in rows)


def _runs(low: list[list[int]], high: list[list[int]], voxels: int) -> Iterator[range]:
    start, bottom, top = 0, [0], [0]
    for row in range(len(low)):
        if row > start:
            bottom, top = list(map(min, bottom, low[row])), list(map(max, top, high[row]))
        if row == start or math.prod(b - a for a, b in zip(bottom, top, strict=True)) > voxels:
            if row > start:
                yield range(start, row)
            start, bottom, top = row, low[row], high[row]
    if low:
        yield range(start, len(low))


def together(low: IntArray, high: IntArray) -> tuple[IntArray, tuple[slice, slice, slice]]:
    """The box around all boxes: its first coordinates x, y, z, and the region (z, y, x)."""
    first, end = low.min(axis=0), high.max(axis=0)
    return columns_xyz(first[None], 0)[0], box_of(first, end)


def columns_xyz(coordinates: IntArray, z: int) -> IntArray:
    """Coordinates x, y, z (n, 3) from x, y(, z); those in 2D get the given ``z``."""
    missing = np.full((len(coordinates), 3 - coordinates.shape[1]), z)
    return np.concatenate([coordinates, missing], axis=1)
