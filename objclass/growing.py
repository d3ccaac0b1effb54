"""Seeded region growing, as in ilastik's identity-preserving hysteresis thresholding.

Seeds grow over their direct neighbours, cheapest voxel first. A neighbour gets its label when it is
queued, not when its turn comes, so there is a rim of one voxel below the threshold; and of voxels of
equal cost the order in the queue decides, so the queue is part of the definition: the binary heap of
libstdc++ (``push_heap``, ``pop_heap``), which looks at costs alone.
"""

import numpy as np
from numpy.typing import NDArray

from objclass.kernels import Kernels

kernel = Kernels(globals(), repays_loading=200_000, repays_compiling=1_000_000)


def grow(seeds: NDArray[np.uint32], cost: NDArray[np.float32], limit: np.float32) -> NDArray[np.uint32]:
    """Grow seeds until the cheapest voxel in the queue costs more than ``limit``.

    Parameters
    ----------
    seeds
        Label image (z, y, x), 0 where nothing is yet.
    cost
        Of each voxel, float32, the same shape.
    limit
        The end.

    Returns
    -------
    numpy.ndarray
        Label image of the grown seeds.
    """
    _, height, width = seeds.shape
    work = int(np.count_nonzero(cost <= limit))
    compiled = kernel.choose(work)
    if compiled:
        labels = seeds.ravel().copy()
        compiled(labels, cost.ravel(), float(limit), height, width)
        return labels.reshape(seeds.shape)
    flat = seeds.ravel().tolist()
    flood(flat, cost.ravel().tolist(), float(limit), height, width)
    return np.array(flat, np.uint32).reshape(seeds.shape)


@kernel
def push(costs: list[float], places: list[int], cost: float, place: int) -> None:
    """libstdc++'s ``push_heap``, the least cost on top."""
    costs.append(cost)
    places.append(place)
    rise(costs, places, len(costs) - 1, cost, place)


@kernel
def rise(costs: list[float], places: list[int], hole: int, cost: float, place: int) -> None:
    """Fill a hole, or move it up while what is above costs more."""
    while hole > 0:
        above = (hole - 1) // 2
        if not costs[above] > cost:
            break
        costs[hole], places[hole] = costs[above], places[above]
        hole = above
    costs[hole], places[hole] = cost, place


@kernel
def pop(costs: list[float], places: list[int]) -> tuple[float, int]:
    """libstdc++'s ``pop_heap``: the hole sinks to a leaf, then the last element rises from there."""
    top = costs[0], places[0]
    cost, place = costs.pop(), places.pop()
    size = len(costs)
    if size == 0:
        return top
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
    rise(costs, places, hole, cost, place)
    return top


@kernel
def flood(  # noqa: C901, PLR0912 (six neighbours)
    labels: list[int], cost: list[float], limit: float, height: int, width: int
) -> None:
    """Grow the labels in place; both arrays are flat, in C order of z, y, x."""
    plane, size = height * width, len(labels)
    costs, places = [0.0], [0]
    costs.pop()
    places.pop()
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
            push(costs, places, cost[p], p)
    while len(costs) > 0:
        now, p = pop(costs, places)
        if now > limit:
            break
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
                push(costs, places, max(cost[q], now), q)
