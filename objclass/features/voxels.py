"""Blocks of a time step, and their voxels grouped by object."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objclass.core import AnyArray, FloatArray, IntArray


@dataclass(frozen=True)
class Voxels:
    """Voxels of the objects of a time step (or of a block of it), grouped by object.

    Parameters
    ----------
    count
        Number of objects n in the whole time step.
    rows
        Object (from 0) of each voxel, ascending; in each object the voxels are in scan order.
    raw
        Pixel values as stored, shape (channels, voxels).
    positions
        Coordinates x, y(, z) in the whole image.
    common_range
        Whether histograms of all objects share their range (else each has its own).
    spacing
        Extents of a voxel, (y, x) or (z, y, x); empty if unknown.
    value_range
        The smallest and the largest value of all objects, if these are only some of them; for histograms.
    """

    count: int
    rows: NDArray[np.intp]
    raw: AnyArray
    positions: tuple[IntArray, ...] = ()
    common_range: bool = True
    spacing: tuple[float, ...] = ()
    value_range: tuple[float, float] | None = None

    @cached_property
    def first(self) -> NDArray[np.intp]:
        """Index of the first voxel of each object that has voxels here."""
        if not len(self.rows):
            return np.zeros(0, np.intp)
        return np.concatenate([[0], np.flatnonzero(np.diff(self.rows)) + 1])

    @cached_property
    def present(self) -> NDArray[np.intp]:
        """The objects that have voxels here."""
        return self.rows[self.first]

    @cached_property
    def sizes(self) -> NDArray[np.intp]:
        """Number of voxels of each object that is present."""
        return np.diff(self.first, append=len(self.rows))

    @cached_property
    def counts(self) -> NDArray[np.intp]:
        """Number of voxels of each object."""
        counts = np.zeros(self.count, np.intp)
        counts[self.present] = self.sizes
        return counts

    @cached_property
    def lines(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """First voxel of each line (voxels of an object with the same y and z), and the line of each voxel."""
        changes = np.ones(len(self.rows), bool)
        changes[1:] = self.rows[1:] != self.rows[:-1]
        for p in self.positions[1:]:
            changes[1:] |= p[1:] != p[:-1]
        return np.flatnonzero(changes), np.cumsum(changes) - 1

    def local(self, low: IntArray) -> list[IntArray]:
        """Coordinates x, y(, z) relative to the corners ``low`` (n, d) of their objects."""
        if self._corner.get("low") is not low:
            positions = [p - self.of_each(low[:, a]) for a, p in enumerate(self.positions)]
            self._corner.update(low=low, positions=positions)
        return self._corner["positions"]

    @cached_property
    def _corner(self) -> dict[str, Any]:
        """The last result of `local`, since several statistics need the same."""
        return {}

    def of_each(self, values: AnyArray) -> AnyArray:
        """For each voxel the value of its object, from ``values`` (n,) of the objects."""
        return np.repeat(values[self.present], self.sizes)

    @cached_property
    def ordinal(self) -> FloatArray:
        """1, 2, 3 … within each object."""
        return np.arange(1.0, len(self.rows) + 1) - np.repeat(self.first.astype(float), self.sizes)

    @cached_property
    def values(self) -> FloatArray:
        """Pixel values as in ilastik: rounded to float32; shape (channels, voxels)."""
        return self.raw.astype(np.float32).astype(np.float64)

    @cached_property
    def integral(self) -> bool:
        """Whether running sums of the values are exact in any order."""
        return self.raw.dtype.kind in "biu" and self.raw.dtype.itemsize <= 2

    def reduce(self, ufunc: np.ufunc, values: AnyArray, empty: float) -> AnyArray:
        """``ufunc`` over the voxels of each object, ``empty`` for objects without any."""
        result = np.full(self.count, empty, values.dtype)
        if len(self.first):
            result[self.present] = ufunc.reduceat(values, self.first)
        return result

    def sums(self, values: FloatArray, carry: FloatArray | None = None) -> FloatArray:
        """Sequential sum of the values of each object, continued from ``carry``."""
        if carry is None or not carry.any():
            # without voxels numpy's sums are integers
            return np.bincount(self.rows, values, self.count).astype(np.float64, copy=False)
        rows = np.concatenate([np.arange(self.count), self.rows])
        return np.bincount(rows, np.concatenate([carry, values]), self.count)

    def running(self, values: AnyArray, carry: FloatArray, *, exact: bool) -> FloatArray:
        """Sequential sums up to and including each voxel, continued from ``carry``.

        ``exact``: the values are integers whose sums stay below 2**53, so that the order does not
        matter, and all objects can be summed in one pass.
        """
        if exact:
            total = np.cumsum(values, dtype=np.float64)
            before = total[self.first] - values[self.first]
            return total + np.repeat(carry[self.present] - before, self.sizes)
        result = np.empty(len(values))
        # A matrix row for each object, objects of like size together: accumulate restarts by row.
        size_class = np.frexp(self.sizes.astype(float))[1]
        for power in np.flatnonzero(np.bincount(size_class)):
            chosen = np.flatnonzero(size_class == power)
            steps = np.arange(self.sizes[chosen].max())
            inside = steps < self.sizes[chosen][:, None]
            index = np.where(inside, self.first[chosen][:, None] + steps, 0)
            matrix = np.column_stack([carry[self.present[chosen]], values[index]])
            np.add.accumulate(matrix, axis=1, out=matrix)
            result[index[inside]] = matrix[:, 1:][inside]
        return result

    def last(self, values: FloatArray, carry: FloatArray) -> FloatArray:
        """The value at the last voxel of each object, ``carry`` for objects without any."""
        result = carry.copy()
        result[self.present] = values[self.first + self.sizes - 1]
        return result


@dataclass(frozen=True)
class Block:
    """A slab of a time step: whole lines along x.

    Parameters
    ----------
    labels
        Objects 1 … ``count``, axes z, y, x, C-contiguous.
    raw
        Pixels, axes z, y, x, c.
    origin
        Coordinates z, y, x of the first voxel.
    count
        Number of objects of the whole time step.
    total
        Number of voxels of all images of the run that are like this time step, to choose the formulation.
    ndim
        2 or 3.
    spacing
        Extents of a voxel, (y, x) or (z, y, x).
    value_range
        See `Voxels`.
    """

    labels: NDArray[np.uint32]
    raw: AnyArray
    origin: tuple[int, int, int]
    count: int
    total: int
    ndim: int
    spacing: tuple[float, ...] = ()
    value_range: tuple[float, float] | None = None

    @property
    def integral(self) -> bool:
        """Whether pixels are integers of up to 16 bits."""
        return self.raw.dtype.kind in "biu" and self.raw.dtype.itemsize <= 2

    @cached_property
    def voxels(self) -> Voxels:
        """The voxels of its objects.

        Runs along x are sorted by object, not voxels: there are far fewer of them.
        """
        flat = self.labels.ravel()
        _, height, width = self.labels.shape
        begins = np.ones(len(flat), bool)
        np.not_equal(flat[1:], flat[:-1], out=begins[1:])
        begins[::width] = True
        start = np.flatnonzero(begins)
        length = np.diff(start, append=len(flat))
        here = flat[start] > 0
        start, length = start[here], length[here]
        order = np.argsort(flat[start], kind="stable")
        start, length = start[order], length[order]
        line = start // width
        end = np.cumsum(length)

        def each(of_run: IntArray) -> IntArray:
            return np.repeat(of_run, length)

        count = np.arange(length.sum())
        x = count + each(start - line * width - end + length)
        y = each(line % height + self.origin[1])
        positions = (x, y) if self.ndim == 2 else (x, y, each(line // height + self.origin[0]))
        rows = each(flat[start].astype(np.intp) - 1)
        pixels = self.raw.reshape(len(flat), self.raw.shape[3])
        raw = np.empty((pixels.shape[1], len(rows)), pixels.dtype)
        if len(raw):
            index = count + each(start - end + length)
            for c in range(len(raw)):
                np.take(pixels[:, c], index, out=raw[c], mode="clip")  # fails rather than copy
        return Voxels(self.count, rows, raw, positions, spacing=self.spacing, value_range=self.value_range)

    @cached_property
    def nothing(self) -> Voxels:
        """The block without voxels."""
        none = np.zeros(0, np.intp)
        raw = np.empty((self.raw.shape[3], 0), self.raw.dtype)
        return Voxels(
            self.count,
            none,
            raw,
            (none,) * self.ndim,
            spacing=self.spacing,
            value_range=self.value_range,
        )
