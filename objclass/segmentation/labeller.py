"""Connected components of a slab, compiled: the same ids as cc3d's, while other threads can run.

cc3d holds Python's lock (the GIL) while it works. Here the slab is divided into runs, stretches of equal value
along x, in scan order. Runs of neighbouring rows that touch are joined by union-find, in which the root of a
set is its first run; so roots, counted in order, are the components by first voxel (Wu, Otoo and Suzuki 2009,
"Optimizing two-pass connected-component labeling algorithms", with runs in place of pixels).
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from objclass.compute.kernels import CompiledKernel, Kernel, kernel
from objclass.core import AnyArray

Indices = NDArray[np.int64]

Values = NDArray[np.unsignedinteger[Any]]

BYTES, EVERY_BYTE = 3, 0x0101010101010101
PAIRS, EVERY_PAIR = 1, 0x0000000100000001
"""A word of 64 bits holds two to this power of the values; and what makes a word of one of them."""

VOXELS_OF_RUN = 8
"""Assumed average number of voxels of a run: larger arrays would be allocated from the system anew each time."""


class Runs(NamedTuple):
    """Arrays for the runs of a slab: begin, end, the run that each is joined to, the first run of each row."""

    starts: Indices
    stops: Indices
    parents: Indices
    rows: Indices


def labelled(compiled: CompiledKernel, values: AnyArray, labels: NDArray[np.uint32]) -> int:
    """Label the components of equal non-zero value, by direct neighbours; return their number.

    Parameters
    ----------
    compiled
        That of `labellings` for the size of the values, compiled.
    values
        (z, y, x), of one or four bytes each.
    labels
        The result, of the same shape, contiguous.
    """
    depth, height, width = values.shape
    flat = np.ascontiguousarray(values).view(f"u{values.itemsize}").reshape(-1)
    eights = 8 // flat.itemsize
    words = flat[: flat.size // eights * eights].view(np.uint64)
    count = np.zeros(1, np.int64)
    for room in (flat.size // VOXELS_OF_RUN + width, flat.size):
        starts, stops, parents = (np.empty(room, np.int64) for _ in range(3))
        runs = Runs(starts, stops, parents, np.empty(depth * height, np.int64))
        compiled(flat, words, labels.reshape(-1), runs, room, depth, height, width, count)
        if count[0] >= 0:
            break
    return int(count[0])


def label_runs(
    values: NDArray[np.uint8],
    words: NDArray[np.uint64],
    labels: NDArray[np.uint32],
    runs: Runs,
    room: int,
    depth: int,
    height: int,
    width: int,
    count: Indices,
) -> None:
    """Label flat values; ``words`` are the same values in groups of eight.

    The ``count`` becomes -1 if ``room`` is too small for the runs of a row.
    """
    label_rows(values, words, BYTES, EVERY_BYTE, labels, runs, room, depth, height, width, count)


def label_wide_runs(
    values: NDArray[np.uint32],
    words: NDArray[np.uint64],
    labels: NDArray[np.uint32],
    runs: Runs,
    room: int,
    depth: int,
    height: int,
    width: int,
    count: Indices,
) -> None:
    """The same of values of 32 bits; ``words`` are two of them each."""
    label_rows(values, words, PAIRS, EVERY_PAIR, labels, runs, room, depth, height, width, count)


@kernel
def label_rows(
    values: Values,
    words: NDArray[np.uint64],
    power: int,
    every: int,
    labels: NDArray[np.uint32],
    runs: Runs,
    room: int,
    depth: int,
    height: int,
    width: int,
    count: Indices,
) -> None:
    """Label flat values, of which a word holds two to a ``power``."""
    found = 0
    for row in range(depth * height):
        if found + width > room:
            count[0] = -1
            return
        runs.rows[row] = found
        found = find_runs(values, words, power, every, runs, row * width, (row + 1) * width, found)
        if row % height > 0:
            join_rows(values, runs, runs.rows[row], found, runs.rows[row - 1], runs.rows[row], width)
        if row >= height:
            above, end_above = runs.rows[row - height], runs.rows[row - height + 1]
            join_rows(values, runs, runs.rows[row], found, above, end_above, width * height)
    count[0] = number(runs, found)
    paint(labels, runs, found, depth * height * width)


@kernel
def find_runs(
    values: Values,
    words: NDArray[np.uint64],
    power: int,
    every: int,
    runs: Runs,
    start: int,
    stop: int,
    found: int,
) -> int:
    """Add the runs of a row to those found; return their number."""
    p, each = start, 1 << power
    while p < stop:
        value = values[p]
        word = np.uint64(value) * np.uint64(every)
        begin = p
        while p < stop and values[p] == value:
            p += each if p & (each - 1) == 0 and p + each <= stop and words[p >> power] == word else 1
        if value != 0:
            runs.starts[found], runs.stops[found], runs.parents[found] = begin, p, found
            found += 1
    return found


@kernel
def join_rows(
    values: Values, runs: Runs, here: int, end: int, above: int, end_above: int, shift: int
) -> None:
    """Join the runs of a row with those of equal value in the row ``shift`` voxels before it."""
    while here < end and above < end_above:
        if runs.stops[above] + shift <= runs.starts[here]:
            above += 1
        elif runs.stops[here] <= runs.starts[above] + shift:
            here += 1
        else:
            if values[runs.starts[here]] == values[runs.starts[above]]:
                join(runs.parents, here, above)
            if runs.stops[above] + shift < runs.stops[here]:
                above += 1
            else:
                here += 1


@kernel
def join(parents: Indices, a: int, b: int) -> None:
    """Join the sets of two runs; the root is the first run."""
    a, b = root(parents, a), root(parents, b)
    parents[max(a, b)] = min(a, b)


@kernel
def root(parents: Indices, run: int) -> int:
    """The first run of the set of a run; the path to it is halved for later calls."""
    while parents[run] != run:
        parents[run] = parents[parents[run]]
        run = parents[run]
    return run


@kernel
def number(runs: Runs, found: int) -> int:
    """Replace each run's parent by the id of its component; return the number of components."""
    count = 0
    for run in range(found):
        if runs.parents[run] == run:
            count += 1
            runs.parents[run] = count
        else:
            runs.parents[run] = runs.parents[runs.parents[run]]  # an earlier run: an id by now
    return count


@kernel
def paint(labels: NDArray[np.uint32], runs: Runs, found: int, size: int) -> None:
    """Write the ids of the runs, and 0 between them."""
    place = 0
    for run in range(found):
        start, stop = runs.starts[run], runs.stops[run]
        for p in range(place, start):
            labels[p] = 0
        for p in range(start, stop):
            labels[p] = runs.parents[run]
        place = stop
    for p in range(place, size):
        labels[p] = 0


def _lengths(values: AnyArray, *given: Any) -> dict[str, int]:
    room, depth, height, width = given[3:7]
    size = depth * height * width
    runs = {"starts": room, "stops": room, "parents": room, "rows": depth * height}
    return runs | {"values": size, "words": size * values.itemsize // 8, "labels": size, "count": 1}


labelling = Kernel(label_runs, repays_loading=20_000_000, repays_compiling=100_000_000, lengths=_lengths)

wide_labelling = Kernel(
    label_wide_runs, repays_loading=20_000_000, repays_compiling=100_000_000, lengths=_lengths
)

labellings = {1: labelling, 4: wide_labelling}
"""By the size of a value in bytes. Work is counted in voxels."""
