"""Seeded region growing, as in ilastik's identity-preserving hysteresis thresholding.

Seeds grow over their direct neighbours, cheapest voxel first. A neighbour gets its label when it is
queued, not when its turn comes, so there is a rim of one voxel below the threshold; and of voxels of
equal cost the order in the queue decides, so the queue is part of the definition: the binary heap of
libstdc++ (``push_heap``, ``pop_heap``), which looks at costs alone.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from objclass.compute.kernels import Kernel, kernel

Labels = NDArray[np.uint32] | list[int]
Places = NDArray[np.int64] | list[int]
Costs = NDArray[np.float32] | list[float]


def grow(
    seeds: NDArray[np.uint32], cost: NDArray[np.float32], limit: np.float32, images: int = 1
) -> NDArray[np.uint32]:
    """Grow seeds until the cheapest voxel in the queue costs more than ``limit``.

    Parameters
    ----------
    seeds
        Label image (z, y, x), 0 where there is no seed.
    cost
        Cost of each voxel, float32, the same shape.
    limit
        Maximum cost of a voxel from which seeds grow on.
    images
        Number of images of this size in the run, to choose the formulation.

    Returns
    -------
    numpy.ndarray
        Label image of the grown seeds.
    """
    _, height, width = seeds.shape
    sizes = seeds.size, height, width
    compiled = flooding.choose(int(np.count_nonzero(cost <= limit)) * images)
    if compiled:
        labels = seeds.flatten()
        costs, places = np.empty(seeds.size, np.float32), np.empty(seeds.size, np.int64)
        compiled(labels, np.ascontiguousarray(cost).ravel(), float(limit), *sizes, costs, places)
        return labels.reshape(seeds.shape)
    flat = seeds.ravel().tolist()
    flood(flat, cost.ravel().tolist(), float(limit), *sizes, [0.0] * seeds.size, [0] * seeds.size)
    return np.array(flat, np.uint32).reshape(seeds.shape)


def local_minima(cost: NDArray[np.float32]) -> NDArray[np.uint32]:
    """Seeds 1 … n, in scan order, where a voxel (z, y, x) costs less than all its direct neighbours.

    Examples
    --------
    >>> local_minima(np.array([[[2, 3, 1, 1, 3, 0]]], np.float32))
    array([[[1, 0, 0, 0, 0, 2]]], dtype=uint32)
    """
    lowest = np.ones(cost.shape, bool)
    for axis, length in enumerate(cost.shape):
        values, found = np.moveaxis(cost, axis, 0), np.moveaxis(lowest, axis, 0)
        if length > 1:
            found[1:] &= values[1:] < values[:-1]
            found[:-1] &= values[:-1] < values[1:]
    return np.where(lowest, np.cumsum(lowest, dtype=np.uint32).reshape(lowest.shape), np.uint32(0))


@kernel
def rise(costs: Costs, places: Places, hole: int, cost: float, place: int) -> None:
    """libstdc++'s ``push_heap``, the lowest cost on top: the hole moves up while what is above costs more."""
    while hole > 0:
        above = (hole - 1) // 2
        if not costs[above] > cost:
            break
        costs[hole], places[hole] = costs[above], places[above]
        hole = above
    costs[hole], places[hole] = cost, place


@kernel
def pop(costs: Costs, places: Places, size: int) -> None:
    """libstdc++'s ``pop_heap``, which leaves ``size``: the hole sinks to a leaf, the last element rises there."""
    hole = child = 0
    while child < (size - 1) // 2:
        child = 2 * (child + 1)
        if costs[child] > costs[child - 1]:
            child -= 1
        costs[hole], places[hole] = costs[child], places[child]
        hole = child
    if size % 2 == 0 and child == (size - 2) // 2:
        child = 2 * child + 1
        costs[hole], places[hole] = costs[child], places[child]
        hole = child
    rise(costs, places, hole, costs[size], places[size])


def flood(  # noqa: C901, PLR0912 (six neighbours)
    labels: Labels,
    cost: Costs,
    limit: float,
    size: int,
    height: int,
    width: int,
    costs: Costs,
    places: Places,
) -> None:
    """Grow the labels in place; both arrays are flat, in C order of z, y, x.

    ``costs`` and ``places`` hold the queue, which each voxel enters at most once.
    """
    plane, queued = height * width, 0
    for p in range(size):
        if labels[p] == 0:
            continue
        x, y = p % width, p // width % height
        if (
            (p >= plane and labels[p - plane] == 0)
            or (y > 0 and labels[p - width] == 0)
            or (x > 0 and labels[p - 1] == 0)
            or (x < width - 1 and labels[p + 1] == 0)
            or (y < height - 1 and labels[p + width] == 0)
            or (p + plane < size and labels[p + plane] == 0)
        ):
            rise(costs, places, queued, cost[p], p)
            queued += 1
    while queued > 0:
        now, p = costs[0], places[0]
        if now > limit:
            break
        queued -= 1
        pop(costs, places, queued)
        x, y = p % width, p // width % height
        for k in range(6):  # z - 1, y - 1, x - 1, x + 1, y + 1, z + 1
            if k == 0 and p >= plane:
                q = p - plane
            elif k == 1 and y > 0:
                q = p - width
            elif k == 2 and x > 0:
                q = p - 1
            elif k == 3 and x < width - 1:
                q = p + 1
            elif k == 4 and y < height - 1:
                q = p + width
            elif k == 5 and p + plane < size:
                q = p + plane
            else:
                continue
            if labels[q] == 0:
                labels[q] = labels[p]
                rise(costs, places, queued, max(cost[q], now), q)
                queued += 1


def _lengths(*given: Any) -> dict[str, int]:
    return dict.fromkeys(("labels", "cost", "costs", "places"), given[3])


flooding = Kernel(flood, repays_loading=10_000, repays_compiling=300_000, lengths=_lengths)
"""Work is counted in voxels that are grown over."""
