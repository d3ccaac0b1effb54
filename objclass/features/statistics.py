"""Statistics: what features are made of, and how each is gathered from the voxels.

A statistic is of one of four kinds, and its kind says how it is computed:

`Merged`
    ``scan(voxels) -> S`` and ``S + S -> S``: any blocks, in any order.
`Folded`
    ``state.fold(voxels) -> state``: the voxels of each object come in scan order (x fastest), block
    after block. vigra's running sums need this: without their order the last bits, and for
    symmetric objects the axes, would be others.
`Derived`
    ``of(done)``: from finished statistics, without pixels.
`PerObject`
    ``of(crop)``: each object whole, with ``reach`` voxels around it.

``after`` names the statistics that must be finished before.

Sums over voxels are made with ``np.bincount(rows, weights)``, which adds one by one in the order of
its input: the sequential sum that the definitions ask for, at the cost of a vectorised one.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from objclass.core import AnyArray, FloatArray, IntArray
from objclass.features import folding
from objclass.features.eigen import eigensystems
from objclass.features.folding import Fold

FLT_MAX = float(np.finfo(np.float32).max)
BINS = 64
TABLE = 1 << 22
"""Grey values of all objects together for which powers are kept."""
TABLE_PAYS = 4
"""From as many voxels for each grey value on."""


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
        Extents of a voxel, (y, x) or (z, y, x); empty where they are not known.
    """

    count: int
    rows: NDArray[np.intp]
    raw: AnyArray
    positions: tuple[IntArray, ...] = ()
    common_range: bool = True
    spacing: tuple[float, ...] = ()

    @cached_property
    def first(self) -> NDArray[np.intp]:
        """Index of the first voxel of each object that has one here."""
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
        """First voxel of each line (those of an object with the same y and z), and each voxel's line."""
        changes = np.ones(len(self.rows), bool)
        changes[1:] = self.rows[1:] != self.rows[:-1]
        for p in self.positions[1:]:
            changes[1:] |= p[1:] != p[:-1]
        return np.flatnonzero(changes), np.cumsum(changes) - 1

    def local(self, low: IntArray) -> list[IntArray]:
        """Coordinates x, y(, z) from the corners ``low`` (n, d) of their objects on."""
        if self._corner.get("low") is not low:
            positions = [p - self.of_each(low[:, a]) for a, p in enumerate(self.positions)]
            self._corner.update(low=low, positions=positions)
        return self._corner["positions"]

    @cached_property
    def _corner(self) -> dict[str, Any]:
        """What `local` has answered last: several statistics ask for the same."""
        return {}

    def of_each(self, values: AnyArray) -> AnyArray:
        """What belongs to the object of each voxel, of ``values`` (n,) of the objects."""
        return np.repeat(values[self.present], self.sizes)

    @cached_property
    def ordinal(self) -> FloatArray:
        """1, 2, 3 … within each object."""
        return np.arange(1.0, len(self.rows) + 1) - np.repeat(self.first.astype(float), self.sizes)

    @cached_property
    def values(self) -> FloatArray:
        """Pixel values as ilastik sees them: rounded to float32; shape (channels, voxels)."""
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
        """Sequential sum of the values of each object, going on from ``carry``."""
        if carry is None or not carry.any():
            # of no voxels numpy's sums are integers
            return np.bincount(self.rows, values, self.count).astype(np.float64, copy=False)
        rows = np.concatenate([np.arange(self.count), self.rows])
        return np.bincount(rows, np.concatenate([carry, values]), self.count)

    def running(self, values: AnyArray, carry: FloatArray, *, exact: bool) -> FloatArray:
        """Sequential sums up to and including each voxel, going on from ``carry``.

        ``exact`` says that the values are integers whose sums stay below 2**53, so that the order
        does not matter and one pass over all objects does.
        """
        if exact:
            total = np.cumsum(values, dtype=np.float64)
            before = total[self.first] - values[self.first]
            return total + np.repeat(carry[self.present] - before, self.sizes)
        result = np.empty(len(values))
        # A matrix row for each object, objects of like size together: accumulate restarts by row.
        size_class = np.frexp(self.sizes.astype(float))[1]
        for power in np.unique(size_class):
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
    """A slab of a time step as it is read: whole lines along x.

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
        Voxels of the whole time step.
    ndim
        2 or 3.
    spacing
        Extents of a voxel, (y, x) or (z, y, x).
    """

    labels: NDArray[np.uint32]
    raw: AnyArray
    origin: tuple[int, int, int]
    count: int
    total: int
    ndim: int
    spacing: tuple[float, ...] = ()

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
                np.take(pixels[:, c], index, out=raw[c], mode="clip")  # without a copy to fall back on
        return Voxels(self.count, rows, raw, positions, spacing=self.spacing)

    @cached_property
    def nothing(self) -> Voxels:
        """No voxels, but all else."""
        none = np.zeros(0, np.intp)
        raw = np.empty((self.raw.shape[3], 0), self.raw.dtype)
        return Voxels(self.count, none, raw, (none,) * self.ndim, spacing=self.spacing)

    def choose(self) -> Any | None:
        """`folding.fold_part`, compiled, if it is the sooner one for the whole time step."""
        if self.raw.dtype.kind in "iu" and self.raw.dtype.itemsize > 4:
            return None  # float64, which kernels work with, cannot hold all of them
        return folding.kernel.choose(self.labels.size, self.total)


def box_of(low: IntArray, high: IntArray) -> tuple[slice, slice, slice]:
    """The region (z, y, x) from ``low`` to ``high`` (exclusive), given as x, y(, z)."""
    x, y, *z = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return (z[0] if z else slice(0, 1)), y, x


Done = Mapping[type["Statistic"], Any]
"""Finished statistics by type."""


class Statistic:
    """Base of the four kinds."""

    after: ClassVar[tuple[type["Statistic"], ...]] = ()
    pixels: ClassVar[bool] = True
    """Whether pixel values are looked at (not only where the objects are)."""

    def compiled(self, block: Block, done: Done) -> Fold | None:
        """What lets compiled code bring this state up to date in place; None if numpy is to do it.

        The state of a merged statistic that has it begins with ``start``, too.
        """
        return None


class Merged(Statistic):
    """Any blocks, any order."""

    @classmethod
    def start(cls, voxels: Voxels, done: Done) -> Self | None:
        """The statistic of no voxels, for those that are compiled."""
        return None

    @classmethod
    def scan(cls, voxels: Voxels, done: Done) -> Self:
        """The statistic of one block."""
        raise NotImplementedError

    def __add__(self, other: Self) -> Self:
        """The statistic of both blocks."""
        raise NotImplementedError


class Folded(Statistic):
    """Blocks in scan order."""

    @classmethod
    def start(cls, voxels: Voxels, done: Done) -> Self:
        """The state before the first block (``voxels`` shows counts and channels)."""
        raise NotImplementedError

    def fold(self, voxels: Voxels, done: Done) -> Self:
        """The state after this block."""
        raise NotImplementedError


class Derived(Statistic):
    """From finished statistics."""

    @classmethod
    def of(cls, done: Done) -> Self:
        """Compute it."""
        raise NotImplementedError


@dataclass(frozen=True)
class Crop:
    """One object whole.

    ``mask`` is True on the object, axes y, x or z, y, x; ``raw`` has these axes and the channel, or
    is None without raw data. ``origin`` are the coordinates of its first voxel in the same order;
    ``spacing`` the extents of a voxel.
    """

    mask: NDArray[np.bool_]
    raw: AnyArray | None
    origin: tuple[int, ...]
    spacing: tuple[float, ...]
    total: int = 0
    """Voxels of the crops of all objects of the time step."""

    @cached_property
    def quads(self) -> NDArray[np.intp]:
        """How often each pattern of 2 × 2 pixels occurs (16,), in 2D, counting those beyond the border.

        The numbers of patterns are sums of 1 (top left), 2 (top right), 4 and 8 (bottom).
        """
        height, width = self.mask.shape
        pixels = np.zeros((height + 2, width + 2), np.uint8)
        pixels[1:-1, 1:-1] = self.mask
        pairs = pixels[:, :-1] + 2 * pixels[:, 1:]
        return np.bincount((pairs[:-1] + 4 * pairs[1:]).ravel(), minlength=16)


@dataclass(frozen=True)
class PerObject(Statistic):
    """Numbers of each object from a crop of it: ``numbers`` has shape (objects, k)."""

    numbers: FloatArray
    reach: ClassVar[int] = 0

    @classmethod
    def of(cls, crop: Crop) -> Sequence[float]:
        """The numbers of one object."""
        raise NotImplementedError

    @classmethod
    def of_all(cls, frame: Any, extent: "Extent") -> FloatArray | None:
        """The numbers of all objects of a `Frame`, where that is sooner than one by one; else None."""
        return None

    @classmethod
    def width(cls, ndim: int, channels: int) -> int:
        """How many numbers `of` answers."""
        raise NotImplementedError


@dataclass(frozen=True)
class Extent(Merged):
    """Where each object is: voxel count (n,), first and last coordinates and their sums (n, d)."""

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
        """`folding.fold_extent`."""
        arrays = {"voxels": self.count, "first": self.low, "last": self.high, "places": self.total}
        return Fold(folding.EXTENT, arrays)

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


@dataclass(frozen=True)
class Intensity(Folded):
    """Sum, least and largest value, shape (channels, n); ``count`` (n,) the number of voxels.

    NaN counts in the sum (which becomes NaN) and is left out of the extremes. Without any value they
    are ±FLT_MAX, as in vigra.
    """

    count: FloatArray
    total: FloatArray
    low: FloatArray
    high: FloatArray

    @classmethod
    def start(cls, voxels: Voxels, done: Done) -> Self:
        """No voxels yet."""
        shape = len(voxels.raw), voxels.count
        return cls(np.zeros(voxels.count), np.zeros(shape), np.full(shape, FLT_MAX), np.full(shape, -FLT_MAX))

    def fold(self, voxels: Voxels, done: Done) -> Self:
        """Add a block."""
        channels = range(len(voxels.raw))

        def extremes(ufunc: np.ufunc, start: FloatArray, empty: float) -> FloatArray:
            here = [voxels.reduce(ufunc, voxels.values[c], empty) for c in channels]
            return ufunc(start, np.array(here).reshape(start.shape)) + 0.0  # never -0

        def total(c: int) -> FloatArray:
            if voxels.integral:  # whatever the order
                return self.total[c] + voxels.reduce(np.add, voxels.values[c], 0)
            return voxels.sums(voxels.values[c], self.total[c])

        return replace(
            self,
            count=self.count + voxels.counts,
            total=np.array([total(c) for c in channels]).reshape(self.total.shape),
            low=extremes(np.fmin, self.low, FLT_MAX),
            high=extremes(np.fmax, self.high, -FLT_MAX),
        )

    def compiled(self, block: Block, done: Done) -> Fold | None:
        """`folding.fold_intensity`."""
        arrays = {"count": self.count, "total": self.total, "low": self.low, "high": self.high}
        return Fold(folding.INTENSITY, arrays)

    @property
    def mean(self) -> FloatArray:
        """Mean values (channels, n)."""
        return self.total / self.count


@dataclass(frozen=True)
class Spread(Folded):
    """vigra's running sum of squared deviations, M2 of shape (channels, n).

    With k voxels seen and s their sum: M2 += k / (k - 1) · (s / k - x)².
    """

    count: FloatArray
    total: FloatArray
    m2: FloatArray

    @classmethod
    def start(cls, voxels: Voxels, done: Done) -> Self:
        """No voxels yet."""
        shape = len(voxels.raw), voxels.count
        return cls(np.zeros(voxels.count), np.zeros(shape), np.zeros(shape))

    def fold(self, voxels: Voxels, done: Done) -> Self:
        """Add a block."""
        k = self.count[voxels.rows] + voxels.ordinal
        factor = np.divide(k, k - 1, out=np.zeros_like(k), where=k > 1)
        total, m2 = self.total.copy(), self.m2.copy()
        for c, x in enumerate(voxels.values):
            running = voxels.running(x, total[c], exact=voxels.integral)
            deviation = running / k - x
            # the first voxel adds nothing, whatever its value (0 · inf would be NaN)
            term = np.where(k > 1, factor * (deviation * deviation), 0)
            m2[c] = voxels.sums(term, m2[c])
            total[c] = voxels.last(running, total[c])
        return replace(self, count=voxels.last(k, self.count), total=total, m2=m2)

    def compiled(self, block: Block, done: Done) -> Fold | None:
        """`folding.fold_intensity`."""
        return Fold(folding.SPREAD, {"count": self.count, "total": self.total, "m2": self.m2})


def share(states: dict[type[Statistic], Any], folds: dict[type[Statistic], Fold], block: Block) -> None:
    """Let statistics that are made of the same sums have the same arrays."""
    if Intensity in folds and Spread in folds:
        intensity = states[Intensity]
        states[Spread] = replace(states[Spread], count=intensity.count, total=intensity.total)
        folds[Spread] = states[Spread].compiled(block, {})
    counted = Intensity if Intensity in folds else Spread
    if counted in folds and CoordinateScatter in folds:
        states[CoordinateScatter] = replace(states[CoordinateScatter], weight=states[counted].count)
        folds[CoordinateScatter] = states[CoordinateScatter].compiled(block, {})


@dataclass(frozen=True)
class Central(Folded):
    """Sums of third and fourth powers of deviations from the final mean, shape (channels, n)."""

    after: ClassVar = (Intensity,)

    m3: FloatArray
    m4: FloatArray

    @classmethod
    def start(cls, voxels: Voxels, done: Done) -> Self:
        """No voxels yet."""
        shape = len(voxels.raw), voxels.count
        return cls(np.zeros(shape), np.zeros(shape))

    def fold(self, voxels: Voxels, done: Done) -> Self:
        """Add a block."""
        m3, m4 = self.m3.copy(), self.m4.copy()
        for c in range(len(voxels.raw)):
            cubes, fourth = _powers_of_deviations(voxels, c, done[Intensity])
            m3[c] = voxels.sums(cubes, m3[c])
            m4[c] = voxels.sums(fourth, m4[c])
        return replace(self, m3=m3, m4=m4)

    def compiled(self, block: Block, done: Done) -> Fold | None:
        """`folding.fold_central`; for integers of many voxels the powers of each grey value are looked up."""
        intensity = done[Intensity]
        known, table = _table(intensity, possible=block.integral)
        arrays = {"mean": intensity.mean, "low": intensity.low, "known": known, "table": table}
        return Fold(folding.CENTRAL, {"m3": self.m3, "m4": self.m4, **arrays})


def _table(intensity: Intensity, *, possible: bool) -> tuple[IntArray, FloatArray]:
    """Rows of a table with powers of deviations from the mean for each grey value of an object.

    Returns
    -------
    numpy.ndarray
        The first row of each object (channels, n + 1). There are rows for objects that have several
        voxels for each grey value, as far as there is room.
    numpy.ndarray
        The table (k, 2): NaN in the first row of each object says that it is still to be filled.
    """
    low, high = intensity.low, intensity.high
    lengths = np.where((low <= high) & possible, high - low + 1, 0)
    lengths[lengths * TABLE_PAYS > intensity.count] = 0
    ends = np.cumsum(lengths.ravel()).reshape(lengths.shape)
    lengths[ends > TABLE] = 0
    ends = np.cumsum(lengths.ravel())
    known = np.zeros((len(low), low.shape[1] + 1), np.int64)
    known[:, 1:] = ends.reshape(lengths.shape)
    known[1:, 0] = known[:-1, -1]
    table = np.empty((known.max(initial=0), 2))
    table[known[:, :-1][lengths > 0]] = np.nan
    return known, table


@dataclass(frozen=True)
class Histogram(Merged):
    """Counts in 64 bins, shape (n, 64), for data of one channel; ``low``, ``high`` (n,): the range.

    The range is that of all objects of the time step, or of each sample in neighbourhoods. A range
    without extent is widened by 64 · 2.22e-16, which is lost from 128 on: then no bin is hit.
    """

    after: ClassVar = (Intensity,)

    bins: FloatArray
    low: FloatArray
    high: FloatArray

    @classmethod
    def scan(cls, voxels: Voxels, done: Done) -> Self:
        """Count the voxels of one block."""
        low, high = histogram_range(done[Intensity], common=voxels.common_range)
        scale = cls._scale(low, high)
        place = scale[voxels.rows] * (voxels.values[0] - low[voxels.rows])
        hit = np.isfinite(place)
        bins = np.minimum(place[hit].astype(np.intp), BINS - 1)
        flat = np.bincount(voxels.rows[hit] * BINS + bins, minlength=voxels.count * BINS)
        return cls(flat.reshape(voxels.count, BINS).astype(float), low, high)

    @classmethod
    def start(cls, voxels: Voxels, done: Done) -> Self:
        """No voxels yet."""
        low, high = histogram_range(done[Intensity], common=voxels.common_range)
        return cls(np.zeros((voxels.count, BINS)), low, high)

    def __add__(self, other: Self) -> Self:
        """Count the voxels of both."""
        return replace(self, bins=self.bins + other.bins)

    def compiled(self, block: Block, done: Done) -> Fold | None:
        """`folding.fold_histogram`."""
        arrays = {"least": self.low, "scale": self._scale(self.low, self.high), "bins": self.bins}
        return Fold(folding.HISTOGRAM, arrays)

    @staticmethod
    def _scale(low: FloatArray, high: FloatArray) -> FloatArray:
        """Bins for each unit; rounded before it is multiplied, as in vigra."""
        scale: FloatArray = BINS / (high - low)
        return scale


def histogram_range(intensity: Intensity, *, common: bool) -> tuple[FloatArray, FloatArray]:
    """Least and largest value of the bins for each object."""
    low, high = intensity.low[0], intensity.high[0]
    if common and len(low):
        low, high = np.full_like(low, low.min()), np.full_like(high, high.max())
    return low, np.where(low == high, high + BINS * np.finfo(float).eps, high)


@dataclass(frozen=True)
class Extremes(Folded):
    """Where the least and the largest value are, the first of equals; data of one channel.

    ``least`` and ``largest`` are values (n,), ``argmin`` and ``argmax`` coordinates (n, d).
    """

    least: FloatArray
    largest: FloatArray
    argmin: FloatArray
    argmax: FloatArray

    @classmethod
    def start(cls, voxels: Voxels, done: Done) -> Self:
        """No voxels yet."""
        shape = voxels.count, len(voxels.positions)
        return cls(
            np.full(voxels.count, np.inf),
            np.full(voxels.count, -np.inf),
            np.zeros(shape),
            np.zeros(shape),
        )

    def fold(self, voxels: Voxels, done: Done) -> Self:
        """Add a block; what was met earlier stays unless it is beaten."""
        x = voxels.values[0]
        places = np.column_stack(voxels.positions)

        def update(ufunc: np.ufunc, best: FloatArray, where: FloatArray) -> tuple[FloatArray, ...]:
            here = voxels.reduce(ufunc, x, np.nan)
            hits = np.flatnonzero(x == here[voxels.rows])
            rows, index = np.unique(voxels.rows[hits], return_index=True)
            better = here[rows] != ufunc(best[rows], best[rows])
            better &= ufunc(here[rows], best[rows]) == here[rows]
            best, where = best.copy(), where.copy()
            best[rows[better]] = here[rows[better]]
            where[rows[better]] = places[hits[index[better]]]
            return best, where

        least, argmin = update(np.fmin, self.least, self.argmin)
        largest, argmax = update(np.fmax, self.largest, self.argmax)
        return replace(self, least=least, largest=largest, argmin=argmin, argmax=argmax)


@dataclass(frozen=True)
class Scatter(Folded):
    """vigra's running scatter matrix of vectors: weight (n,), sums (n, d), matrix (n, d, d).

    For each voxel, w its weight and v its vector: weight += w; total += w·v; and, once weight > w,
    delta = total / weight - v; f = weight·w / (weight - w); matrix[i, j] += (f·delta[i])·delta[j]
    for i >= j, mirrored.
    """

    weight: FloatArray
    total: FloatArray
    matrix: FloatArray

    @classmethod
    def start(cls, voxels: Voxels, done: Done) -> Self:
        """No voxels yet."""
        n, d = voxels.count, len(cls.vectors(voxels))
        return cls(np.zeros(n), np.zeros((n, d)), np.zeros((n, d, d)))

    @classmethod
    def vectors(cls, voxels: Voxels) -> Sequence[AnyArray]:
        """The components of the vectors, each of length v."""
        raise NotImplementedError

    @classmethod
    def exact(cls, voxels: Voxels) -> bool:
        """Whether running sums are exact in any order."""
        return True

    @classmethod
    def weights(cls, voxels: Voxels) -> AnyArray | None:
        """The weights, None if all are 1."""
        return None

    def fold(self, voxels: Voxels, done: Done) -> Self:
        """Add a block."""
        vectors, w, exact = self.vectors(voxels), self.weights(voxels), self.exact(voxels)
        if w is None:
            weight = self.weight[voxels.rows] + voxels.ordinal
            above, numerator, denominator = weight > 1, weight, weight - 1
        else:
            weight = voxels.running(w, self.weight, exact=exact)
            above, numerator, denominator = weight > w, weight * w, weight - w
        factor = np.divide(numerator, denominator, out=np.zeros_like(weight), where=above)
        total, matrix, deltas = self.total.copy(), self.matrix.copy(), []
        for i, v in enumerate(vectors):
            running = voxels.running(v if w is None else w * v, total[:, i], exact=exact)
            deltas.append(np.where(above, running / weight - v, 0))
            total[:, i] = voxels.last(running, total[:, i])
            left = factor * deltas[i]
            for j in range(i + 1):
                matrix[:, i, j] = voxels.sums(left * deltas[j], matrix[:, i, j])
                matrix[:, j, i] = matrix[:, i, j]
        return replace(self, weight=voxels.last(weight, self.weight), total=total, matrix=matrix)

    @property
    def center(self) -> FloatArray:
        """Weighted mean vectors (n, d)."""
        return self.total / self.weight[:, None]


class CoordinateScatter(Scatter):
    """Of the coordinates x, y(, z), absolute in the image."""

    pixels: ClassVar[bool] = False

    def compiled(self, block: Block, done: Done) -> Fold | None:
        """`folding.fold_scatter`."""
        arrays = {"count": self.weight, "centers": self.total, "matrix": self.matrix}
        return Fold(folding.SCATTER, arrays)

    @classmethod
    def vectors(cls, voxels: Voxels) -> Sequence[AnyArray]:
        """Coordinates."""
        return voxels.positions


class WeightedScatter(Scatter):
    """Of the coordinates, weighted with the value of the only channel."""

    @classmethod
    def vectors(cls, voxels: Voxels) -> Sequence[AnyArray]:
        """Coordinates."""
        return voxels.positions

    @classmethod
    def exact(cls, voxels: Voxels) -> bool:
        """For integers of up to 16 bits."""
        return voxels.integral

    @classmethod
    def weights(cls, voxels: Voxels) -> AnyArray:
        """Values."""
        return voxels.values[0]


class ChannelScatter(Scatter):
    """Of the values of the channels."""

    @classmethod
    def vectors(cls, voxels: Voxels) -> Sequence[AnyArray]:
        """Values, a component for each channel."""
        return list(voxels.values)

    @classmethod
    def exact(cls, voxels: Voxels) -> bool:
        """For integers of up to 16 bits."""
        return voxels.integral


@dataclass(frozen=True)
class Axes(Derived):
    """Eigenvalues (n, d), descending, and eigenvectors (n, d, d), ``vectors[:, i, k]`` component i
    of the k-th, of a scatter matrix."""

    values: FloatArray
    vectors: FloatArray

    @classmethod
    def of(cls, done: Done) -> Self:
        """Decompose the scatter matrices."""
        return cls(*eigensystems(done[cls.after[0]].matrix))


class CoordinateAxes(Axes):
    """Of `CoordinateScatter`."""

    pixels: ClassVar[bool] = False
    after: ClassVar = (CoordinateScatter,)


class WeightedAxes(Axes):
    """Of `WeightedScatter`."""

    after: ClassVar = (WeightedScatter,)


class ChannelAxes(Axes):
    """Of `ChannelScatter`."""

    after: ClassVar = (ChannelScatter,)


@dataclass(frozen=True)
class Projected(Folded):
    """Centred vectors projected on their axes: sums of third and fourth powers, extremes; (n, d).

    q[k] = E[0, k]·c[0], then += E[1, k]·c[1] …; c = v - center.
    """

    scatter: ClassVar[type[Scatter]]

    q3: FloatArray
    q4: FloatArray
    low: FloatArray
    high: FloatArray

    @classmethod
    def start(cls, voxels: Voxels, done: Done) -> Self:
        """No voxels yet."""
        shape = done[cls.scatter].total.shape
        return cls(np.zeros(shape), np.zeros(shape), np.full(shape, np.inf), np.full(shape, -np.inf))

    def fold(self, voxels: Voxels, done: Done) -> Self:
        """Add a block."""
        axes, center = done[self.after[0]].vectors, done[self.scatter].center
        w = self.scatter.weights(voxels)
        centred = [v - center[voxels.rows, i] for i, v in enumerate(self.scatter.vectors(voxels))]
        new = replace(self, q3=self.q3.copy(), q4=self.q4.copy(), low=self.low.copy(), high=self.high.copy())
        for k in range(self.q3.shape[1]):
            q = axes[voxels.rows, 0, k] * centred[0]
            for i in range(1, len(centred)):
                q += axes[voxels.rows, i, k] * centred[i]
            cubes, fourth = third_and_fourth_power(q)
            new.q3[:, k] = voxels.sums(cubes if w is None else w * cubes, self.q3[:, k])
            new.q4[:, k] = voxels.sums(fourth if w is None else w * fourth, self.q4[:, k])
            new.low[:, k] = np.fmin(new.low[:, k], voxels.reduce(np.fmin, q, np.inf))
            new.high[:, k] = np.fmax(new.high[:, k], voxels.reduce(np.fmax, q, -np.inf))
        return new


class CoordinateProjected(Projected):
    """Of the coordinates."""

    pixels: ClassVar[bool] = False
    after: ClassVar = (CoordinateAxes,)
    scatter: ClassVar = CoordinateScatter


class WeightedProjected(Projected):
    """Of the coordinates, weighted."""

    after: ClassVar = (WeightedAxes,)
    scatter: ClassVar = WeightedScatter


class ChannelProjected(Projected):
    """Of the values of the channels."""

    after: ClassVar = (ChannelAxes,)
    scatter: ClassVar = ChannelScatter


def _powers_of_deviations(
    voxels: Voxels, channel: int, intensity: Intensity
) -> tuple[FloatArray, FloatArray]:
    """(x - mean)³ and (x - mean)⁴ of all voxels of a channel.

    Where objects have several voxels for each grey value between their extremes, the powers of each grey
    value are computed once for each object, and looked up.
    """
    x, mean = voxels.values[channel], intensity.mean[channel]
    if voxels.integral:
        low = intensity.low[channel]
        lengths = np.maximum(intensity.high[channel] - low + 1, 0)
        if 2 * lengths.sum() < len(x):
            table, first = _deviations(low, mean, lengths.astype(np.int64))
            cubes, fourth = third_and_fourth_power(table)
            place = x.astype(np.intp)
            place += np.repeat((first - low)[voxels.present].astype(np.intp), voxels.sizes)
            return cubes[place], fourth[place]
    return third_and_fourth_power(x - np.repeat(mean[voxels.present], voxels.sizes))


def _deviations(low: FloatArray, mean: FloatArray, lengths: IntArray) -> tuple[FloatArray, IntArray]:
    """Deviations of so many grey values from ``low`` on from the mean, and where each object's begin."""
    end = np.cumsum(lengths)
    first = end - lengths
    values = np.arange(lengths.sum()) + np.repeat(low - first, lengths)
    return values - np.repeat(mean, lengths), first


def third_and_fourth_power(q: FloatArray) -> tuple[FloatArray, FloatArray]:
    """q³ and q⁴ as libm's ``pow`` gives them (neither ``q*q*q`` nor a vectorised power does).

    For point-symmetric objects the true sum is 0, and the rounding of these powers is all that is left:
    ilastik's forests split on it. Dekker's products give the correctly rounded power and how close the
    exact one is to the middle of two floats; only there ``pow`` may round to the other side, so only
    there it is called.
    """
    q_parts = _split(q)
    square, square_rest = _product(q, q, q_parts, q_parts)
    parts = _split(square)
    cube, cube_rest = _product(square, q, parts, q_parts)
    fourth, fourth_rest = _product(square, square, parts, parts)
    cube_rest += square_rest * q
    fourth_rest += 2 * square * square_rest
    return _as_pow(q, 3.0, cube, cube_rest), _as_pow(q, 4.0, fourth, fourth_rest)


_POW = np.frompyfunc(math.pow, 2, 1)

MIDDLE = folding.MIDDLE
"""Beyond this part of the last digit ``pow``, right to 0.52 of it (glibc, musl), may round either way."""

TINY = folding.TINY
"""Below this, what rounding loses may be too small for floats."""

HALF_EPS = folding.HALF_EPS


def _as_pow(q: FloatArray, exponent: float, high: FloatArray, rest: FloatArray) -> FloatArray:
    """The sum of ``high`` and ``rest`` rounded as ``pow(q, exponent)`` rounds it."""
    power = np.where(np.isfinite(high), high + rest, high)
    error = np.abs((high - power) + rest)
    size = np.abs(power)
    # digit: the distance of floats here; 0 for powers of two, below which they are twice as dense
    digit = (size + size * HALF_EPS) - size
    doubtful = error > MIDDLE * digit
    doubtful |= size < TINY
    where = np.flatnonzero(doubtful)
    where = where[np.isfinite(power[where]) & (q[where] != 0)]
    power[where] = _POW(q[where], exponent)
    return power


def _product(
    a: FloatArray,
    b: FloatArray,
    a_parts: tuple[FloatArray, FloatArray],
    b_parts: tuple[FloatArray, FloatArray],
) -> tuple[FloatArray, FloatArray]:
    """The product rounded, and what the rounding lost (Dekker 1971)."""
    (a_high, a_low), (b_high, b_low) = a_parts, b_parts
    product = a * b
    rest = a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low)
    # beyond 1e300 splitting overflows: the rest is then far below what the sum can show
    rest[~np.isfinite(rest)] = 0
    return product, rest


def _split(a: FloatArray) -> tuple[FloatArray, FloatArray]:
    """High and low half of the digits (Veltkamp)."""
    scaled = a * 134217729.0  # 2**27 + 1
    high = scaled - (scaled - a)
    return high, a - high
