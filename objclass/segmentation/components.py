"""Connected components over the seams of slabs.

Each slab has its own ids, 0 and 1 … n. When all slabs are labelled, components of several slabs are joined
by union-find, and a table for each slab maps its ids to the final ones.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from objclass.compute.slabs import Slab
from objclass.core import AnyArray, IntArray
from objclass.segmentation.label_store import HeldLabels, PackedLabels


class Components:
    """Connected components of an image that comes slab by slab, in scan order.

    Within a slab they are already labelled, 1 … n by their first voxel; here those of equal value that touch
    over a seam (by direct neighbours) are joined.

    Parameters
    ----------
    labels
        The store of the labels of the slabs.
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

    def add(self, labels: NDArray[np.uint32], count: int, values: AnyArray | None = None) -> None:
        """The next slab: its labels 1 … ``count``; the value of each label, from 0 on, unless all have the same."""
        values = np.ones(count + 1, np.uint8) if values is None else values
        number = len(self._starts) - 1
        slab = self._cut[number]
        if slab.y > 0:  # rows of one plane
            self._join(number - 1, self._last_of(number - 1)[:, -1], labels[:, 0], values)
        if slab.z > 0:
            above = next(i for i in range(number - 1, -1, -1) if self._cut[i].y == slab.y)
            self._join(above, self._last_of(above)[-1], labels[0], values)
        self._starts.append(self.count + count)
        self._last = labels
        self._values.append(values)

    def _last_of(self, number: int) -> NDArray[np.uint32]:
        if number == len(self._starts) - 2 and self._last is not None:
            return self._last
        return self._labels.plain(number)

    def _join(
        self, above: int, before: NDArray[np.uint32], after: NDArray[np.uint32], values: AnyArray
    ) -> None:
        """Record which components of a slab ``above`` touch which ones of the present slab."""
        touch = (before > 0) & (after > 0) & (self._values[above][before] == values[after])
        if not touch.any():
            return
        pairs = np.unique(before[touch].astype(np.uint64) << np.uint64(32) | after[touch])
        a = (pairs >> np.uint64(32)).astype(np.int64) - 1 + self._starts[above]
        b = (pairs & np.uint64(0xFFFFFFFF)).astype(np.int64) - 1 + self.count
        self._pairs.append(np.stack([a, b]))

    @property
    def values(self) -> AnyArray:
        """The value of each part of a component (from 0, over all slabs)."""
        return np.concatenate([values[1:] for values in self._values])

    def parts_of(self, number: int, labels: NDArray[np.uint32]) -> IntArray:
        """The parts of components (from 0, over all slabs) that labels of a slab belong to."""
        found = np.zeros(self._starts[number + 1] - self._starts[number] + 1, bool)
        found[labels.ravel()] = True
        return np.flatnonzero(found[1:]) + self._starts[number]

    def roots(self) -> IntArray:
        """The first part of each component, for each of its parts (from 0, over all slabs)."""
        return roots(self.count, np.concatenate([np.zeros((2, 0), np.int64), *self._pairs], axis=1))

    def tables(self, ids: NDArray[np.uint32]) -> list[NDArray[np.uint32]]:
        """For each slab the final ids of its labels 0 … n, where ``ids`` are those of all parts in order."""
        zero = np.zeros(1, np.uint32)
        ends = zip(self._starts[:-1], self._starts[1:], strict=True)
        return [np.concatenate([zero, ids[start:stop]]) for start, stop in ends]


def roots(count: int, pairs: IntArray) -> IntArray:
    """Union-find: the smallest member of the set of each of 0 … ``count`` - 1, where pairs (2, n) are joined.

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
