"""The objects that begin in one part of a time step, wherever they go on."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from objclass.compute.context import Context
from objclass.compute.limits import CACHED_TILE_BYTES
from objclass.compute.slabs import Box, Slab
from objclass.compute.tiles import Tiles
from objclass.core import AnyArray
from objclass.images.window import common, is_within, placed, within
from objclass.pipeline.cut.files import holding
from objclass.pipeline.cut.labels import FINAL, OWN, Ids, PartFiles, own_ids
from objclass.segmentation.label_store import renumbering


@dataclass(frozen=True)
class Owner:
    """A part that measures the objects that begin in it.

    Parameters
    ----------
    number
        The part.
    before, count
        Number of objects that begin before it, and in it.
    members
        The other parts into which they reach.
    """

    number: int
    before: int
    count: int
    members: tuple[int, ...]

    @property
    def numbers(self) -> list[int]:
        """All parts with its objects, in scan order."""
        return sorted((self.number, *self.members))


class OwnLabels:
    """The label image of a time step (z, y, x) with the objects of one part alone, whose ids count from 1.

    It is indexed by three slices with bounds, and held in memory where the limits allow it.

    Parameters
    ----------
    files
        The files of the time step.
    owner
        The part.
    context
        Memory and threads.
    """

    def __init__(self, files: PartFiles, owner: Owner, context: Context) -> None:
        self.shape = files.parts.shape
        self._files, self._owner = files, owner
        self._tables = {number: self._table(number) for number in owner.numbers}
        self.slabs = [slab for number in owner.numbers for slab in self._slabs_of(number, context)] or [
            Slab(0, 1, 0, 1)
        ]
        """Where its objects are, in scan order; one row of the image if there are none."""
        self._tiles = Tiles(self.shape, files.parts.tile, self._load, context.limits.share(CACHED_TILE_BYTES))
        self._where = self._box()
        size = prod(side.stop - side.start for side in self._where) * np.dtype(np.uint32).itemsize
        self._held = self._filled(context) if context.limits.holds(size) else None

    def __getitem__(self, box: Box) -> AnyArray:
        """The labels of a box, read-only."""
        if self._held is None:
            return self._tiles[box]
        if is_within(box, self._where):
            return self._held[within(box, self._where)]
        found = np.zeros([side.stop - side.start for side in box], np.uint32)
        both = common(box, self._where)
        found[within(both, box)] = self._held[within(both, self._where)]
        return found

    def _table(self, number: int) -> Ids:
        """The ids of the objects, counted from 1, of the ids of a part; 0 for other objects."""
        known, owner = self._files.known(number), self._owner
        table = np.zeros(self._files.count(number) + 1, np.uint32)
        if number == owner.number:
            table[own_ids(known, len(table) - 1)] = np.arange(1, owner.count + 1)
        mine = known[:, (known[FINAL] > owner.before) & (known[FINAL] <= owner.before + owner.count)]
        table[mine[OWN]] = mine[FINAL] - owner.before
        return table

    def _slabs_of(self, number: int, context: Context) -> Iterator[Slab]:
        """Slabs of a part that have all of its objects, by the ids in its tiles."""
        part, (planes, rows) = self._files.parts.slabs[number], self._files.parts.tile
        down, along = self._files.parts.grid(part)
        ids = np.flatnonzero(self._tables[number])
        held: Any = holding(self._files.index(number), ids).reshape(down, along)
        for layers in _runs(held.any(axis=1)):
            z = part.z + layers.start * planes, min(part.z + layers.stop * planes, part.stop_z)
            across = [slice(0, along)] if part.stop_y - part.y == self.shape[1] else _runs(held[0])
            for some in across:
                y = part.y + some.start * rows, min(part.y + some.stop * rows, part.stop_y)
                shape = z[1] - z[0], y[1] - y[0], self.shape[2]
                for slab in context.limits.slabs(shape):
                    yield Slab(slab.z + z[0], slab.stop_z + z[0], slab.y + y[0], slab.stop_y + y[0])

    def _box(self) -> Box:
        """The box around the slabs."""
        ends = [(slab.z, slab.stop_z, slab.y, slab.stop_y) for slab in self.slabs]
        z, stop_z, y, stop_y = zip(*ends, strict=True)
        return slice(min(z), max(stop_z)), slice(min(y), max(stop_y)), slice(0, self.shape[2])

    def _filled(self, context: Context) -> Ids:
        """The labels in the box around the slabs."""
        held = np.zeros([side.stop - side.start for side in self._where], np.uint32)
        renumber = renumbering.choose(held.size * context.limits.images)

        def fill(tile: Box) -> None:
            both = common(tile, self._where)
            place = held[within(both, self._where)]
            if not place.size:
                return
            if renumber and both == tile and place.flags.c_contiguous:
                self._files.fill(place, tile)
                renumber(place.reshape(-1), self._tables[self._files.parts.holder(tile)], place.size)
            else:
                place[:] = self._load(tile)[within(both, tile)]

        parts = self._files.parts
        for number in self._owner.numbers:
            part = parts.slabs[number]
            tiles = [placed(tile, part) for tile in parts.tiles(part)]
            for _ in context.ordered(fill, tiles):
                pass
        return held

    def _load(self, tile: Box) -> AnyArray:
        """A tile, given by its box in the time step."""
        table = self._tables.get(self._files.parts.holder(tile))
        if table is None:
            return np.zeros([side.stop - side.start for side in tile], np.uint32)
        return np.take(table, self._files.tile(tile))


def _runs(held: AnyArray) -> list[slice]:
    """Stretches of True in a row of flags (n,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], held.astype(np.int8), [0]])))
    return [slice(a, b) for a, b in edges.reshape(-1, 2).tolist()]
