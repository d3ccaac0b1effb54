"""Statistics of large frames, compiled: a slab is searched for runs, and each statistic goes through them.

Each statistic updates its state: arrays with an entry for each object. The additions are those of the numpy
formulation, in its order, so that both give the same bits, whatever the slabs are. Threads can share the
objects, which are independent of each other. The loops themselves are next to their statistics.
"""

from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from objclass.compute.context import Context
from objclass.compute.kernels import Kernel
from objclass.features.statistics.extent import fold_extent
from objclass.features.statistics.intensity import BINS, fold_central, fold_histogram, fold_intensity
from objclass.features.statistics.runs import (
    CENTRAL,
    COLUMNS,
    EXTENT,
    HISTOGRAM,
    INTENSITY,
    SCATTER,
    SPACE,
    SPREAD,
    Fold,
    Share,
    WorkSpace,
    batch_end,
    find_runs,
    number,
    work_space,
)
from objclass.features.statistics.scatter import fold_scatter

if TYPE_CHECKING:
    from objclass.features.voxels import Block

PART = 1 << 17
"""Voxels of a part, unless a line is longer: intermediate results stay in the processor's cache."""


class States(NamedTuple):
    """Arrays of the statistics; arrays without elements for those that are not needed."""

    voxels: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    places: NDArray[np.int64]
    seen: NDArray[np.float64]
    total: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    m2: NDArray[np.float64]
    centers: NDArray[np.float64]
    matrix: NDArray[np.float64]
    mean: NDArray[np.float64]
    m3: NDArray[np.float64]
    m4: NDArray[np.float64]
    known: NDArray[np.int64]
    table: NDArray[np.float64]
    smallest: NDArray[np.float64]
    scale: NDArray[np.float64]
    bins: NDArray[np.float64]


class Visit(NamedTuple):
    """The objects of a thread, ``first < id <= last``, and which parts of a slab have some of them."""

    first: int
    last: int
    parts: NDArray[np.bool_]


NOTHING = {name: np.empty(0, get_args(get_args(kind)[1])[0]) for name, kind in States.__annotations__.items()}


def lines_of_part(width: int) -> int:
    """Lines of a slab that are one part of it."""
    return max(PART // width, 1)


def fold(
    function: Any, folds: Sequence[Fold], block: "Block", context: Context, visit: Visit | None = None
) -> None:
    """Update statistics with a slab.

    Parameters
    ----------
    function
        `fold_part`, compiled.
    folds
        What is wanted.
    block
        The slab.
    context
        The context of the run: unless there is a ``visit``, its threads share the objects.
    visit
        The only objects that are wanted.
    """
    wanted = reduce(or_, (one.wanted for one in folds), 0)
    given = {name: array for one in folds for name, array in one.arrays.items()}
    states = States(*(given.get(name, none) for name, none in NOTHING.items()))
    depth, height, width, channels = block.raw.shape
    threads = 1 if visit else context.limits.jobs
    step = lines_of_part(width)
    parts = np.arange(0, depth * height if wanted else 0, step)
    if visit:
        parts = parts[visit.parts] if wanted else parts
    first, last = visit[:2] if visit else (0, block.count)
    labels = np.ascontiguousarray(block.labels, np.uint32)
    pixels = block.raw.reshape(depth * height * width, channels)
    z0, y0, _ = block.origin

    def work(number: int) -> None:
        share = Share(
            *(wanted, block.count, block.ndim, channels, labels, width, height, y0, z0),
            *(first, last, number, threads),
        )
        call = function.bind(share, states, work_space(width, step))
        with np.errstate(over="ignore", invalid="ignore"):  # threads have states of their own
            for line in parts.tolist():
                part = pixels[line * width : (line + step) * width]
                values = np.ascontiguousarray(part.T, np.float32)
                call(line, len(part) // width, values, len(part))

    for _ in context.ordered(work, range(threads)):
        pass


def fold_part(
    share: Share,
    states: States,
    space: WorkSpace,
    line: int,
    lines: int,
    values: NDArray[np.float32],
    size: int,
) -> None:
    """Update the required statistics with some lines of a slab.

    ``values`` are the pixels of these lines, channel after channel, of ``size`` each.
    """
    s, wanted, ndim, runs, numbers = states, share.wanted, share.ndim, space.runs, space.numbers
    found = find_runs(share, space, line, lines)
    if wanted & EXTENT:
        fold_extent(runs, found, ndim, s.voxels, s.first, s.last, s.places)
    begin = found if wanted == EXTENT else 0
    while begin < found:
        end, batch = batch_end(runs, begin, found)
        if wanted & (INTENSITY | SPREAD | SCATTER):
            number(runs, begin, end, batch, s.seen, numbers)
        if wanted & SCATTER:
            fold_scatter(runs, begin, end, batch, ndim, s.centers, s.matrix, numbers)
        for c in range(share.channels):
            at, here = c * size, c * share.objects
            if wanted & (INTENSITY | SPREAD):
                fold_intensity(
                    *(runs, begin, end, batch, values, at, here, wanted),
                    *(s.total, s.low, s.high, s.m2, numbers),
                )
            if wanted & CENTRAL:
                fold_central(
                    *(runs, begin, end, values, at, here, s.low, s.mean, s.m3, s.m4),
                    *(s.known, here + c, s.table, numbers),
                )
        if wanted & HISTOGRAM:
            fold_histogram(runs, begin, end, values, s.smallest, s.scale, s.bins)
        begin = end


def _lengths(
    share: Share, states: States, _: Any, line: int, lines: int, __: Any, size: int
) -> dict[str, int]:
    """See the statistics for the shapes of their arrays."""
    wanted, n, d, c, *_ = share
    width = share.width
    needed = {
        "labels": (line + lines) * width,
        "values": c * size,
        "numbers": SPACE,
        "marks": width + 7 & -8,
        "ends": 2 * (width + 8),
        "runs": lines * width * COLUMNS,
    }
    for bit, lengths in (
        (EXTENT, {"voxels": n, "first": n * d, "last": n * d, "places": n * d}),
        (INTENSITY, {"seen": n, "total": c * n, "low": c * n, "high": c * n}),
        (SPREAD, {"seen": n, "total": c * n, "m2": c * n}),
        (SCATTER, {"seen": n, "centers": n * d, "matrix": n * d * d}),
        (CENTRAL, {"mean": c * n, "low": c * n, "m3": c * n, "m4": c * n, "known": c * (n + 1)}),
        (HISTOGRAM, {"smallest": n, "scale": n, "bins": n * BINS}),
    ):
        if wanted & bit:
            needed |= lengths
    if wanted & CENTRAL and c:
        needed["table"] = 2 * int(states.known.flat[-1])
    return needed


kernel = Kernel(
    fold_part,
    repays_loading=1_000_000,
    repays_compiling=12_000_000,  # a fifth of the time of compiling, from which later runs gain, too
    lengths=_lengths,
)
"""Work is counted in voxels, including background."""
