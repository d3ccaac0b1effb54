"""Sums, extremes, spread, powers and histograms of grey values.

Sums over voxels are made with ``np.bincount(rows, weights)``, which adds one by one in the order of
its input: the sequential sum of the definitions, at the cost of a vectorised one.
"""

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from objclass.compute.kernels import kernel
from objclass.core import FloatArray, IntArray
from objclass.features.statistics.kinds import Done, Folded, Merged
from objclass.features.statistics.powers import CUBES, FOURTHS, powers, third_and_fourth_power
from objclass.features.statistics.runs import (
    BATCH,
    CENTRAL,
    COLUMNS,
    FACTORS,
    HISTOGRAM,
    INTENSITY,
    LENGTH,
    OBJECT,
    SPREAD,
    START,
    SUMS,
    Floats,
    Fold,
    Ints,
    average,
)
from objclass.features.voxels import Block, Voxels

FLT_MAX = float(np.finfo(np.float32).max)

BINS = 64

EPS = 2.0**-52

TABLE = 1 << 22
"""Grey values of all objects together for which powers are kept."""

TABLE_PAYS = 4
"""From as many voxels for each grey value on."""


@dataclass(frozen=True)
class Intensity(Folded):
    """Sum, smallest and largest value, shape (channels, n); ``count`` (n,) the number of voxels.

    NaN counts in the sum (which becomes NaN) and is left out of the extremes. Without any value they
    are ±FLT_MAX, as in vigra.
    """

    count: FloatArray
    total: FloatArray
    low: FloatArray
    high: FloatArray
    value_range: tuple[float, float] | None = None
    """The extremes of the first channel in all objects of the time step, if these are only some of them."""

    @classmethod
    def start(cls, voxels: Voxels, done: Done) -> Self:
        """No voxels yet."""
        shape = len(voxels.raw), voxels.count
        none = np.zeros(voxels.count), np.zeros(shape)
        return cls(*none, np.full(shape, FLT_MAX), np.full(shape, -FLT_MAX), voxels.value_range)

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
        """`fold_intensity`."""
        arrays = {"seen": self.count, "total": self.total, "low": self.low, "high": self.high}
        return Fold(INTENSITY, arrays)

    @property
    def mean(self) -> FloatArray:
        """Mean values (channels, n)."""
        return self.total / self.count

    @property
    def range_of_all(self) -> tuple[float, float]:
        """The smallest and the largest value of the first channel in all objects of the time step."""
        if self.value_range is not None:
            return self.value_range
        return float(self.low[0].min(initial=np.inf)), float(self.high[0].max(initial=-np.inf))


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
        """`fold_intensity`."""
        return Fold(SPREAD, {"seen": self.count, "total": self.total, "m2": self.m2})


@kernel
def fold_intensity(
    runs: Ints, begin: int, end: int, size: int, values: Floats, at: int, here: int, wanted: int,
    total: Floats, low: Floats, high: Floats, m2: Floats, space: Floats,
) -> None:  # fmt: skip
    """`Intensity` and `Spread`, compiled, of the channel whose values begin at ``at`` and whose objects at ``here``."""
    i = 0
    for r in range(begin, end):
        o, length = here + runs[COLUMNS * r + OBJECT], runs[COLUMNS * r + LENGTH]
        start, added = at + runs[COLUMNS * r + START], total[o]
        for j in range(length):
            added += values[start + j]
            space[SUMS + i + j] = added
        total[o] = added
        i += length
    if wanted & INTENSITY:
        for r in range(begin, end):
            o, length = here + runs[COLUMNS * r + OBJECT], runs[COLUMNS * r + LENGTH]
            start, smallest, most = at + runs[COLUMNS * r + START], low[o], high[o]
            for j in range(length):
                value = float(values[start + j])
                smallest = value if value < smallest else smallest  # noqa: FURB136 (NaN is left out)
                most = value if value > most else most  # noqa: FURB136 (same)
            low[o], high[o] = smallest + 0.0, most + 0.0  # of 0 and -0 numpy may take either
    if wanted & SPREAD:
        average(size, SUMS, space)
        i = 0
        for r in range(begin, end):
            o, length = here + runs[COLUMNS * r + OBJECT], runs[COLUMNS * r + LENGTH]
            start, added = at + runs[COLUMNS * r + START], m2[o]
            for j in range(length):
                deviation, factor = space[SUMS + i + j] - values[start + j], space[FACTORS + i + j]
                # the first voxel adds nothing, whatever its value
                added += factor * (deviation * deviation) if factor > 0 else 0.0
            m2[o] = added
            i += length


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
        """`fold_central`; for integers of many voxels the powers of each grey value are looked up."""
        intensity = done[Intensity]
        known, table = _table(intensity, possible=block.integral)
        arrays = {"mean": intensity.mean, "low": intensity.low, "known": known, "table": table}
        return Fold(CENTRAL, {"m3": self.m3, "m4": self.m4, **arrays})


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


@kernel
def fill_table(begin: int, length: int, lowest: float, mean: float, table: Floats, space: Floats) -> None:
    """Powers of the deviations of grey values, from ``lowest`` on, from the mean of their object."""
    for done in range(0, length, BATCH):
        size = min(length - done, BATCH)
        for j in range(size):
            space[j] = (lowest + (done + j)) - mean
        powers(size, space)
        for j in range(size):
            at = 2 * (begin + done + j)
            table[at], table[at + 1] = space[CUBES + j], space[FOURTHS + j]


@kernel
def fold_central(
    runs: Ints, begin: int, end: int, values: Floats, at: int, here: int, low: Floats, mean: Floats,
    m3: Floats, m4: Floats, known: Ints, to: int, table: Floats, space: Floats,
) -> None:  # fmt: skip
    """`Central` of the channel whose values begin at ``at`` and whose objects at ``here``.

    Rows ``known[to + o]`` to ``known[to + o + 1]`` of the table (k, 2) are those of the object o, if any.
    """
    i = 0
    for r in range(begin, end):
        o, length = runs[COLUMNS * r + OBJECT], runs[COLUMNS * r + LENGTH]
        row, rows = known[to + o], known[to + o + 1] - known[to + o]
        if rows > 0 and math.isnan(table[2 * row]):
            fill_table(row, rows, low[here + o], mean[here + o], table, space)
    for r in range(begin, end):
        o, length = runs[COLUMNS * r + OBJECT], runs[COLUMNS * r + LENGTH]
        start, row = at + runs[COLUMNS * r + START], known[to + o]
        if known[to + o + 1] > row:
            lowest, third, fourth = low[here + o], m3[here + o], m4[here + o]
            for j in range(length):
                place = 2 * (row + int(values[start + j] - lowest))
                third += table[place]
                fourth += table[place + 1]
            m3[here + o], m4[here + o] = third, fourth
        else:
            center = mean[here + o]
            for j in range(length):
                space[i + j] = values[start + j] - center
            i += length
    powers(i, space)
    i = 0
    for r in range(begin, end):
        o, length = runs[COLUMNS * r + OBJECT], runs[COLUMNS * r + LENGTH]
        if known[to + o + 1] == known[to + o]:
            third, fourth = m3[here + o], m4[here + o]
            for j in range(i, i + length):
                third += space[CUBES + j]
                fourth += space[FOURTHS + j]
            m3[here + o], m4[here + o] = third, fourth
            i += length


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
        """`fold_histogram`."""
        arrays = {"smallest": self.low, "scale": self._scale(self.low, self.high), "bins": self.bins}
        return Fold(HISTOGRAM, arrays)

    @staticmethod
    def _scale(low: FloatArray, high: FloatArray) -> FloatArray:
        """Bins for each unit; rounded before it is multiplied, as in vigra."""
        scale: FloatArray = BINS / (high - low)
        return scale


def histogram_range(intensity: Intensity, *, common: bool) -> tuple[FloatArray, FloatArray]:
    """Least and largest value of the bins for each object."""
    low, high = intensity.low[0], intensity.high[0]
    if common:
        smallest, largest = intensity.range_of_all
        low, high = np.full_like(low, smallest), np.full_like(high, largest)
    return low, np.where(low == high, high + BINS * EPS, high)


@kernel
def fold_histogram(
    runs: Ints, begin: int, end: int, values: Floats, smallest: Floats, scale: Floats, bins: Floats
) -> None:
    """`Histogram`: arrays (n,) and (n, 64)."""
    for r in range(begin, end):
        o, length = runs[COLUMNS * r + OBJECT], runs[COLUMNS * r + LENGTH]
        start, lowest, bins_of_one = runs[COLUMNS * r + START], smallest[o], scale[o]
        for j in range(length):
            place = bins_of_one * (values[start + j] - lowest)
            if abs(place) < np.inf:
                bins[BINS * o + min(int(place), BINS - 1)] += 1


@dataclass(frozen=True)
class Extremes(Folded):
    """Coordinates of the smallest and the largest value, the first of equal ones; data of one channel.

    ``smallest`` and ``largest`` are values (n,), ``argmin`` and ``argmax`` coordinates (n, d).
    """

    smallest: FloatArray
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

        smallest, argmin = update(np.fmin, self.smallest, self.argmin)
        largest, argmax = update(np.fmax, self.largest, self.argmax)
        return replace(self, smallest=smallest, largest=largest, argmin=argmin, argmax=argmax)


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
