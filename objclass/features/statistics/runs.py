"""Runs, stretches of one object along x: what compiled statistics go through, in scan order.

Runs are taken in batches: what needs an order in loops over the voxels of a run, all else in loops over
the whole batch, which the compiler vectorises. Sums of coordinates are integers, for which any order will
do. Divisions are written ``np.divide``, which asks nobody whether the divisor is 0.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from objclass.compute.kernels import kernel
from objclass.core import AnyArray

EXTENT, INTENSITY, SPREAD, SCATTER, CENTRAL, HISTOGRAM = (1 << bit for bit in range(6))
"""What may be wanted, as bits."""

BATCH = 1024
"""Voxels of a batch at most; longer runs are cut."""

ROOM = BATCH + 8
"""Places for a number of each voxel of a batch, and some more that short loops may write."""

COUNTS, FACTORS, SUMS = 0, ROOM, 2 * ROOM
"""Where numbers of the voxels of a batch stand in the work space; sums of up to three axes."""

SPACE = 5 * ROOM

OBJECT, X, Y, Z, LENGTH, START, COLUMNS = range(7)
"""Columns of runs: object (from 0), x, y, z of the first voxel, number of voxels, first voxel in the part."""

Ints = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]


class Fold(NamedTuple):
    """What is wanted (a bit) and the arrays that it takes, by the names in `folding.States`.

    Where folds have the same name, they have the same array.
    """

    wanted: int
    arrays: dict[str, AnyArray]


class Share(NamedTuple):
    """A slab, whose first line is ``y0`` and ``z0``, and which of its objects a thread takes.

    These are the ids after ``first`` up to ``last``, divided into ``shares``.
    """

    wanted: int
    objects: int
    ndim: int
    channels: int
    labels: NDArray[np.uint32]
    width: int
    height: int
    y0: int
    z0: int
    first: int
    last: int
    number: int
    shares: int


class WorkSpace(NamedTuple):
    """Room for numbers of a batch, for the changes in a line (see `find_changes`), and for runs."""

    numbers: NDArray[np.float64]
    marks: NDArray[np.uint8]
    words: NDArray[np.uint64]
    ends: NDArray[np.int64]
    runs: NDArray[np.int64]


def work_space(width: int, lines: int) -> WorkSpace:
    """For parts of so many lines."""
    words = np.zeros(width // 8 + 1, np.uint64)
    return WorkSpace(
        np.empty(SPACE),
        words.view(np.uint8),
        words,
        np.empty(2 * (width + 8), np.int64),
        np.empty(lines * width * COLUMNS, np.int64),
    )


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
def find_runs(share: Share, space: WorkSpace, line: int, lines: int) -> int:
    """Fill ``runs`` with those of some lines, from the number ``line`` on; returns how many there are."""
    labels, width, marks, words, ends, runs = (
        share.labels,
        share.width,
        space.marks,
        space.words,
        space.ends,
        space.runs,
    )
    found = 0
    for row in range(line, line + lines):
        at = row * width
        changes = find_changes(labels, at, width, marks, words, ends)
        ends[changes] = width
        y, z = share.y0 + row % share.height, share.z0 + row // share.height
        start = 0
        for i in range(changes + 1):
            label, end = labels[at + start], ends[i]
            if share.first < label <= share.last and (
                share.shares == 1 or label % share.shares == share.number
            ):
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


@kernel
def number(runs: Ints, begin: int, end: int, size: int, seen: Floats, space: Floats) -> None:
    """Number the voxels of each object (k), and k / (k - 1), which is to be 0 for the first."""
    i = 0
    for r in range(begin, end):
        o, length = runs[COLUMNS * r + OBJECT], runs[COLUMNS * r + LENGTH]
        before = seen[o] + 1
        for j in range((length + 7) & -8):
            space[COUNTS + i + j] = before + j
        seen[o] += length
        i += length
    for i in range(size):
        k = space[COUNTS + i]
        space[FACTORS + i] = np.divide(k, k - 1) if k > 1 else 0.0


@kernel
def average(size: int, sums: int, space: Floats) -> None:
    """Divide sums by the numbers of the voxels."""
    for i in range(size):
        space[sums + i] = np.divide(space[sums + i], space[COUNTS + i])
