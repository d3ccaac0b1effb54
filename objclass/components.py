"""The components: a label image that is made slab by slab, and what touches over the seams.

The slabs have ids of their own, 0 and 1 … n. When all are there, components of several slabs are joined by
union-find, and a table for each slab says what its ids become.
"""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objclass.blocks import KEPT_TILES, TILE_VOXELS, Box, Limits, Scratch, Slab, Tiles, ordered
from objclass.core import AnyArray, IntArray
from objclass.kernels import Kernels


class HeldLabels:
    """A label image in memory, made slab by slab."""

    def __init__(self, shape: tuple[int, int, int], cut: Sequence[Slab], limits: Limits) -> None:
        self._cut, self._limits, self._shape = cut, limits, shape
        # not zeros: these come page by page, which takes longer than to fill them
        self._image = np.empty(shape if len(cut) > 1 else (0, 0, 0), np.uint32)

    def write(self, number: int, labels: NDArray[np.uint32]) -> None:
        """Put down a slab, with ids of its own from 1."""
        if len(self._cut) == 1:
            self._image = labels
        else:
            self._image[self._cut[number].within(self._shape)] = labels

    def plain(self, number: int) -> NDArray[np.uint32]:
        """A slab with its own ids."""
        return self._image[self._cut[number].within(self._shape)]

    def finish(self, ids: Sequence[NDArray[np.uint32]]) -> NDArray[np.uint32]:
        """The image, where the ids 0 … n of each slab have become ``ids[number]``."""
        compiled = kernel.choose(self._image.size)

        def finish_slab(number: int) -> None:
            table, labels = ids[number], self.plain(number)
            if np.array_equal(table, np.arange(len(table))):
                return
            if compiled:
                compiled(labels.reshape(-1), table, labels.size)
            else:
                labels[:] = np.take(table, labels)

        for _ in ordered(finish_slab, range(len(self._cut)), self._limits.jobs):
            pass
        return self._image


kernel = Kernels(
    globals(),
    repays_loading=20_000_000,
    repays_compiling=100_000_000,
    signature=("uint32*", "uint32*", "int64"),
)


@kernel
def renumber(labels: AnyArray, table: AnyArray, count: int) -> None:
    """``labels = table[labels]`` in place, of ``count`` voxels."""
    for i in range(count):
        labels[i] = table[labels[i]]


class PackedLabels:
    """A label image on scratch, made slab by slab, its tiles packed."""

    def __init__(self, shape: tuple[int, int, int], cut: Sequence[Slab], limits: Limits) -> None:
        first = cut[0]
        planes, rows = first.stop_z - first.z, first.stop_y - first.y
        self._cut, self._shape = cut, shape
        self._rows = rows if rows < shape[1] else min(max(TILE_VOXELS // (planes * shape[2]), 1), rows)
        self._step = planes, self._rows
        self._keep = limits.share(KEPT_TILES)
        self._scratch = Scratch(self._keep)

    def write(self, number: int, labels: NDArray[np.uint32]) -> None:
        """Put down a slab, with ids of its own from 1."""
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
        """The image, where the ids 0 … n of each slab have become ``ids[number]``."""
        tables = {(slab.z, slab.y): table for slab, table in zip(self._cut, ids, strict=True)}
        are_rows = self._rows == self._cut[0].stop_y - self._cut[0].y

        def load(tile: Box) -> AnyArray:
            table = tables[tile[0].start, tile[1].start if are_rows else 0]
            return np.take(table, self._unpack(tile))

        return Tiles(self._shape, self._step, load, self._keep)


def label_image(
    shape: tuple[int, int, int], cut: Sequence[Slab], limits: Limits
) -> HeldLabels | PackedLabels:
    """A label image that is about to be made: in memory if the limits allow it, else on scratch."""
    holds = limits.holds(prod(shape) * np.dtype(np.uint32).itemsize)
    return (HeldLabels if holds else PackedLabels)(shape, cut, limits)


class Components:
    """Connected components of an image that comes slab by slab, in scan order.

    Within a slab they are labelled already, 1 … n by their first voxel; here those of equal value that touch
    over a seam (by direct neighbours) become one.

    Parameters
    ----------
    labels
        Holds the slabs.
    cut
        The slabs.
    """

    def __init__(self, labels: HeldLabels | PackedLabels, cut: Sequence[Slab]) -> None:
        self._labels, self._cut = labels, cut
        self._starts = [0]
        self._pairs: list[IntArray] = []
        self._last: NDArray[np.uint32] | None = None
        self._values: list[AnyArray] = []

    @property
    def count(self) -> int:
        """Components so far; those in several slabs count in each."""
        return self._starts[-1]

    def add(self, labels: NDArray[np.uint32], count: int, values: Any = 1) -> None:
        """The next slab: its labels 1 … ``count``; ``values``, of the same shape, or one for all of them."""
        number = len(self._starts) - 1
        slab = self._cut[number]
        if slab.y > 0:  # rows of one plane
            self._join(number - 1, self._last_of(number - 1)[:, -1], labels[:, 0], _face(values, 1))
        if slab.z > 0:
            above = next(i for i in range(number - 1, -1, -1) if self._cut[i].y == slab.y)
            self._join(above, self._last_of(above)[-1], labels[0], _face(values, 0))
        self._starts.append(self.count + count)
        self._last = labels
        values = np.asarray(values)
        by_label = np.full(count + 1, values if values.ndim == 0 else 0, values.dtype)
        if values.ndim:
            by_label[labels.ravel()] = values.ravel()
        self._values.append(by_label)

    def _last_of(self, number: int) -> NDArray[np.uint32]:
        if number == len(self._starts) - 2 and self._last is not None:
            return self._last
        return self._labels.plain(number)

    def _join(self, above: int, before: NDArray[np.uint32], after: NDArray[np.uint32], values: Any) -> None:
        """Remember which components of a slab ``above`` touch which of the present one."""
        touch = (before > 0) & (after > 0) & (self._values[above][before] == values)
        if not touch.any():
            return
        pairs = np.unique(before[touch].astype(np.uint64) << np.uint64(32) | after[touch])
        a = (pairs >> np.uint64(32)).astype(np.int64) - 1 + self._starts[above]
        b = (pairs & np.uint64(0xFFFFFFFF)).astype(np.int64) - 1 + self.count
        self._pairs.append(np.stack([a, b]))

    def roots(self) -> IntArray:
        """The first part of each component, for each of its parts (from 0, over all slabs)."""
        return roots(self.count, np.concatenate([np.zeros((2, 0), np.int64), *self._pairs], axis=1))

    def tables(self, ids: NDArray[np.uint32]) -> list[NDArray[np.uint32]]:
        """For each slab what its labels 0 … n become, if all parts, in order, become ``ids``."""
        zero = np.zeros(1, np.uint32)
        ends = zip(self._starts[:-1], self._starts[1:], strict=True)
        return [np.concatenate([zero, ids[start:stop]]) for start, stop in ends]


def _face(values: Any, axis: int) -> Any:
    """The first layer along an axis, if there is more than one value."""
    return values.take(0, axis) if np.ndim(values) else values


def roots(count: int, pairs: IntArray) -> IntArray:
    """Union-find: the least member of the set of each of 0 … ``count`` - 1, where pairs (2, n) are joined.

    Examples
    --------
    >>> roots(5, np.array([[3, 1], [4, 3]]))
    array([0, 1, 2, 1, 1])
    """
    parent = np.arange(count)
    a, b = pairs
    while len(a):
        a, b = parent[a], parent[b]
        apart = a != b
        a, b = a[apart], b[apart]
        np.minimum.at(parent, np.maximum(a, b), np.minimum(a, b))
        while not np.array_equal(above := parent[parent], parent):
            parent = above
    return parent


def numbered(kept: NDArray[np.bool_], root: IntArray) -> tuple[NDArray[np.uint32], int]:
    """Ids 1 … n of the kept components by their first part, for all parts (0 for the others), and n."""
    first = kept & (root == np.arange(len(root)))
    ids = np.cumsum(first).astype(np.uint32)
    return np.where(kept[root], ids[root], np.uint32(0)), int(first.sum())
