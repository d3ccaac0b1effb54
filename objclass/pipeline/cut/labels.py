"""The label image of a time step, read from the files of its parts."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objclass.compute.context import Context
from objclass.compute.lru import ByteLRU
from objclass.compute.slabs import Box
from objclass.compute.tiles import Tiles
from objclass.core import AnyArray, IntArray
from objclass.pipeline.cut.files import read_array, read_index, read_tile, write_array, write_labels
from objclass.pipeline.cut.parts import Parts

Ids = NDArray[np.uint32]

LABELS, CORES = "labels", "cores"
"""Kinds of label images of a part."""

INDEX_BYTES = 1 << 24
"""Maximum bytes of indices of files that are kept."""

OWN, FINAL, IS_FIRST = range(3)
"""What is known of open components: their id in the part, that in the time step, whether the object begins with it."""


class PartFiles:
    """The files of the parts of a time step; it pickles.

    Parameters
    ----------
    folder
        Where they are.
    t
        The time step.
    parts
        How it is cut.
    """

    def __init__(self, folder: str, t: int, parts: Parts) -> None:
        self.folder, self.t, self.parts = folder, t, parts
        self._indices = ByteLRU(INDEX_BYTES)

    def __reduce__(self) -> tuple[Any, ...]:
        return PartFiles, (self.folder, self.t, self.parts)

    def path(self, kind: str, number: int) -> str:
        """The file of a part."""
        return os.path.join(self.folder, f"{self.t}-{number}.{kind}")

    def write(self, number: int, labels: Any, count: int, context: Context, kind: str = LABELS) -> None:
        """Write the label image of a part, read by box (z, y, x), with ids 1 … ``count``."""
        tiles = self.parts.tiles(self.parts.slabs[number])
        write_labels(self.path(kind, number), labels, tiles, count, context)

    def index(self, number: int, kind: str = LABELS) -> IntArray:
        """What is known of the tiles of a part."""
        down, along = self.parts.grid(self.parts.slabs[number])
        return self._indices.get((number, kind), lambda: read_index(self.path(kind, number), down * along))

    def count(self, number: int) -> int:
        """Number of ids of a part."""
        return int(self.index(number)[-1, 0])

    def tile(self, box: Box, kind: str = LABELS) -> Ids:
        """A tile, given by its box in the time step, with the ids of its part."""
        tile = np.empty([side.stop - side.start for side in box], np.uint32)
        self.fill(tile, box, kind)
        return tile

    def fill(self, tile: Ids, box: Box, kind: str = LABELS) -> None:
        """Fill a contiguous array with a tile."""
        number = self.parts.holder(box)
        part, (planes, rows) = self.parts.slabs[number], self.parts.tile
        _, along = self.parts.grid(part)
        at = (box[0].start - part.z) // planes * along + (box[1].start - part.y) // rows
        read_tile(self.path(kind, number), self.index(number, kind)[at], tile)

    def write_known(self, number: int, known: IntArray) -> None:
        """Write the ids of the open components of a part (3, n): `OWN`, `FINAL`, `IS_FIRST`."""
        write_array(self.path("npy", number), known.astype(np.uint32))

    def known(self, number: int) -> IntArray:
        """What `write_known` wrote."""
        return read_array(self.path("npy", number)).astype(np.int64)


def own_ids(known: IntArray, count: int) -> IntArray:
    """The ids of a part, of ``count``, with which an object begins, ascending; their order is that of their final ids."""
    begins = np.ones(count + 1, bool)
    begins[0] = False
    begins[known[OWN]] = known[IS_FIRST] > 0
    return np.flatnonzero(begins)


def final_ids(known: IntArray, count: int, before: int) -> Ids:
    """The ids in the time step of the ids 0 … ``count`` of a part; so many objects come ``before`` those of the part."""
    own = own_ids(known, count)
    table = np.zeros(count + 1, np.uint32)
    table[own] = np.arange(before + 1, before + len(own) + 1)
    table[known[OWN]] = known[FINAL]
    return table


class PartLabels:
    """The label image of a time step (z, y, x), indexed by three slices with bounds; it pickles.

    Parameters
    ----------
    files
        The files of its parts.
    before
        Number of objects that come before those of each part.
    keep
        Maximum bytes of cached tiles.
    """

    def __init__(self, files: PartFiles, before: Sequence[int], keep: int) -> None:
        self.files, self.shape = files, files.parts.shape
        self._before, self._keep = before, keep
        parts = files.parts
        self._tables = ByteLRU(self._keep)
        self._tiles = Tiles(parts.shape, parts.tile, self._load, self._keep)

    def __getitem__(self, box: Box) -> AnyArray:
        """The labels of a box, read-only."""
        return self._tiles[box]

    def _load(self, tile: Box) -> AnyArray:
        number = self.files.parts.holder(tile)
        table = self._tables.get(number, lambda: self.table(number))
        return np.take(table, self.files.tile(tile))

    def table(self, number: int) -> Ids:
        """The final ids of the ids of a part."""
        return final_ids(self.files.known(number), self.files.count(number), self._before[number])

    def __reduce__(self) -> tuple[Any, ...]:
        return PartLabels, (self.files, self._before, self._keep)
