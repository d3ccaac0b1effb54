"""A time step read by box through tiles of whole rows."""

from collections.abc import Callable

import numpy as np

from objclass.compute.lru import ByteLRU
from objclass.compute.slabs import Box
from objclass.core import AnyArray

TILE_VOXELS = 1 << 18
"""Voxels of a separately compressed part of a slab on scratch: a box reads little more than it needs."""


class Tiles:
    """A time step read by box through tiles of whole rows; the most recently used tiles are cached.

    Parameters
    ----------
    shape
        z, y, x.
    step
        Planes and rows of a tile.
    load
        Reads a tile: its pixels, axes z, y, x and possibly more.
    keep
        Maximum bytes of cached tiles.
    """

    def __init__(
        self, shape: tuple[int, int, int], step: tuple[int, int], load: Callable[[Box], AnyArray], keep: int
    ) -> None:
        self.shape = shape
        self._step, self._load = step, load
        self._kept = ByteLRU(keep)

    def __getitem__(self, box: Box) -> AnyArray:
        """The pixels of a box, read-only."""
        (planes, rows), (z, y, _) = self._step, box
        down = range(z.start // planes, max(-(-z.stop // planes), z.start // planes + 1))
        along = range(y.start // rows, max(-(-y.stop // rows), y.start // rows + 1))
        if len(down) == len(along) == 1:
            return self._part(down[0], along[0], box)
        # copied, since a view would keep the whole tile in memory
        layers = [np.concatenate([self._part(i, j, box).copy() for j in along], axis=1) for i in down]
        return np.concatenate(layers)

    def _part(self, i: int, j: int, box: Box) -> AnyArray:
        """The part of the box in a tile."""
        (planes, rows), (z, y, x) = self._step, box
        tile = self._tile(i, j)
        return tile[
            max(z.start - i * planes, 0) : z.stop - i * planes,
            max(y.start - j * rows, 0) : y.stop - j * rows,
            x,
        ]

    def _tile(self, i: int, j: int) -> AnyArray:
        return self._kept.get((i, j), lambda: self._load(self._place(i, j)))

    def _place(self, i: int, j: int) -> Box:
        (planes, rows), (z, y, x) = self._step, self.shape
        return (
            slice(i * planes, min((i + 1) * planes, z)),
            slice(j * rows, min((j + 1) * rows, y)),
            slice(0, x),
        )
