"""Size and position of each object."""

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from objclass.compute.kernels import kernel
from objclass.core import FloatArray, IntArray
from objclass.features.statistics.kinds import Done, Merged
from objclass.features.statistics.runs import COLUMNS, EXTENT, LENGTH, OBJECT, Fold, Ints, X
from objclass.features.voxels import Block, Voxels


@dataclass(frozen=True)
class Extent(Merged):
    """Size and position of each object: voxel count (n,), first and last coordinates and their sums (n, d)."""

    pixels: ClassVar[bool] = False

    count: IntArray
    low: IntArray
    high: IntArray
    total: IntArray

    @classmethod
    def scan(cls, voxels: Voxels, done: Done) -> Self:
        """The extent within one block."""
        none = cls.start(voxels, done)
        count = none.count
        count[voxels.present] = voxels.sizes
        for axis, p in enumerate(voxels.positions):
            for ufunc, result in ((np.minimum, none.low), (np.maximum, none.high), (np.add, none.total)):
                if len(p):
                    result[voxels.present, axis] = ufunc.reduceat(p, voxels.first)
        return none

    @classmethod
    def start(cls, voxels: Voxels, done: Done) -> Self:
        """No voxels yet."""
        far, shape = np.iinfo(np.int64).max, (voxels.count, len(voxels.positions))
        none = np.zeros(voxels.count, np.int64), np.zeros(shape, np.int64)
        return cls(none[0], np.full(shape, far), np.full(shape, -far), none[1])

    def compiled(self, block: Block, done: Done) -> Fold | None:
        """`fold_extent`."""
        arrays = {"voxels": self.count, "first": self.low, "last": self.high, "places": self.total}
        return Fold(EXTENT, arrays)

    def __add__(self, other: Self) -> Self:
        """The extent within both."""
        return replace(
            self,
            count=self.count + other.count,
            low=np.minimum(self.low, other.low),
            high=np.maximum(self.high, other.high),
            total=self.total + other.total,
        )

    @property
    def center(self) -> FloatArray:
        """Mean coordinates (n, d)."""
        return self.total / self.count[:, None]


@kernel
def fold_extent(
    runs: Ints, found: int, ndim: int, voxels: Ints, first: Ints, last: Ints, places: Ints
) -> None:
    """`Extent`: arrays (n,) and (n, d)."""
    for r in range(found):
        here = COLUMNS * r
        o, length = runs[here + OBJECT], runs[here + LENGTH]
        voxels[o] += length
        for axis in range(ndim):
            begin = runs[here + X + axis]
            end = begin + length - 1 if axis == 0 else begin
            at = o * ndim + axis
            first[at] = min(first[at], begin)
            last[at] = max(last[at], end)
            places[at] += begin * length
        places[o * ndim] += length * (length - 1) // 2
