r"""Statistics of large frames, compiled: what `objclass.features.statistics` says in numpy.

A part of a slab is searched for `runs`, stretches of one object along x. Each statistic goes through the
runs in scan order and brings its state up to date: arrays with a place for each object. The additions
are those of the numpy formulation, in its order, so that both give the same bits, whatever the slabs
are. Threads can share the objects, since each object is a matter of its own.

Where there is much to compute for each voxel, runs are taken in batches: what needs an order in loops
over the voxels of a run, all else in loops over the whole batch, which the compiler vectorises.
Divisions are written ``np.divide``, which asks nobody whether the divisor is 0.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from objclass.core import AnyArray, FloatArray, IntArray
from objclass.kernels import Kernels

REPAYS_LOADING = 20_000_000
REPAYS_COMPILING = 100_000_000
"""Voxels gone through: numpy takes about as long for them as numba for being loaded, and for compiling."""

PART = 1 << 17
"""Voxels of a part, unless a line is longer: what is made of them stays in the cache."""

BATCH = 1024
"""Voxels of a batch, unless a run is longer."""

OBJECT, X, Y, Z, LENGTH, START = range(6)
"""Columns of runs: object (from 0), x, y, z of the first voxel, number of voxels, first voxel in the part."""

LAST_BIN = 63
SPLIT = 134217729.0  # 2**27 + 1
MIDDLE, TINY = 0.48, 1e-270  # as in objclass.features.statistics
HALF_EPS = 2.0**-53


# ---------------------------------------------------------------------------- parts


@dataclass(frozen=True)
class Part:
    """Runs (r, 6), in scan order, and the pixels of all voxels of the part (v, channels)."""

    runs: IntArray
    raw: AnyArray

    @cached_property
    def stored(self) -> FloatArray:
        """Pixel values as stored (channels, v)."""
        return self.raw.T.astype(np.float64, order="C")

    @cached_property
    def values(self) -> FloatArray:
        """Pixel values as ilastik sees them, float32 (channels, v)."""
        return np.ascontiguousarray(self.raw.T, np.float32)


def parts(
    labels: IntArray, raw: AnyArray, origin: tuple[int, int, int], find: Any, share: int = 0, shares: int = 1
) -> Iterator[Part]:
    """The parts of a slab in scan order.

    Parameters
    ----------
    labels, raw
        Shapes (z, y, x) and (z, y, x, channels); whole lines.
    origin
        Coordinates z, y, x of the first voxel.
    find
        `find_runs`, compiled or not.
    share, shares
        Only objects whose label modulo ``shares`` is ``share``.
    """
    z, y, x = labels.shape
    # arrays that cannot be written are of another type for numba, for which it would compile once more
    labels, raw = (a if a.flags.writeable else a.copy() for a in (labels, raw))
    lines, pixels = labels.reshape(z * y, x), raw.reshape(z * y, x * raw.shape[3])
    step = max(PART // x, 1)
    runs = np.empty((step * x, 6), np.int64)
    for first in range(0, z * y, step):
        here = slice(first, first + step)
        found = find(lines[here], first, y, origin[1], origin[0], share, shares, runs)
        if found:
            yield Part(runs[:found], pixels[here].reshape(lines[here].size, raw.shape[3]))


def fold(
    folds: Sequence[Callable[[Part], None]], read_parts: Callable[[int, int], Iterator[Part]], threads: int
) -> None:
    """Bring statistics up to date with a slab; each of the threads takes its share of the objects."""

    def work(share: int) -> None:
        with np.errstate(over="ignore", invalid="ignore"):  # threads have states of their own
            for part in read_parts(share, threads):
                for one in folds:
                    one(part)

    if threads == 1:
        work(0)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))


def find_runs(
    labels: IntArray, first: int, height: int, y0: int, z0: int, share: int, shares: int, runs: IntArray
) -> int:
    """Fill ``runs`` with those of the lines ``labels`` (lines, x); answers how many there are.

    ``first`` is the number of the first line in the slab, whose first line is at ``y0``, ``z0``;
    ``height`` the number of lines of a plane in the slab.
    """
    lines, width = labels.shape
    ends = np.empty(width, np.int64)
    found = 0
    for line in range(lines):
        row = labels[line]
        changes = 0
        for x in range(width - 1):  # without a branch: nobody can predict where objects end
            ends[changes] = x + 1
            changes += row[x] != row[x + 1]
        ends[changes] = width
        y, z = y0 + (first + line) % height, z0 + (first + line) // height
        start = 0
        for i in range(changes + 1):
            label = row[start]
            if label != 0 and (shares == 1 or label % shares == share):
                runs[found, OBJECT] = int(label) - 1
                runs[found, X], runs[found, Y], runs[found, Z] = start, y, z
                runs[found, LENGTH] = ends[i] - start
                runs[found, START] = line * width + start
                found += 1
            start = ends[i]
    return found


def batch_end(runs: IntArray, begin: int) -> tuple[int, int]:
    """Where the batch ends whose first run is ``begin``, and its number of voxels."""
    end, voxels = begin, 0
    while end < len(runs) and (end == begin or voxels + runs[end, LENGTH] <= BATCH):
        voxels += runs[end, LENGTH]
        end += 1
    return end, voxels


def room(runs: IntArray) -> int:
    """Voxels of the largest batch."""
    most = BATCH
    for r in range(len(runs)):
        most = max(most, runs[r, LENGTH])
    return most


def divide(a: FloatArray, b: FloatArray, voxels: int) -> None:
    """a / b, in place."""
    for i in range(voxels):
        a[i] = np.divide(a[i], b[i])


def factors(k: FloatArray, voxels: int) -> None:
    """k / (k - 1), in place; 0 for the first voxel."""
    for i in range(voxels):
        k[i] = np.divide(k[i], k[i] - 1) if k[i] > 1 else 0.0


# ---------------------------------------------------------------------------- statistics


def extent(runs: IntArray, count: IntArray, low: IntArray, high: IntArray, total: IntArray) -> None:
    """`Extent`: arrays (n,) and (n, d)."""
    d = low.shape[1]
    for r in range(len(runs)):
        o, length = runs[r, OBJECT], runs[r, LENGTH]
        count[o] += length
        for axis in range(d):
            first = runs[r, X + axis]
            last = first + length - 1 if axis == 0 else first
            low[o, axis] = min(low[o, axis], first)
            high[o, axis] = max(high[o, axis], last)
            total[o, axis] += first * length
        total[o, 0] += length * (length - 1) // 2


def intensity(
    runs: IntArray,
    values: FloatArray,
    count: FloatArray,
    total: FloatArray,
    low: FloatArray,
    high: FloatArray,
    m2: FloatArray,
) -> None:
    """`Intensity` and `Spread`: arrays (n,) and (channels, n)."""
    size, channels = room(runs), len(values)
    k, mean = np.empty(size), np.empty(size)
    begin = 0
    while begin < len(runs):
        end, voxels = batch_end(runs, begin)
        for c in range(channels):
            i = 0
            for r in range(begin, end):
                o, start, length = runs[r, OBJECT], runs[r, START], runs[r, LENGTH]
                x = values[c, start : start + length]
                before, added = count[o] + 1, total[c, o]
                least, largest = low[c, o], high[c, o]
                for j in range(length):
                    value = float(x[j])
                    added += value
                    least = value if value < least else least  # noqa: FURB136 (NaN is left out)
                    largest = value if value > largest else largest  # noqa: FURB136 (same)
                    mean[i + j] = added
                    k[i + j] = before + j
                # + 0.0: of 0 and -0 numpy may take either
                total[c, o], low[c, o], high[c, o] = added, least + 0.0, largest + 0.0
                count[o] += length
                i += length
            divide(mean, k, voxels)
            factors(k, voxels)
            i = 0
            for r in range(begin, end):
                o, start, length = runs[r, OBJECT], runs[r, START], runs[r, LENGTH]
                x = values[c, start : start + length]
                added = m2[c, o]
                for j in range(length):
                    deviation = mean[i + j] - x[j]
                    # the first voxel adds nothing, whatever its value
                    added += k[i + j] * (deviation * deviation) if k[i + j] > 0 else 0.0
                m2[c, o] = added
                i += length
            if c + 1 < channels:  # the next channel counts again
                for r in range(begin, end):
                    count[runs[r, OBJECT]] -= runs[r, LENGTH]
        begin = end


def plane_scatter(runs: IntArray, weight: FloatArray, total: FloatArray, matrix: FloatArray) -> None:
    """`CoordinateScatter` in 2D: arrays (n,), (n, 2) and (n, 2, 2)."""
    size = room(runs)
    k, a, b = np.empty(size), np.empty(size), np.empty(size)
    begin = 0
    while begin < len(runs):
        end, voxels = batch_end(runs, begin)
        i = 0
        for r in range(begin, end):
            o, length = runs[r, OBJECT], runs[r, LENGTH]
            x, y = float(runs[r, X]), float(runs[r, Y])
            w, sum_x, sum_y = weight[o], total[o, 0], total[o, 1]
            for j in range(i, i + length):
                w += 1
                sum_x += x
                sum_y += y
                x += 1
                k[j], a[j], b[j] = w, sum_x, sum_y
            weight[o], total[o, 0], total[o, 1] = w, sum_x, sum_y
            i += length
        divide(a, k, voxels)
        divide(b, k, voxels)
        factors(k, voxels)
        i = 0
        for r in range(begin, end):
            o, length = runs[r, OBJECT], runs[r, LENGTH]
            x, y = float(runs[r, X]), float(runs[r, Y])
            xx, yx, yy = matrix[o, 0, 0], matrix[o, 1, 0], matrix[o, 1, 1]
            for j in range(i, i + length):
                dx, dy, f = a[j] - x, b[j] - y, k[j]
                x += 1
                xx += f * dx * dx
                yx += f * dy * dx
                yy += f * dy * dy
            matrix[o, 0, 0], matrix[o, 1, 0], matrix[o, 0, 1], matrix[o, 1, 1] = xx, yx, yx, yy
            i += length
        begin = end


def volume_scatter(runs: IntArray, weight: FloatArray, total: FloatArray, matrix: FloatArray) -> None:
    """`CoordinateScatter` in 3D: arrays (n,), (n, 3) and (n, 3, 3)."""
    size = room(runs)
    k, a, b, c = np.empty(size), np.empty(size), np.empty(size), np.empty(size)
    begin = 0
    while begin < len(runs):
        end, voxels = batch_end(runs, begin)
        i = 0
        for r in range(begin, end):
            o, length = runs[r, OBJECT], runs[r, LENGTH]
            x, y, z = float(runs[r, X]), float(runs[r, Y]), float(runs[r, Z])
            w, sum_x, sum_y, sum_z = weight[o], total[o, 0], total[o, 1], total[o, 2]
            for j in range(i, i + length):
                w += 1
                sum_x += x
                sum_y += y
                sum_z += z
                x += 1
                k[j], a[j], b[j], c[j] = w, sum_x, sum_y, sum_z
            weight[o], total[o, 0], total[o, 1], total[o, 2] = w, sum_x, sum_y, sum_z
            i += length
        divide(a, k, voxels)
        divide(b, k, voxels)
        divide(c, k, voxels)
        factors(k, voxels)
        i = 0
        for r in range(begin, end):
            o, length = runs[r, OBJECT], runs[r, LENGTH]
            x, y, z = float(runs[r, X]), float(runs[r, Y]), float(runs[r, Z])
            xx, yx, yy = matrix[o, 0, 0], matrix[o, 1, 0], matrix[o, 1, 1]
            zx, zy, zz = matrix[o, 2, 0], matrix[o, 2, 1], matrix[o, 2, 2]
            for j in range(i, i + length):
                dx, dy, dz, f = a[j] - x, b[j] - y, c[j] - z, k[j]
                x += 1
                xx += f * dx * dx
                yx += f * dy * dx
                yy += f * dy * dy
                zx += f * dz * dx
                zy += f * dz * dy
                zz += f * dz * dz
            matrix[o, 0, 0], matrix[o, 1, 0], matrix[o, 0, 1], matrix[o, 1, 1] = xx, yx, yx, yy
            matrix[o, 2, 0], matrix[o, 2, 1], matrix[o, 2, 2] = zx, zy, zz
            matrix[o, 0, 2], matrix[o, 1, 2] = zx, zy
            i += length
        begin = end


def powers(q: FloatArray, voxels: int, cubes: FloatArray, fourths: FloatArray, doubt: FloatArray) -> None:
    """q³ and q⁴ as `third_and_fourth_power` in `objclass.features.statistics`; ``doubt`` is scratch."""
    for i in range(voxels):
        x = q[i]
        scaled = x * SPLIT
        x_high = scaled - (scaled - x)
        x_low = x - x_high
        square = x * x
        lost = x_low * x_low - (((square - x_high * x_high) - x_low * x_high) - x_high * x_low)
        square_rest = lost if abs(lost) < np.inf else 0.0
        scaled = square * SPLIT
        high = scaled - (scaled - square)
        low = square - high

        cube = square * x
        lost = low * x_low - (((cube - high * x_high) - low * x_high) - high * x_low)
        rest = (lost if abs(lost) < np.inf else 0.0) + square_rest * x
        power = cube + rest if abs(cube) < np.inf else cube
        size = abs(power)
        digit = (size + size * HALF_EPS) - size  # of a power of two 0
        third = abs((cube - power) + rest) > MIDDLE * digit or (size < TINY and x != 0)
        cubes[i] = power

        fourth = square * square
        lost = low * low - (((fourth - high * high) - low * high) - high * low)
        rest = (lost if abs(lost) < np.inf else 0.0) + 2 * square * square_rest
        power = fourth + rest if abs(fourth) < np.inf else fourth
        digit = (power + power * HALF_EPS) - power
        last = abs((fourth - power) + rest) > MIDDLE * digit or (power < TINY and x != 0)
        fourths[i] = power
        doubt[i] = (1.0 if third else 0.0) + (2.0 if last else 0.0)
    for i in range(voxels):
        if doubt[i] != 0:
            if doubt[i] != 2:
                cubes[i] = math.pow(q[i], 3.0)
            if doubt[i] != 1:
                fourths[i] = math.pow(q[i], 4.0)


def central(runs: IntArray, values: FloatArray, mean: FloatArray, m3: FloatArray, m4: FloatArray) -> None:
    """`Central` of one channel: values (v,), arrays (n,)."""
    size = room(runs)
    q, cubes, fourths, doubt = np.empty(size), np.empty(size), np.empty(size), np.empty(size)
    begin = 0
    while begin < len(runs):
        end, voxels = batch_end(runs, begin)
        i = 0
        for r in range(begin, end):
            start, length, center = runs[r, START], runs[r, LENGTH], mean[runs[r, OBJECT]]
            x = values[start : start + length]
            for j in range(length):
                q[i + j] = x[j] - center
            i += length
        powers(q, voxels, cubes, fourths, doubt)
        i = 0
        for r in range(begin, end):
            o, length = runs[r, OBJECT], runs[r, LENGTH]
            a, b = m3[o], m4[o]
            for j in range(i, i + length):
                a += cubes[j]
                b += fourths[j]
            m3[o], m4[o] = a, b
            i += length
        begin = end


def tabulate(low: FloatArray, mean: FloatArray, first: IntArray, table: FloatArray) -> None:
    """Powers of the deviations of all grey values of each object from its mean.

    Those of object o, from its least value ``low`` on, stand in ``table`` (k, 2) from ``first[o]`` to
    ``first[o + 1]``.
    """
    size = 0
    for o in range(len(low)):
        size = max(size, first[o + 1] - first[o])
    q, cubes, fourths, doubt = np.empty(size), np.empty(size), np.empty(size), np.empty(size)
    for o in range(len(low)):
        start, length = first[o], first[o + 1] - first[o]
        for j in range(length):
            q[j] = (low[o] + j) - mean[o]
        powers(q, length, cubes, fourths, doubt)
        for j in range(length):
            table[start + j, 0], table[start + j, 1] = cubes[j], fourths[j]


def central_of_table(
    runs: IntArray,
    values: FloatArray,
    low: FloatArray,
    first: IntArray,
    table: FloatArray,
    m3: FloatArray,
    m4: FloatArray,
) -> None:
    """`Central` of one channel of integers, for the objects that are in the ``table`` that `tabulate` fills."""
    for r in range(len(runs)):
        o, start, length = runs[r, OBJECT], runs[r, START], runs[r, LENGTH]
        x = values[start : start + length]
        least, known = low[o], table[first[o] : first[o + 1]]
        a, b = m3[o], m4[o]
        for j in range(length):
            place = int(x[j] - least)
            a += known[place, 0]
            b += known[place, 1]
        m3[o], m4[o] = a, b


def histogram(
    runs: IntArray, values: FloatArray, low: FloatArray, scale: FloatArray, bins: FloatArray
) -> None:
    """`Histogram`: values (v,), arrays (n,) and (n, 64)."""
    for r in range(len(runs)):
        o, start, length = runs[r, OBJECT], runs[r, START], runs[r, LENGTH]
        x, counts = values[start : start + length], bins[o]
        least, bins_of_one = low[o], scale[o]
        for j in range(length):
            place = bins_of_one * (x[j] - least)
            if abs(place) < np.inf:
                counts[min(int(place), LAST_BIN)] += 1


# ---------------------------------------------------------------------------- compiled


def _kernel(*functions: Any) -> Kernels:
    """The last function, which calls the ones before."""
    kernel = Kernels(globals(), repays_loading=REPAYS_LOADING, repays_compiling=REPAYS_COMPILING)
    for function in functions:
        kernel(function)
    return kernel


FIND_RUNS = _kernel(find_runs)
EXTENT = _kernel(extent)
INTENSITY = _kernel(batch_end, room, divide, factors, intensity)
PLANE_SCATTER = _kernel(batch_end, room, divide, factors, plane_scatter)
VOLUME_SCATTER = _kernel(batch_end, room, divide, factors, volume_scatter)
CENTRAL = _kernel(batch_end, room, powers, central)
TABULATE = _kernel(powers, tabulate)
CENTRAL_OF_TABLE = _kernel(central_of_table)
HISTOGRAM = _kernel(histogram)
