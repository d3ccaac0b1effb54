"""Stores for a label image that is made slab by slab: in memory, or on scratch."""

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from objclass.compute.context import Context
from objclass.compute.kernels import Kernel
from objclass.compute.limits import CACHED_TILE_BYTES
from objclass.compute.scratch import Scratch
from objclass.compute.slabs import Box, Slab
from objclass.compute.tiles import TILE_VOXELS, Tiles
from objclass.core import AnyArray


class HeldLabels:
    """A label image in memory, made slab by slab."""

    def __init__(self, shape: tuple[int, int, int], cut: Sequence[Slab], context: Context) -> None:
        self._cut, self._context, self._shape = cut, context, shape
        # not zeros: these are cleared page by page, which takes longer than filling the array
        self._image = np.empty(shape if len(cut) > 1 else (0, 0, 0), np.uint32)

    def room(self, number: int) -> NDArray[np.uint32] | None:
        """The array for the labels of a slab; `write` need not copy them then."""
        return self.plain(number) if len(self._cut) > 1 else None

    def write(self, number: int, labels: NDArray[np.uint32]) -> None:
        """Store a slab, with its own ids from 1."""
        if len(self._cut) == 1:
            self._image = labels
        elif not np.may_share_memory(self._image, labels):
            self.plain(number)[:] = labels

    def plain(self, number: int) -> NDArray[np.uint32]:
        """A slab with its own ids."""
        return self._image[self._cut[number].within(self._shape)]

    def finish(self, ids: Sequence[NDArray[np.uint32]]) -> NDArray[np.uint32]:
        """The label image, in which the ids 0 … n of each slab are replaced by ``ids[number]``."""
        compiled = renumbering.choose(self._image.size * self._context.limits.images)

        def finish_slab(number: int) -> None:
            table, labels = ids[number], self.plain(number)
            if np.array_equal(table, np.arange(len(table))):
                return
            if compiled:
                compiled(labels.reshape(-1), table, labels.size)
            else:
                labels[:] = np.take(table, labels)

        for _ in self._context.ordered(finish_slab, range(len(self._cut))):
            pass
        return self._image


def renumber(labels: NDArray[np.uint32], table: NDArray[np.uint32], count: int) -> None:
    """``labels = table[labels]`` in place, for ``count`` voxels."""
    for i in range(count):
        labels[i] = table[labels[i]]


renumbering = Kernel(
    renumber,
    repays_loading=20_000_000,
    repays_compiling=100_000_000,
    lengths=lambda labels, table, count: {"labels": count},
)


class PackedLabels:
    """A label image on scratch, made slab by slab, its tiles compressed."""

    def __init__(self, shape: tuple[int, int, int], cut: Sequence[Slab], context: Context) -> None:
        first = cut[0]
        planes, rows = first.stop_z - first.z, first.stop_y - first.y
        self._cut, self._shape = cut, shape
        self._rows = rows if rows < shape[1] else min(max(TILE_VOXELS // (planes * shape[2]), 1), rows)
        self._step = planes, self._rows
        self._keep = context.limits.share(CACHED_TILE_BYTES)
        self._scratch = Scratch(self._keep, context.scratch)

    def room(self, _: int) -> None:
        """None: labels are compressed."""

    def write(self, number: int, labels: NDArray[np.uint32]) -> None:
        """Store a slab, with its own ids from 1."""
        slab = self._cut[number]
        for y in range(slab.y, slab.stop_y, self._rows):
            self._scratch.put((slab.z, y), labels[:, y - slab.y : y - slab.y + self._rows])

    def plain(self, number: int) -> NDArray[np.uint32]:
        """A slab with its own ids."""
        slab = self._cut[number]
        z, _, x = slab.within(self._shape)
        ends = [(y, min(y + self._rows, slab.stop_y)) for y in range(slab.y, slab.stop_y, self._rows)]
        return np.concatenate([self._unpack((z, slice(*end), x)) for end in ends], axis=1)

    def _unpack(self, tile: Box) -> NDArray[np.uint32]:
        z, y, x = tile
        return self._scratch.get((z.start, y.start), (z.stop - z.start, y.stop - y.start, x.stop), np.uint32)

    def finish(self, ids: Sequence[NDArray[np.uint32]]) -> Tiles:
        """The label image, in which the ids 0 … n of each slab are replaced by ``ids[number]``."""
        tables = {(slab.z, slab.y): table for slab, table in zip(self._cut, ids, strict=True)}
        are_rows = self._rows == self._cut[0].stop_y - self._cut[0].y

        def load(tile: Box) -> AnyArray:
            table = tables[tile[0].start, tile[1].start if are_rows else 0]
            return np.take(table, self._unpack(tile))

        return Tiles(self._shape, self._step, load, self._keep)


def label_image(
    shape: tuple[int, int, int], cut: Sequence[Slab], context: Context
) -> HeldLabels | PackedLabels:
    """An empty store for a label image: in memory if the limits allow it, else on scratch."""
    if context.limits.holds(prod(shape) * np.dtype(np.uint32).itemsize):
        return HeldLabels(shape, cut, context)
    return PackedLabels(shape, cut, context)
