r"""Statistics of large frames, compiled: what `objclass.features.statistics` says in numpy.

A part of a slab is searched for runs, stretches of one object along x. Each statistic goes through the
runs in scan order and brings its state up to date: arrays with a place for each object. The additions
are those of the numpy formulation, in its order, so that both give the same bits, whatever the slabs
are. Threads can share the objects, since each object is a matter of its own.

Runs are taken in batches: what needs an order in loops over the voxels of a run, all else in loops over
the whole batch, which the compiler vectorises. Sums of coordinates are integers, for which any order will
do. Divisions are written ``np.divide``, which asks nobody whether the divisor is 0.
"""

import math
from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from objclass.compute.context import Context
from objclass.compute.kernels import Kernels
from objclass.core import AnyArray

if TYPE_CHECKING:
    from objclass.features.voxels import Block

PART = 1 << 17
"""Voxels of a part, unless a line is longer: what is made of them stays in the cache."""

BATCH = 1024
"""Voxels of a batch at most; longer runs are cut."""

ROOM = BATCH + 8
"""Places for a number of each voxel of a batch, and some more that short loops may write."""

COUNTS, FACTORS, SUMS = 0, ROOM, 2 * ROOM
"""Where numbers of the voxels of a batch stand in the work space; sums of up to three axes."""

CUBES, FOURTHS, DOUBTS = ROOM, 2 * ROOM, 3 * ROOM
"""The same in the second pass, behind the deviations."""

SPACE = 5 * ROOM

OBJECT, X, Y, Z, LENGTH, START, COLUMNS = range(7)
"""Columns of runs: object (from 0), x, y, z of the first voxel, number of voxels, first voxel in the part."""

EXTENT, INTENSITY, SPREAD, SCATTER, CENTRAL, HISTOGRAM = (1 << bit for bit in range(6))
"""What may be wanted, as bits."""

BINS = 64
SPLIT = 134217729.0  # 2**27 + 1
MIDDLE, TINY = 0.48, 1e-270  # as in objclass.features.statistics
HALF_EPS = 2.0**-53

Ints = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]

STATES = {
    "voxels": "int64*",
    "first": "int64*",
    "last": "int64*",
    "places": "int64*",
    "count": "float64*",
    "total": "float64*",
    "low": "float64*",
    "high": "float64*",
    "m2": "float64*",
    "centers": "float64*",
    "matrix": "float64*",
    "mean": "float64*",
    "m3": "float64*",
    "m4": "float64*",
    "known": "int64*",
    "table": "float64*",
    "least": "float64*",
    "scale": "float64*",
    "bins": "float64*",
}
"""Arrays of the statistics, as `fold_part` calls them."""

kernel = Kernels(
    globals(),
    repays_loading=1_000_000,
    repays_compiling=12_000_000,  # a fifth of what compiling takes: later runs gain from it, too
    signature=(
        *("int64", "int64", "int64", "int64", *STATES.values()),
        *("float64*", "uint8*", "uint64*", "int64*", "int64*", "uint32*", *["int64"] * 6),
        *("int64", "int64", "float32*", "int64"),
    ),
)
"""Work is counted in voxels gone through, of objects or not."""


class Fold(NamedTuple):
    """What is wanted (a bit) and the arrays that it takes, by the names in `STATES`.

    Where folds have the same name, they have the same array.
    """

    wanted: int
    arrays: dict[str, AnyArray]


def fold(function: Any, folds: Sequence[Fold], block: "Block", context: Context) -> None:
    """Bring statistics up to date with a slab; each of the threads of a run takes its share of the objects.

    ``function`` is `fold_part`, compiled.
    """
    wanted = reduce(or_, (one.wanted for one in folds), 0)
    given = {name: array for one in folds for name, array in one.arrays.items()}
    states = [given.get(name, np.empty(0, kind[:-1])) for name, kind in STATES.items()]
    depth, height, width, channels = block.raw.shape
    threads = context.limits.jobs
    step = max(PART // width, 1)  # lines of a part
    labels = np.ascontiguousarray(block.labels, np.uint32)
    pixels = block.raw.reshape(depth * height * width, channels)
    z0, y0, _ = block.origin

    def work(share: int) -> None:
        space, words = np.empty(SPACE), np.zeros(width // 8 + 1, np.uint64)
        ends = np.empty(2 * (width + 8), np.int64)
        runs = np.empty((step * width, COLUMNS), np.int64)
        call = function.bind(
            *(wanted, block.count, block.ndim, channels, *states),
            *(space, words.view(np.uint8), words, ends, runs, labels, width, height, y0, z0, share, threads),
        )
        with np.errstate(over="ignore", invalid="ignore"):  # threads have states of their own
            for line in range(0, depth * height if wanted else 0, step):
                part = pixels[line * width : (line + step) * width]
                values = np.ascontiguousarray(part.T, np.float32)
                call(line, len(part) // width, values, len(part))

    for _ in context.ordered(work, range(threads)):
        pass


# ---------------------------------------------------------------------------- runs


@kernel
def find_changes(labels: Ints, at: int, width: int, marks: Ints, words: Ints, ends: Ints) -> int:
    """Fill ``ends`` with where voxels of another label follow in a line; returns how many there are.

    There is no branch, since nobody can predict where objects end. ``marks`` are the bytes of ``words``;
    those from ``width - 1`` on are 0.
    """
    for x in range(width - 1):
        marks[x] = labels[at + x] != labels[at + x + 1]
    some, places = 0, width + 8
    for w in range((width + 7) // 8):
        ends[places + some] = w
        some += words[w] != 0
    changes = 0
    for w in range(some):
        x = 8 * ends[places + w]
        for i in range(x, x + 8):
            ends[changes] = i + 1
            changes += marks[i]
    return changes


@kernel
def find_runs(
    labels: Ints, line: int, lines: int, width: int, height: int, y0: int, z0: int,
    share: int, shares: int, marks: Ints, words: Ints, ends: Ints, runs: Ints,
) -> int:  # fmt: skip
    """Fill ``runs`` with those of some lines, from the number ``line`` on; returns how many there are."""
    found = 0
    for row in range(line, line + lines):
        at = row * width
        changes = find_changes(labels, at, width, marks, words, ends)
        ends[changes] = width
        y, z = y0 + row % height, z0 + row // height
        start = 0
        for i in range(changes + 1):
            label, end = labels[at + start], ends[i]
            if label != 0 and (shares == 1 or label % shares == share):
                while start < end:
                    here = COLUMNS * found
                    runs[here + OBJECT] = label - 1
                    runs[here + X] = start
                    runs[here + Y], runs[here + Z] = y, z
                    runs[here + LENGTH] = min(end - start, BATCH)
                    runs[here + START] = (row - line) * width + start
                    start += BATCH
                    found += 1
            start = end
    return found


@kernel
def batch_end(runs: Ints, begin: int, found: int) -> tuple[int, int]:
    """Where the batch ends whose first run is ``begin``, and its number of voxels."""
    end, size = begin, 0
    while end < found and size + runs[COLUMNS * end + LENGTH] <= BATCH:
        size += runs[COLUMNS * end + LENGTH]
        end += 1
    return end, size


# ---------------------------------------------------------------------------- first pass


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


@kernel
def number(runs: Ints, begin: int, end: int, size: int, count: Floats, space: Floats) -> None:
    """Number the voxels of each object (k), and k / (k - 1), which is to be 0 for the first."""
    i = 0
    for r in range(begin, end):
        o, length = runs[COLUMNS * r + OBJECT], runs[COLUMNS * r + LENGTH]
        before = count[o] + 1
        for j in range((length + 7) & -8):
            space[COUNTS + i + j] = before + j
        count[o] += length
        i += length
    for i in range(size):
        k = space[COUNTS + i]
        space[FACTORS + i] = np.divide(k, k - 1) if k > 1 else 0.0


@kernel
def average(size: int, sums: int, space: Floats) -> None:
    """Divide sums by the numbers of the voxels."""
    for i in range(size):
        space[sums + i] = np.divide(space[sums + i], space[COUNTS + i])


@kernel
def fold_intensity(
    runs: Ints, begin: int, end: int, size: int, values: Floats, at: int, here: int, wanted: int,
    total: Floats, low: Floats, high: Floats, m2: Floats, space: Floats,
) -> None:  # fmt: skip
    """`Intensity` and `Spread` of the channel whose values begin at ``at`` and whose objects at ``here``."""
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
            start, least, most = at + runs[COLUMNS * r + START], low[o], high[o]
            for j in range(length):
                value = float(values[start + j])
                least = value if value < least else least  # noqa: FURB136 (NaN is left out)
                most = value if value > most else most  # noqa: FURB136 (same)
            low[o], high[o] = least + 0.0, most + 0.0  # of 0 and -0 numpy may take either
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


@kernel
def sum_places(
    runs: Ints, begin: int, end: int, axis: int, ndim: int, centers: Floats, space: Floats
) -> None:
    """Sums of the coordinates of an axis up to and including each voxel."""
    i = 0
    for r in range(begin, end):
        here = COLUMNS * r
        length, at = runs[here + LENGTH], ndim * runs[here + OBJECT] + axis
        place, before, step = float(runs[here + X + axis]), centers[at], 1.0 if axis == 0 else 0.0
        for j in range((length + 7) & -8):
            space[SUMS + axis * ROOM + i + j] = before + (j + 1.0) * place + step * (0.5 * j * (j + 1.0))
        centers[at] = before + length * place + step * (0.5 * length * (length - 1.0))
        i += length


@kernel
def scatter_in_plane(runs: Ints, begin: int, end: int, matrix: Floats, space: Floats) -> None:
    """In 2D: ``matrix`` (n, 2, 2)."""
    i = 0
    for r in range(begin, end):
        here = COLUMNS * r
        at, length = 4 * runs[here + OBJECT], runs[here + LENGTH]
        x, y = float(runs[here + X]), float(runs[here + Y])
        xx, yx, yy = matrix[at], matrix[at + 2], matrix[at + 3]
        for j in range(i, i + length):
            f, dx, dy = space[FACTORS + j], space[SUMS + j] - x, space[SUMS + ROOM + j] - y
            x += 1
            xx += f * dx * dx
            yx += f * dy * dx
            yy += f * dy * dy
        matrix[at], matrix[at + 1], matrix[at + 2], matrix[at + 3] = xx, yx, yx, yy
        i += length


@kernel
def scatter_in_volume(runs: Ints, begin: int, end: int, matrix: Floats, space: Floats) -> None:
    """In 3D: ``matrix`` (n, 3, 3)."""
    i = 0
    for r in range(begin, end):
        here = COLUMNS * r
        at, length = 9 * runs[here + OBJECT], runs[here + LENGTH]
        x, y, z = float(runs[here + X]), float(runs[here + Y]), float(runs[here + Z])
        xx, yx, yy = matrix[at], matrix[at + 3], matrix[at + 4]
        zx, zy, zz = matrix[at + 6], matrix[at + 7], matrix[at + 8]
        for j in range(i, i + length):
            f, dx = space[FACTORS + j], space[SUMS + j] - x
            dy, dz = space[SUMS + ROOM + j] - y, space[SUMS + 2 * ROOM + j] - z
            x += 1
            xx += f * dx * dx
            yx += f * dy * dx
            yy += f * dy * dy
            zx += f * dz * dx
            zy += f * dz * dy
            zz += f * dz * dz
        matrix[at], matrix[at + 4], matrix[at + 8] = xx, yy, zz
        matrix[at + 1], matrix[at + 2], matrix[at + 3] = yx, zx, yx
        matrix[at + 5], matrix[at + 6], matrix[at + 7] = zy, zx, zy
        i += length


@kernel
def fold_scatter(
    runs: Ints, begin: int, end: int, size: int, ndim: int, centers: Floats, matrix: Floats, space: Floats
) -> None:
    """`CoordinateScatter`: arrays (n, d) and (n, d, d)."""
    for axis in range(ndim):
        sum_places(runs, begin, end, axis, ndim, centers, space)
        average(size, SUMS + axis * ROOM, space)
    if ndim == 2:
        scatter_in_plane(runs, begin, end, matrix, space)
    else:
        scatter_in_volume(runs, begin, end, matrix, space)


# ---------------------------------------------------------------------------- second pass


@kernel
def powers(voxels: int, space: Floats) -> None:
    """q³ and q⁴ as `third_and_fourth_power` in `objclass.features.statistics`.

    They are written behind the q, with which ``space`` begins; doubts behind them.
    """
    for i in range(voxels):
        x = space[i]
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
        space[CUBES + i] = power

        fourth = square * square
        lost = low * low - (((fourth - high * high) - low * high) - high * low)
        rest = (lost if abs(lost) < np.inf else 0.0) + 2 * square * square_rest
        power = fourth + rest if abs(fourth) < np.inf else fourth
        digit = (power + power * HALF_EPS) - power
        last = abs((fourth - power) + rest) > MIDDLE * digit or (power < TINY and x != 0)
        space[FOURTHS + i] = power
        space[DOUBTS + i] = (1.0 if third else 0.0) + (2.0 if last else 0.0)
    for i in range(voxels):
        doubt = space[DOUBTS + i]
        if doubt != 0:
            if doubt != 2:
                space[CUBES + i] = math.pow(space[i], 3.0)
            if doubt != 1:
                space[FOURTHS + i] = math.pow(space[i], 4.0)


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


@kernel
def fold_histogram(
    runs: Ints, begin: int, end: int, values: Floats, least: Floats, scale: Floats, bins: Floats
) -> None:
    """`Histogram`: arrays (n,) and (n, 64)."""
    for r in range(begin, end):
        o, length = runs[COLUMNS * r + OBJECT], runs[COLUMNS * r + LENGTH]
        start, lowest, bins_of_one = runs[COLUMNS * r + START], least[o], scale[o]
        for j in range(length):
            place = bins_of_one * (values[start + j] - lowest)
            if abs(place) < np.inf:
                bins[BINS * o + min(int(place), BINS - 1)] += 1


# ---------------------------------------------------------------------------- all


@kernel
def fold_part(
    wanted: int, n: int, ndim: int, channels: int,
    voxels: Ints, first: Ints, last: Ints, places: Ints,
    count: Floats, total: Floats, low: Floats, high: Floats, m2: Floats, centers: Floats, matrix: Floats,
    mean: Floats, m3: Floats, m4: Floats, known: Ints, table: Floats,
    least: Floats, scale: Floats, bins: Floats,
    space: Floats, marks: Ints, words: Ints, ends: Ints, runs: Ints, labels: Ints, width: int, height: int, y0: int, z0: int,
    share: int, shares: int, line: int, lines: int, values: Floats, size: int,
) -> None:  # fmt: skip
    """Bring the statistics that are wanted up to date with some lines of a slab."""
    found = find_runs(labels, line, lines, width, height, y0, z0, share, shares, marks, words, ends, runs)
    if wanted & EXTENT:
        fold_extent(runs, found, ndim, voxels, first, last, places)
    begin = found if wanted == EXTENT else 0
    while begin < found:
        end, batch = batch_end(runs, begin, found)
        if wanted & (INTENSITY | SPREAD | SCATTER):
            number(runs, begin, end, batch, count, space)
        if wanted & SCATTER:
            fold_scatter(runs, begin, end, batch, ndim, centers, matrix, space)
        for c in range(channels):
            at, here = c * size, c * n
            if wanted & (INTENSITY | SPREAD):
                fold_intensity(
                    *(runs, begin, end, batch, values, at, here, wanted, total, low, high, m2, space)
                )
            if wanted & CENTRAL:
                fold_central(
                    *(runs, begin, end, values, at, here, low, mean, m3, m4, known, here + c, table, space)
                )
        if wanted & HISTOGRAM:
            fold_histogram(runs, begin, end, values, least, scale, bins)
        begin = end
